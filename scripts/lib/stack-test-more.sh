# The checks of retries and of event streams, at fronts with other servers behind them.
# Sourced, never run. Needs stack-test.sh, stack-test-others.sh and stack-test-limits.sh.
# shellcheck shell=sh

# Asks ten times; prints how often each status came.
# usage: ten_times PATH [CURL ARGUMENT...]
ten_times() {
    path=$1
    shift
    for n in 1 2 3 4 5 6 7 8 9 10; do
        ask http_code "$FRONT$path" -H "X-Attempt: $n" "$@"
        echo
    done | sort | uniq -c | tee "$WORK/statuses"
}

# One server hangs up after it took the request, the other is well: ten that were sent are ten that arrive.
post_is_never_sent_again() {
    sent=$(($(arrived "$DROPS") + $(arrived "$ANSWERS") + 10))
    ten_times /token -d grant_type=refresh_token
    found=$(($(arrived "$DROPS") + $(arrived "$ANSWERS")))
    [ "$found" -eq "$sent" ] || { say "arrived $found, sent $sent" && return 1; }
    # The control: some did meet the server that hangs up.
    grep -q 503 "$WORK/statuses" && ask http_code "$FRONT/token" >/dev/null
}
get_is_sent_again() { ten_times /jwks && grep -q '10 200' "$WORK/statuses"; }
stopped_server_is_passed_over() { ten_times /token -d grant_type=refresh_token && grep -q '10 200' "$WORK/statuses"; }
stopped_server_says_when() { answers 503 "$FRONT/jwks" && has_header retry-after 2 && jq -e .error "$WORK/body"; }

# The stream stays open, so what arrives before we hang up was not held back.
event_arrives_at_once() {
    curl -s -N --max-time 2 --cacert "$STACK_CERTS/ca.pem" -w '\nbegan after %{time_starttransfer}' "$FRONT/mcp" >"$WORK/events" || true
    cat "$WORK/events"
    grep -q '^data: first' "$WORK/events" && awk '/^began after/ { exit !($3 < 1) }' "$WORK/events"
}
stream_may_be_silent() {
    nginx -T -p "$STACK_FRONT" -c "$STACK_FRONT/nginx.conf" 2>/dev/null | awk '/location = \/mcp/ { inside = 1 } inside && /streams.conf/ { found = 1 } END { exit !found }' &&
        grep -qx 'proxy_read_timeout 1h;' "$STACK_FRONT/streams.conf" && grep -qx 'proxy_buffering off;' "$STACK_FRONT/streams.conf"
}

more_fronts() {
    upstream answer && ANSWERS=$UPSTREAM
    upstream drop && DROPS=$UPSTREAM
    closed=127.0.0.1:$(free_port)
    other_front retry STACK_AUTHZ="$DROPS $ANSWERS"
    check "a POST that was sent is never sent again" post_is_never_sent_again
    check "a GET is asked of the other server" get_is_sent_again
    other_front stopped STACK_AUTHZ="$closed $ANSWERS"
    check "a server that is stopped is passed over, for POST too" stopped_server_is_passed_over
    other_front away STACK_AUTHZ="$closed"
    check "no server at all is 503 and says when to come back" stopped_server_says_when
    other_front streams STACK_AUTHZ="$ANSWERS" STACK_RESOURCE="$ANSWERS"
    check "an event arrives at once" event_arrives_at_once
    check "a stream may be silent for an hour" stream_may_be_silent
    check "what a client claims about itself ends at the front" claims_end_here
    limited_fronts
}
