# The checks that need other fronts: retries, event streams, limits, hops, client certificates.
# Sourced, never run. Needs stack-test.sh, and node.
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

too_many_requests() {
    ten_times /jwks
    grep -q ' 200' "$WORK/statuses" && grep -q ' 429' "$WORK/statuses" && answers 429 "$FRONT/jwks" && has_header retry-after 1
}
too_many_connections() {
    for n in 1 2; do
        curl -s -N --max-time 3 --cacert "$STACK_CERTS/ca.pem" "$FRONT/mcp" >"$WORK/stream$n" &
    done
    tries=0
    until grep -qs first "$WORK/stream1" && grep -qs first "$WORK/stream2"; do
        tries=$((tries + 1))
        [ "$tries" -le 20 ] || return 1
        sleep 0.1
    done
    found=$(ask http_code "$FRONT/jwks")
    wait
    say "third: $found"
    [ "$found" = 429 ] && answers 200 "$FRONT/jwks"
}

# What a client says about itself and about the front ends here.
claims_end_here() {
    answers 200 "$FRONT/jwks" -H 'X-Forwarded-For: 198.51.100.1' -H 'X-Forwarded-Host: evil.example' -H 'Forwarded: for=198.51.100.1' \
        -H 'X-Real-IP: 198.51.100.1' -H 'X-Forwarded-Proto: javascript' -H 'X-Client-Certificate-Verified: SUCCESS' \
        -H 'X-Client-Certificate-Subject: CN=admin' -H 'Proxy: http://evil.example'
    cat "$WORK/body"
    jq -e '."x-forwarded-for" == "127.0.0.1" and ."x-forwarded-proto" == "https" and ."x-client-certificate-verified" == "NONE"
        and ([has("x-forwarded-host", "forwarded", "x-real-ip", "proxy", "x-client-certificate-subject")] | any | not)' "$WORK/body"
}
trusted_hop_is_believed() { register_from_everywhere "$FRONT" && grep -q '24 201' "$WORK/statuses"; }

certificate_is_needed() {
    answers 400 "$FRONT/jwks" && scripts/dev-certs --dir "$WORK/strangers" &&
        answers 400 "$FRONT/jwks" --cert "$WORK/strangers/client.pem" --key "$WORK/strangers/client.key" &&
        answers 200 "$FRONT/jwks" --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key" &&
        jq -e '."x-client-certificate-verified" == "SUCCESS" and ."x-client-certificate-subject" == "CN=developer"' "$WORK/body"
}
certificate_is_welcome() {
    answers 200 "$FRONT/jwks" && answers 400 "$FRONT/jwks" --cert "$WORK/strangers/client.pem" --key "$WORK/strangers/client.key" &&
        answers 200 "$FRONT/jwks" --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key"
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
    other_front hops STACK_TRUSTED_HOPS=127.0.0.1
    check "a trusted hop is believed about the client's address" trusted_hop_is_believed
    other_front rate STACK_AUTHZ="$ANSWERS" STACK_REQUESTS_PER_SECOND=1 STACK_REQUESTS_BURST=3
    check "too many requests are 429" too_many_requests
    other_front connections STACK_AUTHZ="$ANSWERS" STACK_RESOURCE="$ANSWERS" STACK_CONNECTIONS=2
    check "too many connections are 429" too_many_connections
    other_front required STACK_AUTHZ="$ANSWERS" STACK_CLIENT_CERTS=on
    check "where client certificates are on, one of our authority is needed" certificate_is_needed
    other_front optional STACK_AUTHZ="$ANSWERS" STACK_CLIENT_CERTS=optional
    check "where client certificates are optional, one that is sent must be right" certificate_is_welcome
}
