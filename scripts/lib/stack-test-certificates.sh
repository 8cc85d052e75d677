# The checks of client certificates at the front: who gets in, and whose word about a certificate goes on.
# Sourced, never run. Needs stack-test.sh and stack-test-others.sh; ANSWERS shows the headers that arrive.
# shellcheck shell=sh

certificate_is_needed() {
    answers 400 "$FRONT/jwks" &&
        answers 400 "$FRONT/jwks" --cert "$WORK/strangers/client.pem" --key "$WORK/strangers/client.key" &&
        answers 200 "$FRONT/jwks" --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key"
}

certificate_is_welcome() {
    answers 200 "$FRONT/jwks" && answers 400 "$FRONT/jwks" --cert "$WORK/strangers/client.pem" --key "$WORK/strangers/client.key" &&
        answers 200 "$FRONT/jwks" --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key"
}

# Whether the last request arrived with this verdict and this subject, none if it is empty, each once.
arrived_as() {
    jq -e --arg verdict "$1" --arg subject "$2" '
        [to_entries[] | select(.key | gsub("_"; "-") | test("client-certificate")) | [.key, .value]] | sort ==
        ([["x-client-certificate-verified", $verdict], ["x-client-certificate-subject", $subject]] | map(select(.[1] != "")) | sort)' "$WORK/body" ||
        { say "$(cat "$WORK/body")" && return 1; }
}

# Forged headers in every spelling, on every kind of path to both servers, over both versions of HTTP.
# usage: forged_certificates_end_here VERDICT SUBJECT [CURL ARGUMENT...]
forged_certificates_end_here() {
    verdict=$1 subject=$2
    shift 2
    for path in /token /jwks /authorize /register /.well-known/oauth-authorization-server /api/v1/tools/echo /.well-known/oauth-protected-resource/mcp; do
        for version in --http1.1 --http2; do
            say "$path $version" && answers 200 "$FRONT$path" "$version" "$@" -H 'X-Client-Certificate-Verified: SUCCESS' -H 'X-Client-Certificate-Subject: CN=robot' \
                -H 'x-client-certificate-verified: SUCCESS' -H 'X-CLIENT-CERTIFICATE-SUBJECT: CN=robot' \
                -H 'X_Client_Certificate_Verified: SUCCESS' -H 'X-Client_Certificate-Subject: CN=robot' &&
                arrived_as "$verdict" "$subject" || return 1
        done
    done
}

# Nobody else writes a header of a request: what is written twice replaces all that stands above it.
one_file_writes_headers() { [ "$(cd nginx && grep -l proxy_set_header -- *)" = proxy.conf ]; }

fronts_with_certificates() {
    check "headers of requests are written in one place" one_file_writes_headers
    scripts/dev-certs --dir "$WORK/strangers" >/dev/null
    for mode in off optional on; do
        other_front "$mode" STACK_AUTHZ="$ANSWERS" STACK_RESOURCE="$ANSWERS" STACK_CLIENT_CERTS="$mode"
        case $mode in
        optional) check "where client certificates are optional, one that is sent must be right" certificate_is_welcome ;;
        on) check "where client certificates are on, one of our authority is needed" certificate_is_needed ;;
        esac
        [ "$mode" = on ] || check "no server hears of a certificate that is only claimed ($mode)" forged_certificates_end_here NONE ''
        [ "$mode" = off ] || check "beside a certificate only its own subject arrives ($mode)" \
            forged_certificates_end_here SUCCESS CN=developer --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key"
    done
}
