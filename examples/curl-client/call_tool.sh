#!/bin/sh
# Usage: call_tool.sh [OPTIONS] COMMAND [ARGUMENT...]
#
# Calls a tool and prints its result as JSON. Exit 0 fine, 1 refused or failed, 2 wrong usage.
#
# Commands
#   echo TEXT...            gives the text back                       (mcp:read)
#   timestamp [ZONE]        the time, in an IANA time zone            (mcp:read)
#   calculate OP NUMBER...  add, subtract, multiply, divide, power, sqrt, factorial  (mcp:write)
#   call NAME JSON          any tool with any arguments
#   tools                   the tools and whether this token may call them
#   me                      who this token says we are
#   discover                resource, issuer and token endpoint; needs no token
#
# Options
#   -m, --mcp REVISION      call over MCP (2026-07-28 or 2025-11-25) and not over plain HTTP
#   -t, --token TOKEN       a token, instead of ACCESS_TOKEN
#   -f, --token-file FILE   a file with the token, instead of TOKEN_FILE
#   -u, --url URL           another PORTCULLIS_URL
#   -k, --insecure          do not verify TLS certificates; for development only
#   -v, --verbose           say what is done
#   -h, --help              this text

# shellcheck source=examples/curl-client/common.sh
. "$(dirname "$0")/common.sh"

revision=''
while [ $# -gt 0 ]; do
    common_option "$@"
    if [ "$SHIFT" -eq 0 ]; then
        SHIFT=2
        case $1 in
        -m | --mcp) value "$@" && revision=$2 ;;
        -t | --token) value "$@" && ACCESS_TOKEN=$2 ;;
        -f | --token-file) value "$@" && ACCESS_TOKEN='' TOKEN_FILE=$2 ;;
        -*) misuse "unknown option $1" ;;
        *) break ;;
        esac
    fi
    shift "$SHIFT"
done
[ $# -gt 0 ] || misuse "which command?"
case $revision in '' | 2026-07-28 | 2025-11-25) ;; *) misuse "unknown revision $revision" ;; esac
command=$1
shift

init

# The tool over plain HTTP.
# usage: call_rest NAME JSON
call_rest() {
    http POST "$PORTCULLIS_URL/api/v1/tools/$1" --header 'Content-Type: application/json' --data-raw "$2"
    require_success
    jq . "$WORK/body"
}

# One JSON-RPC message; the answer, from JSON or from an event stream, lies in $WORK/answer.
# usage: rpc MESSAGE [CURL ARGUMENT...]
rpc() {
    message=$1
    shift
    http POST "$PORTCULLIS_URL/mcp" --header 'Content-Type: application/json' \
        --header 'Accept: application/json, text/event-stream' "$@" --data-raw "$message"
    require_success
    case $(header content-type) in
    text/event-stream*) sed -n 's/^data: *//p' "$WORK/body" | jq -c 'select(.id != null)' >"$WORK/answer" ;;
    *) cp "$WORK/body" "$WORK/answer" ;;
    esac
}

# Prints the result of the last call; a protocol error and a failed tool are failures.
rpc_result() {
    jq -e '.result and (.result.isError | not)' "$WORK/answer" >/dev/null || die "$(jq -c '.error // .result' "$WORK/answer")"
    jq '.result.structuredContent // .result' "$WORK/answer"
}

# Revision 2026-07-28: each request stands alone and says its revision itself.
# usage: call_modern NAME JSON
call_modern() {
    rpc "$(jq -cn --arg name "$1" --argjson arguments "$2" '{jsonrpc: "2.0", id: 1, method: "tools/call",
        params: {name: $name, arguments: $arguments, _meta: {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {name: "curl-client", version: "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}}}')" \
        --header 'MCP-Protocol-Version: 2026-07-28' --header 'Mcp-Method: tools/call' --header "Mcp-Name: $1"
    rpc_result
}

# Revision 2025-11-25: a handshake opens a session, and the session is closed afterwards.
# usage: call_legacy NAME JSON
call_legacy() {
    rpc '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl-client","version":"1"}}}'
    session=$(header mcp-session-id)
    set -- "$1" "$2" --header 'MCP-Protocol-Version: 2025-11-25' ${session:+--header "Mcp-Session-Id: $session"}
    name=$1
    arguments=$2
    shift 2
    rpc '{"jsonrpc":"2.0","method":"notifications/initialized"}' "$@"
    rpc "$(jq -cn --arg name "$name" --argjson arguments "$arguments" \
        '{jsonrpc: "2.0", id: 2, method: "tools/call", params: {name: $name, arguments: $arguments}}')" "$@"
    rpc_result
    [ -z "$session" ] || http DELETE "$PORTCULLIS_URL/mcp" "$@"
}

# usage: call NAME JSON
call() {
    find_token
    if is_jwt "$TOKEN" && is_expired "$TOKEN" 2>/dev/null; then
        printf 'The token has expired; get_token.sh gets another.\n' >&2
    fi
    use_token
    case $revision in
    '') call_rest "$@" ;;
    2026-07-28) call_modern "$@" ;;
    2025-11-25) call_legacy "$@" ;;
    esac
}

# usage: get PATH
get() {
    find_token
    use_token
    http GET "$PORTCULLIS_URL$1"
    require_success
    jq . "$WORK/body"
}

case $command in
echo)
    [ $# -gt 0 ] || misuse "echo what?"
    call echo "$(jq -cn --arg message "$*" '{message: $message}')"
    ;;
timestamp)
    call timestamp "$(jq -cn --arg zone "${1:-UTC}" '{timezone: $zone, include_epoch: true}')"
    ;;
calculate)
    [ $# -ge 2 ] || misuse "calculate needs an operation and at least one number"
    operation=$1
    shift
    operands=$(printf '%s\n' "$@" | jq -ces 'if all(type == "number") then . else error end' 2>/dev/null) || misuse "operands must be numbers"
    call calculate "$(jq -cn --arg operation "$operation" --argjson operands "$operands" \
        '{operation: $operation, operands: $operands}')"
    ;;
call)
    [ $# -eq 2 ] || misuse "call needs a name and a JSON object"
    printf '%s' "$1" | grep -Eq '^[A-Za-z0-9_.-]+$' || misuse "not a tool name: $1"
    printf '%s' "$2" | jq -e 'type == "object"' >/dev/null 2>&1 || misuse "the arguments must be a JSON object"
    call "$1" "$2"
    ;;
tools) get /api/v1/tools ;;
me) get /api/v1/me ;;
discover)
    discover
    jq -n --arg resource "$RESOURCE" --arg issuer "$ISSUER" --arg token_endpoint "$TOKEN_ENDPOINT" '$ARGS.named'
    ;;
*) misuse "unknown command $command" ;;
esac
