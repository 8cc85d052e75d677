#!/bin/sh
# Usage: scripts/setup_dcr.sh [--auto-update] [--issuer URL] [--scopes SCOPES] [--env-file FILE]
#            [--output FILE] [--initial-access-token TOKEN] [--name NAME] [-u URL] [-k] [-v] [-h]
#
# Registers a client that acts for itself (RFC 7591, client credentials) and prints CLIENT_ID and
# CLIENT_SECRET, or keeps them where the scripts of examples/curl-client find them. Where those that
# are kept still work nothing is registered, so it can run again and again.
# Exit 0 fine, 1 refused, 2 wrong usage.
#
#   --auto-update   write them into the file of --env-file (mode 0600) instead of printing them
#   --env-file FILE which file that is                       [examples/curl-client/.env]
#   --issuer URL    the authorization server; without it the one that the server at -u names
#   --scopes SCOPES what the client may ask for              [mcp:read mcp:write]
#   --name NAME     its name for people                      [curl-client]
#   --output FILE   keep the whole answer as JSON too (mode 0600), to manage the registration later
#   --initial-access-token TOKEN
#                   the invitation; or set INITIAL_ACCESS_TOKEN, which does not show in the list of
#                   processes; without either "portcullis client invite" makes one on this machine
#   -u, --url URL   where the server is                      [http://localhost:8080]
#   -k, --insecure  do not verify TLS certificates; for development only
#   -v, --verbose   say what is done
#   -h, --help      this text

root=$(dirname "$0")/..
# What is kept is looked at below, when it is known in which file.
ENV_FILE=''
# shellcheck source=examples/curl-client/common.sh
. "$root/examples/curl-client/common.sh"

auto_update='' issuer='' output='' name=curl-client
env_file=$root/examples/curl-client/.env
invitation=${INITIAL_ACCESS_TOKEN:-}
while [ $# -gt 0 ]; do
    common_option "$@"
    if [ "$SHIFT" -eq 0 ]; then
        SHIFT=2
        case $1 in
        --auto-update) auto_update=yes && SHIFT=1 ;;
        --issuer) value "$@" && issuer=${2%/} ;;
        --scopes) value "$@" && SCOPE=$2 ;;
        --env-file) value "$@" && env_file=$2 ;;
        --output) value "$@" && output=$2 ;;
        --name) value "$@" && name=$2 ;;
        --initial-access-token) value "$@" && invitation=$2 ;;
        *) misuse "unknown argument $1" ;;
        esac
    fi
    shift "$SHIFT"
done
init
RESOURCE=''

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

if [ -n "$issuer" ]; then
    ISSUER=$issuer
    discover_issuer
else
    discover
fi
endpoint=$(jq -er .registration_endpoint "$WORK/body") || die "$ISSUER does not let clients register"

if [ -n "$auto_update" ] && [ -r "$env_file" ]; then
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
fi

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

lines() {
    printf 'PORTCULLIS_URL=%s\nSCOPE=%s\nCLIENT_ID=%s\nCLIENT_SECRET=%s\n' \
        "$PORTCULLIS_URL" "$SCOPE" "$CLIENT_ID" "$CLIENT_SECRET"
}
if [ -z "$auto_update" ]; then
    lines
    exit 0
fi
{
    # Whatever else stands in the file stays.
    [ ! -r "$env_file" ] || grep -Ev '^(PORTCULLIS_URL|SCOPE|CLIENT_ID|CLIENT_SECRET)=' "$env_file" || :
    lines
} >"$WORK/env"
keep "$env_file" <"$WORK/env"
printf 'The client %s is registered at %s and kept in %s.\n' "$CLIENT_ID" "$ISSUER" "$env_file"
