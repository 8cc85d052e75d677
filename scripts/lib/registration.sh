# What scripts/setup_dcr.sh does, step by step. Sourced by it, after the functions of the curl client.
# shellcheck shell=sh
# The script that sources this sets the options and reads what is left behind.
# shellcheck disable=SC2034,SC2154

# Writes standard input to a private file, whole or not at all.
# usage: keep FILE
keep() {
    (umask 077 && cat >"$1.$$" && mv -f "$1.$$" "$1") || die "cannot write $1"
}

# Makes an invitation for one client beside the running server.
invite() {
    for program in portcullis "$root/target/release/portcullis" "$root/target/debug/portcullis"; do
        command -v "$program" >/dev/null 2>&1 || continue
        "$program" client invite --uses 1 --ttl 5m --json | jq -er .initial_access_token && return
        die "$program made no invitation; run this where its portcullis.toml is"
    done
    die "portcullis is not on the PATH: ask the operator for a token and use --initial-access-token"
}

# Ends the script where the client that is kept in the file still works.
# usage: end_if_kept_client_works
end_if_kept_client_works() {
    [ -r "$env_file" ] || return 0
    CLIENT_ID='' CLIENT_SECRET=''
    read_env "$env_file"
    if [ -n "$CLIENT_ID" ] && [ -n "$CLIENT_SECRET" ]; then
        request_token
        if [ "$STATUS" = 200 ]; then
            printf 'The client %s in %s still works.\n' "$CLIENT_ID" "$env_file"
            exit 0
        fi
        [ "$STATUS" = 401 ] || require_success
        note "the client in $env_file is unknown to $ISSUER"
    fi
}

# Registers a client; leaves CLIENT_ID and CLIENT_SECRET.
register() {
    invitation=${invitation:-$(invite)}
    case $invitation in
    '' | *[!A-Za-z0-9._~+/=-]*) die "that is not an initial access token" ;;
    esac
    jq -n --arg name "$name" --arg scope "$SCOPE" '{client_name: $name, scope: $scope,
        grant_types: ["client_credentials"], token_endpoint_auth_method: "client_secret_basic"}' >"$WORK/metadata"
    CREDENTIALS="header = \"Authorization: Bearer $invitation\""
    http POST "$endpoint" --header 'Content-Type: application/json' --data-binary "@$WORK/metadata"
    CREDENTIALS=''
    require_success
    CLIENT_ID=$(jq -er .client_id "$WORK/body") || die "the answer has no client_id"
    CLIENT_SECRET=$(jq -er .client_secret "$WORK/body") || die "the answer has no client_secret"
    [ -z "$output" ] || keep "$output" <"$WORK/body"
}

# What the scripts of the curl client read.
lines() {
    printf 'PORTCULLIS_URL=%s\nSCOPE=%s\nCLIENT_ID=%s\nCLIENT_SECRET=%s\n' \
        "$PORTCULLIS_URL" "$SCOPE" "$CLIENT_ID" "$CLIENT_SECRET"
}
