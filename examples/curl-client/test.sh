#!/bin/sh
# Usage: test.sh [-u URL] [-k] [-v] [-h]
#
# Tries every script of this folder against a running server and prints "N passed, N failed".
# Exit 0 if nothing failed. Skips nothing. Needs CLIENT_ID and CLIENT_SECRET of a client that may use
# client credentials with the scopes mcp:read and mcp:write; the operator makes one with
#   portcullis client add demo --grant client_credentials --scope "mcp:read mcp:write"
#
#   -u, --url URL   another PORTCULLIS_URL
#   -k, --insecure  do not verify TLS certificates; for development only
#   -v, --verbose   show what each check printed
#   -h, --help      this text

# shellcheck source=examples/curl-client/common.sh
. "$(dirname "$0")/common.sh"

while [ $# -gt 0 ]; do
    common_option "$@"
    [ "$SHIFT" -gt 0 ] || misuse "unknown argument $1"
    shift "$SHIFT"
done
if [ -z "${CLIENT_ID:-}" ] || [ -z "${CLIENT_SECRET:-}" ]; then
    misuse "set CLIENT_ID and CLIENT_SECRET"
fi
init
cd "$(dirname "$0")"
export PORTCULLIS_URL CLIENT_ID CLIENT_SECRET SCOPE
TOKEN_FILE=$WORK/token
export TOKEN_FILE
unset ACCESS_TOKEN
ANY=${INSECURE:+--insecure}

passed=0
failed=0
# usage: check DESCRIPTION COMMAND [ARGUMENT...]
check() {
    description=$1
    shift
    # A subshell, so that a script that ends itself ends only its own check.
    if ("$@") >"$WORK/output" 2>&1; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$description"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$description"
        sed 's/^/      /' "$WORK/output"
        return 0
    fi
    [ -z "$VERBOSE" ] || sed 's/^/      /' "$WORK/output"
}

# Whether a command exits with this very status.
# usage: exits STATUS COMMAND [ARGUMENT...]
exits() {
    expected=$1
    shift
    status=0
    "$@" || status=$?
    [ "$status" -eq "$expected" ] || { echo "exit $status, expected $expected" && return 1; }
}

# Whether a command fails and says why.
# usage: refused PATTERN COMMAND [ARGUMENT...]
refused() {
    pattern=$1
    shift
    exits 1 "$@" >"$WORK/refusal" 2>&1 || { cat "$WORK/refusal" && return 1; }
    cat "$WORK/refusal"
    grep -q -- "$pattern" "$WORK/refusal"
}

# Whether the output of a command satisfies a jq filter.
# usage: gives FILTER COMMAND [ARGUMENT...]
gives() {
    filter=$1
    shift
    "$@" >"$WORK/json" || return 1
    cat "$WORK/json"
    jq -e "$filter" "$WORK/json" >/dev/null
}

tool() { ./call_tool.sh ${ANY:+"$ANY"} "$@"; }
token() { ./get_token.sh ${ANY:+"$ANY"} "$@"; }

files_are_there() {
    for file in common.sh get_token.sh call_tool.sh full_example.sh test.sh README.md; do
        [ -r "$file" ] || return 1
    done
    [ -x get_token.sh ] && [ -x call_tool.sh ] && [ -x full_example.sh ]
}
all_help() {
    for script in ./*.sh; do
        "$script" --help | grep -q '^Usage: ' || { echo "$script" && return 1; }
    done
}
healthy() {
    http GET "$PORTCULLIS_URL/health"
    require_success
    jq -e '.status == "healthy"' "$WORK/body"
}
challenged() {
    http POST "$PORTCULLIS_URL/mcp" --header 'Content-Type: application/json' --data-raw '{}'
    header www-authenticate
    challenge=$(header www-authenticate)
    [ "$STATUS" = 401 ] || return 1
    case $challenge in *error=*) return 1 ;; esac
    case $challenge in 'Bearer '*resource_metadata=\"http*) ;; *) return 1 ;; esac
    case $challenge in *scope=\"*) ;; *) return 1 ;; esac
}
same_metadata_at_root() {
    http GET "$PORTCULLIS_URL/.well-known/oauth-protected-resource/mcp"
    cp "$WORK/body" "$WORK/path-form"
    http GET "$PORTCULLIS_URL/.well-known/oauth-protected-resource"
    require_success
    cmp "$WORK/path-form" "$WORK/body"
}
prints_and_keeps() {
    token >"$WORK/printed" && is_jwt "$(cat "$WORK/printed")" && cmp "$WORK/printed" "$TOKEN_FILE"
}
kept_privately() { [ "$(stat -c %a "$TOKEN_FILE" 2>/dev/null || stat -f %Lp "$TOKEN_FILE")" = 600 ]; }
token_is_for_us() {
    discover
    jwt_part "$(cat "$TOKEN_FILE")" 0 | jq -e '.typ == "at+jwt" and .alg != "none" and (.kid | length > 0)' &&
        jwt_part "$(cat "$TOKEN_FILE")" 1 | jq -e --arg iss "$ISSUER" --arg aud "$RESOURCE" --arg id "$CLIENT_ID" \
            '.iss == $iss and .aud == $aud and .client_id == $id' && ! is_expired "$(cat "$TOKEN_FILE")"
}
wrong_secret() { CLIENT_SECRET=wrong-$CLIENT_SECRET && export CLIENT_SECRET && refused invalid_client token --no-save; }
other_token_file() {
    token --output "$WORK/elsewhere" && [ -s "$WORK/elsewhere" ] && rm -f "$TOKEN_FILE" &&
        gives '.result.echo == "x"' tool --token-file "$WORK/elsewhere" echo x
}
narrow_token() {
    token --scope mcp:read --output "$WORK/narrow" &&
        refused 'HTTP 403.*insufficient_scope.*mcp:write' tool --token-file "$WORK/narrow" calculate add 1 2
}
saved_nothing() { rm -f "$TOKEN_FILE" && token --no-save && [ ! -e "$TOKEN_FILE" ]; }
# Which of curl's options a script uses: a curl of ours in front writes them down.
curl_options() {
    mkdir -p "$WORK/bin"
    printf '#!/bin/sh\nprintf "%%s\\n" "$@" >>"%s"\nprintf 000\nexit 7\n' "$WORK/arguments" >"$WORK/bin/curl"
    chmod +x "$WORK/bin/curl"
    : >"$WORK/arguments"
    PATH=$WORK/bin:$PATH ./call_tool.sh "$@" discover || true
    cat "$WORK/arguments"
}
verifies_tls() { curl_options >"$WORK/used" 2>&1 && grep -q -- '--silent' "$WORK/used" && ! grep -Eqx -- '-k|--insecure' "$WORK/used"; }
insecure_on_demand() { curl_options -k 2>&1 | grep -qx -- --insecure; }

check "the files are there and can be run" files_are_there
check "every script explains itself" all_help
check "an unknown option is wrong usage" exits 2 tool --nonsense echo x
check "an unknown command is wrong usage" exits 2 tool nonsense
check "TLS certificates are verified unless -k is given" verifies_tls
check "-k turns verification off" insecure_on_demand
check "a missing CURL_CA file is an error" refused 'cannot read' env CURL_CA=/nonexistent ./call_tool.sh discover
check "the server is healthy" healthy
check "without a token the answer is 401 with a challenge" challenged
check "discovery finds resource, issuer and token endpoint" gives '.resource and .issuer and .token_endpoint' tool discover
check "the metadata is the same in both places" same_metadata_at_root
check "get_token prints a JWT and keeps it" prints_and_keeps
check "the token file is private" kept_privately
check "the token is for this resource and this client" token_is_for_us
check "a wrong secret is refused" wrong_secret
check "echo over plain HTTP" gives '.result.echo == "hello there"' tool echo hello there
check "echo over MCP 2026-07-28" gives '.. | strings | select(contains("hello"))' tool --mcp 2026-07-28 echo hello
check "echo over MCP 2025-11-25" gives '.. | strings | select(contains("hello"))' tool --mcp 2025-11-25 echo hello
check "text with quotes and umlauts survives" gives '.result.echo == "\"Grüße\" & <b>"' tool echo '"Grüße" & <b>'
check "timestamp with an epoch" gives '.result.epoch | type == "number"' tool timestamp Europe/Berlin
check "2 + 2 = 4" gives '.result.result == 4' tool calculate add 2 2
check "division by zero fails" refused 'HTTP 4' tool calculate divide 1 0
check "division by zero fails over MCP too" refused '"isError":true' tool --mcp 2026-07-28 calculate divide 1 0
check "an unknown tool fails" refused 'HTTP 4' tool call no_such_tool '{}'
check "an unknown tool fails over MCP too" refused '32602' tool --mcp 2026-07-28 call no_such_tool '{}'
check "the list of tools says which are available" gives '(.tools | length >= 3) and (.tools | all(has("available")))' tool tools
check "me names the client" gives '.client_id == env.CLIENT_ID' tool me
check "a token with too little scope is refused" narrow_token
check "a broken token is refused" refused 'HTTP 401.*invalid_token' tool --token not.a.token echo x
check "a missing token is refused" refused 'no token' tool --token-file "$WORK/missing" echo x
check "the token file can be elsewhere" other_token_file
check "--no-save keeps nothing" saved_nothing
check "another server URL is used" refused 'no answer' tool --url http://127.0.0.1:9 discover
check "the full example passes" ./full_example.sh ${ANY:+"$ANY"}

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
