#!/bin/sh
# Usage: get_token.sh [-s|--scope SCOPE] [-o|--output FILE] [-n|--no-save] [-u URL] [-k] [-v] [-h]
#
# Gets an access token with the client credentials in CLIENT_ID and CLIENT_SECRET, prints it, and
# keeps it in TOKEN_FILE with mode 0600. Finds the endpoints by discovery, starting at PORTCULLIS_URL.
# Details of the token go to standard error with --verbose. Exit 0 fine, 1 refused, 2 wrong usage.
#
#   -s, --scope SCOPE   the scopes to ask for, instead of SCOPE
#   -o, --output FILE   where to keep the token, instead of TOKEN_FILE
#   -n, --no-save       print it only
#   -u, --url URL       another PORTCULLIS_URL
#   -k, --insecure      do not verify TLS certificates; for development only
#   -v, --verbose       say what is done
#   -h, --help          this text
#
# A client is made by the operator, or registers itself and is written into .env beside this script:
#   portcullis client add demo --grant client_credentials --scope "mcp:read mcp:write"
#   scripts/setup_dcr.sh --auto-update

# shellcheck source=examples/curl-client/common.sh
. "$(dirname "$0")/common.sh"

save=yes
while [ $# -gt 0 ]; do
    common_option "$@"
    if [ "$SHIFT" -eq 0 ]; then
        SHIFT=2
        case $1 in
        -n | --no-save) save='' && SHIFT=1 ;;
        -s | --scope) value "$@" && SCOPE=$2 ;;
        -o | --output) value "$@" && TOKEN_FILE=$2 ;;
        *) misuse "unknown argument $1" ;;
        esac
    fi
    shift "$SHIFT"
done
if [ -z "${CLIENT_ID:-}" ] || [ -z "${CLIENT_SECRET:-}" ]; then
    misuse "set CLIENT_ID and CLIENT_SECRET"
fi

init
discover

request_token
require_success

TOKEN=$(jq -er .access_token "$WORK/body") || die "the answer has no access_token"
[ "$(jq -r '.token_type | ascii_downcase' "$WORK/body")" = bearer ] || die "the token is not a bearer token"
note "$(jq -r '"scope \(.scope), \(.expires_in) seconds"' "$WORK/body")"
if is_jwt "$TOKEN"; then
    note "$(jwt_part "$TOKEN" 1 | jq -r '"issuer \(.iss), client \(.client_id), audience \(.aud), until \(.exp | todate)"')"
fi

if [ -n "$save" ]; then
    (
        umask 077
        mkdir -p "$(dirname "$TOKEN_FILE")"
        # Moved into place whole: a reader never sees half a token, and an old file's mode does not stay.
        printf '%s\n' "$TOKEN" >"$TOKEN_FILE.$$"
        mv -f "$TOKEN_FILE.$$" "$TOKEN_FILE"
    )
    note "kept in $TOKEN_FILE"
fi
printf '%s\n' "$TOKEN"
