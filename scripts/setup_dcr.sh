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
# shellcheck source=scripts/lib/registration.sh
. "$root/scripts/lib/registration.sh"

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

if [ -n "$issuer" ]; then
    ISSUER=$issuer
    discover_issuer
else
    discover
fi
endpoint=$(jq -er .registration_endpoint "$WORK/body") || die "$ISSUER does not let clients register"

[ -z "$auto_update" ] || end_if_kept_client_works
register
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
