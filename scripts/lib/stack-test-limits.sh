# The checks of limits and of hops, each at a front of its own.
# Sourced, never run. Needs stack-test.sh and stack-test-others.sh.
# shellcheck shell=sh

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

limited_fronts() {
    other_front hops STACK_TRUSTED_HOPS=127.0.0.1
    check "a trusted hop is believed about the client's address" trusted_hop_is_believed
    other_front rate STACK_AUTHZ="$ANSWERS" STACK_REQUESTS_PER_SECOND=1 STACK_REQUESTS_BURST=3
    check "too many requests are 429" too_many_requests
    other_front connections STACK_AUTHZ="$ANSWERS" STACK_RESOURCE="$ANSWERS" STACK_CONNECTIONS=2
    check "too many connections are 429" too_many_connections
}
