#!/bin/sh
# Usage: full_example.sh [-u URL] [-k] [-v] [-h]
#
# Eight steps from nothing to a tool call: is the server there, metadata, token, echo, timestamp,
# calculate, list of tools, and that a missing and an invalid token are refused.
# Needs CLIENT_ID and CLIENT_SECRET. Stops at the first step that fails, with exit 1.
#
#   -u, --url URL   another PORTCULLIS_URL
#   -k, --insecure  do not verify TLS certificates; for development only
#   -v, --verbose   say what is done
#   -h, --help      this text

# shellcheck source=examples/curl-client/common.sh
. "$(dirname "$0")/common.sh"

here=$(dirname "$0")
while [ $# -gt 0 ]; do
    common_option "$@"
    [ "$SHIFT" -gt 0 ] || misuse "unknown argument $1"
    shift "$SHIFT"
done
init
export PORTCULLIS_URL SCOPE
set -- ${INSECURE:+--insecure} ${VERBOSE:+--verbose}
TOKEN_FILE=$WORK/token
export TOKEN_FILE
unset ACCESS_TOKEN

step() { printf '\n%s. %s\n' "$1" "$2"; }

step 1 "Is the server there?"
http GET "$PORTCULLIS_URL/health"
require_success
jq -e '.status == "healthy"' "$WORK/body" >/dev/null || die "the server is not healthy"
jq -c . "$WORK/body"

step 2 "Which authorization server does it trust?"
"$here/call_tool.sh" "$@" discover

step 3 "A token"
"$here/get_token.sh" "$@" >"$WORK/printed"
TOKEN=$(cat "$WORK/printed")
is_jwt "$TOKEN" || die "the token is not a JWT"
jwt_part "$TOKEN" 1

step 4 "echo, over plain HTTP and over both revisions of MCP"
"$here/call_tool.sh" "$@" echo hello
"$here/call_tool.sh" "$@" --mcp 2026-07-28 echo hello
"$here/call_tool.sh" "$@" --mcp 2025-11-25 echo hello

step 5 "timestamp"
"$here/call_tool.sh" "$@" timestamp UTC

step 6 "calculate 10 + 20 + 30"
"$here/call_tool.sh" "$@" calculate add 10 20 30 >"$WORK/sum"
cat "$WORK/sum"
jq -e '.result.result == 60' "$WORK/sum" >/dev/null || die "10 + 20 + 30 is not 60"

step 7 "The tools that this token may call"
"$here/call_tool.sh" "$@" tools >"$WORK/tools"
jq -ce '.tools[] | {name, required_scope, available}' "$WORK/tools"

step 8 "No token and an invalid token are refused"
http POST "$PORTCULLIS_URL/api/v1/tools/echo" --header 'Content-Type: application/json' --data-raw '{"message":"x"}'
[ "$STATUS" = 401 ] || die "without a token the answer is $STATUS"
printf 'without a token: %s\n' "$(header www-authenticate)"
TOKEN=$TOKEN.x
use_token
http POST "$PORTCULLIS_URL/api/v1/tools/echo" --header 'Content-Type: application/json' --data-raw '{"message":"x"}'
[ "$STATUS" = 401 ] || die "with an invalid token the answer is $STATUS"
printf 'with an invalid token: %s\n' "$(header www-authenticate)"

printf '\nAll eight steps passed.\n'
