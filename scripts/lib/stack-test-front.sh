# The checks of the front as it stands: TLS, headers, names, addresses.
# Sourced, never run. Needs stack-test.sh.
# shellcheck shell=sh

redirects() {
    answers 301 "http://localhost:$STACK_HTTP_PORT/login?a=%2f" && has_header location "$STACK_PUBLIC_URL/login?a=%2f" &&
        answers 301 "http://localhost:$STACK_HTTP_PORT/" -H 'Host: evil.example' && has_header location "$STACK_PUBLIC_URL/"
}
# Only a token in the folder of the proofs is served without TLS (RFC 8555 §8.3).
proofs_for_an_authority() {
    folder=$STACK_HOME/front/acme/.well-known/acme-challenge plain=http://localhost:$STACK_HTTP_PORT/.well-known/acme-challenge
    mkdir -p "$folder" && chmod 755 "$folder" "${folder%/*}" && echo proof >"$folder/a_Token-1" && echo no >"$folder/other.txt"
    answers 200 "$plain/a_Token-1" && grep -qx proof "$WORK/body" && answers 404 "$plain/another" &&
        answers 301 "$plain/other.txt" && answers 301 "$plain/..%2f..%2fnginx.conf" && answers 400 "$plain/../../../nginx.conf"
}
# The client offers it in earnest, so it is the server that refuses: alert 70 (RFC 8446 §6.2).
refuses_tls() {
    openssl s_client -connect "localhost:$STACK_HTTPS_PORT" "-$1" -cipher 'DEFAULT@SECLEVEL=0' </dev/null 2>&1 |
        tee "$WORK/tls" | grep -q 'alert protocol version' || { cat "$WORK/tls" && return 1; }
}
speaks() { answers 200 "$STACK_PUBLIC_URL/health" "$1" "$2" && [ "$(ask http_version "$STACK_PUBLIC_URL/health")" = 2 ]; }
needs_our_authority() {
    status=0
    curl -s -o /dev/null "$STACK_PUBLIC_URL/health" || status=$?
    [ "$status" -eq 60 ]
}
hsts() {
    other=https://portcullis.test:$STACK_HTTPS_PORT
    for path in /health /nothing-here //mcp; do
        ask http_code "$other$path" --resolve "portcullis.test:$STACK_HTTPS_PORT:127.0.0.1" >/dev/null &&
            has_header strict-transport-security 'max-age=31536000; includeSubDomains' || return 1
    done
    for host in localhost 127.0.0.1; do
        ask http_code "https://$host:$STACK_HTTPS_PORT/health" >/dev/null && has_header strict-transport-security '' || return 1
    done
    ask http_code "http://portcullis.test:$STACK_HTTP_PORT/" --resolve "portcullis.test:$STACK_HTTP_PORT:127.0.0.1" >/dev/null &&
        has_header strict-transport-security ''
}
# Each once, whoever makes the answer: a server, a page, the front.
security_headers() {
    for path in /health /mcp /login /jwks /nothing-here //mcp; do
        ask http_code "$STACK_PUBLIC_URL$path" >/dev/null
        say "$path" && has_header x-frame-options DENY && has_header x-content-type-options nosniff &&
            has_header referrer-policy no-referrer && [ "$(header content-security-policy | grep -c "default-src 'none'")" = 1 ] || return 1
    done
    ask http_code "$STACK_PUBLIC_URL/login" >/dev/null
    header content-security-policy | grep -q "form-action 'self'"
}
never_stored() { ask http_code "$STACK_PUBLIC_URL/token" -d grant_type=nonsense >/dev/null && header cache-control | grep -q no-store; }
other_names() { answers 421 "$STACK_PUBLIC_URL/health" -H 'Host: evil.example' && grep -q "$STACK_PUBLIC_URL" "$WORK/body"; }

# Registers clients, each under an address of its own making; prints how often each status came.
# usage: register_from_everywhere FRONT
register_from_everywhere() {
    for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do
        ask http_code "$1/register" -H "X-Forwarded-For: 198.51.100.$n" -H "Forwarded: for=198.51.100.$n" -H "X-Real-IP: 198.51.100.$n" \
            -H 'Content-Type: application/json' -d "{\"client_name\":\"$1 $n\",\"redirect_uris\":[\"http://127.0.0.1/$n\"],\"token_endpoint_auth_method\":\"none\"}"
        echo
    done | sort | uniq -c | tee "$WORK/statuses"
}
spoofed_address_has_no_effect() {
    register_from_everywhere "$STACK_PUBLIC_URL" && grep -q '20 201' "$WORK/statuses" && grep -q '4 429' "$WORK/statuses"
}
