#!/bin/sh
# Usage: . ./common.sh
#
# What the scripts of this folder share: settings, HTTP with curl, discovery, tokens.
# It is sourced; run alone it only prints this text.
#
# Variables
#   PORTCULLIS_URL  where the server is                       [http://localhost:8080]
#   CLIENT_ID       the client, made by "portcullis client add" or scripts/setup_dcr.sh
#   CLIENT_SECRET   its secret
#   ENV_FILE        a file with the variables above and SCOPE, for those that are not set  [.env beside the script]
#   SCOPE           the scopes to ask for                     [mcp:read mcp:write]
#   ACCESS_TOKEN    a token to use instead of the saved one
#   TOKEN_FILE      where the token is kept, mode 0600        [~/.cache/portcullis/access_token]
#   CURL_CA         PEM file with an authority to trust beside the system's
#
# Options of every script
#   -u, --url URL   another PORTCULLIS_URL
#   -k, --insecure  do not verify TLS certificates; for development only
#   -v, --verbose   say what is done, on standard error
#   -h, --help      this text

set -eu

# Takes from a file what the environment does not say. The file is read and never executed.
# usage: read_env FILE
read_env() {
    credentials_are_set=${CLIENT_ID:-}${CLIENT_SECRET:-}
    while IFS='=' read -r name text; do
        case $name in
        PORTCULLIS_URL) PORTCULLIS_URL=${PORTCULLIS_URL:-$text} ;;
        SCOPE) SCOPE=${SCOPE:-$text} ;;
        # Id and secret belong together.
        CLIENT_ID) [ -n "$credentials_are_set" ] || CLIENT_ID=$text ;;
        CLIENT_SECRET) [ -n "$credentials_are_set" ] || CLIENT_SECRET=$text ;;
        esac
    done <"$1"
}
ENV_FILE=${ENV_FILE-$(dirname "$0")/.env}
[ ! -r "$ENV_FILE" ] || read_env "$ENV_FILE"

PORTCULLIS_URL=${PORTCULLIS_URL:-http://localhost:8080}
SCOPE=${SCOPE:-mcp:read mcp:write}
TOKEN_FILE=${TOKEN_FILE:-${XDG_CACHE_HOME:-${HOME:-.}/.cache}/portcullis/access_token}
INSECURE=''
VERBOSE=''
# Lines for curl's standard input, so that no secret shows in the list of processes.
CREDENTIALS=''

note() { [ -z "$VERBOSE" ] || printf '%s\n' "$*" >&2; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}
misuse() {
    printf '%s: %s; see --help\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# Prints the comment block at the top of the running script.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0"; }

# Insists that an option has a value.
value() { [ $# -ge 2 ] || misuse "$1 needs a value"; }

# Reads one option that every script knows; SHIFT says how many words it took, 0 if it is not ours.
# usage: common_option "$@"
common_option() {
    SHIFT=1
    case $1 in
    -h | --help) usage && exit 0 ;;
    -k | --insecure) INSECURE=yes ;;
    -v | --verbose) VERBOSE=yes ;;
    -u | --url)
        value "$@"
        PORTCULLIS_URL=$2
        SHIFT=2
        ;;
    *)
        # shellcheck disable=SC2034  # read by the scripts that source this file
        SHIFT=0
        ;;
    esac
}

# Checks the tools and the address; makes a private folder that goes away at the end.
init() {
    for tool in curl jq; do
        command -v "$tool" >/dev/null 2>&1 || die "$tool is missing"
    done
    PORTCULLIS_URL=${PORTCULLIS_URL%/}
    case $PORTCULLIS_URL in
    http://* | https://*) ;;
    *) misuse "not an http(s) URL: $PORTCULLIS_URL" ;;
    esac
    [ -z "${CURL_CA:-}" ] || [ -r "$CURL_CA" ] || die "CURL_CA: cannot read $CURL_CA"
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 130' INT TERM
}

# One request. Sets STATUS; the answer lies in $WORK/head and $WORK/body.
# usage: http METHOD URL [CURL ARGUMENT...]
http() {
    method=$1
    url=$2
    shift 2
    : >"$WORK/head"
    : >"$WORK/body"
    STATUS=$(printf '%s' "$CREDENTIALS" | curl --config - --silent --show-error --max-time 30 \
        --request "$method" --dump-header "$WORK/head" --output "$WORK/body" --write-out '%{http_code}' \
        ${CURL_CA:+--cacert "$CURL_CA"} ${INSECURE:+--insecure} "$@" "$url") || die "no answer from $url"
    note "$method $url: $STATUS"
}

# Prints the value of one header of the last answer.
# usage: header NAME
header() {
    tr -d '\r' <"$WORK/head" | awk -v name="$1:" 'tolower($1) == name { sub(/^[^:]*: */, ""); value = $0 } END { print value }'
}

# Ends the script unless the last answer was a success; says what the server said.
require_success() {
    case $STATUS in
    2??) return 0 ;;
    esac
    challenge=$(header www-authenticate)
    die "HTTP $STATUS${challenge:+, $challenge}: $(head -c 2000 "$WORK/body")"
}

# Finds resource, issuer and token endpoint. Sets RESOURCE, ISSUER, TOKEN_ENDPOINT.
discover() {
    # RFC 9728 §3: the resource says which authorization servers it trusts.
    http GET "$PORTCULLIS_URL/.well-known/oauth-protected-resource/mcp"
    require_success
    RESOURCE=$(jq -er .resource "$WORK/body") || die "the resource metadata has no resource"
    ISSUER=$(jq -er '.authorization_servers[0]' "$WORK/body") || die "the resource metadata names no issuer"
    # RFC 9728 §3.3: metadata about another resource is somebody else's.
    [ "$RESOURCE" = "$PORTCULLIS_URL/mcp" ] || die "the metadata is about $RESOURCE, not $PORTCULLIS_URL/mcp"
    discover_issuer
    note "resource $RESOURCE, issuer $ISSUER, token endpoint $TOKEN_ENDPOINT"
}

# Finds the token endpoint of ISSUER. Sets TOKEN_ENDPOINT; the metadata stays in $WORK/body.
discover_issuer() {
    # RFC 8414 §3.1: the well-known part goes between host and path of the issuer.
    origin=$(printf '%s' "$ISSUER" | sed -E 's#^(https?://[^/]*).*#\1#')
    http GET "$origin/.well-known/oauth-authorization-server${ISSUER#"$origin"}"
    require_success
    # RFC 8414 §3.3: the document must speak for the issuer that was asked.
    [ "$(jq -r .issuer "$WORK/body")" = "$ISSUER" ] || die "the metadata of $ISSUER is somebody else's"
    TOKEN_ENDPOINT=$(jq -er .token_endpoint "$WORK/body") || die "the issuer has no token endpoint"
}

# Asks for a token with client credentials. The answer lies in $WORK/body.
request_token() {
    # RFC 6749 §2.3.1: id and secret are form-encoded before they become a Basic header.
    CREDENTIALS="user = \"$(encode "$CLIENT_ID"):$(encode "$CLIENT_SECRET")\""
    http POST "$TOKEN_ENDPOINT" --data-urlencode grant_type=client_credentials \
        --data-urlencode "scope=$SCOPE" ${RESOURCE:+--data-urlencode "resource=$RESOURCE"}
    CREDENTIALS=''
}
encode() { printf '%s' "$1" | jq -Rrs '@uri'; }

# Takes the token from the environment, else from the file. Sets TOKEN; fails if there is none.
find_token() {
    if [ -n "${ACCESS_TOKEN:-}" ]; then
        TOKEN=$ACCESS_TOKEN
    elif [ -r "$TOKEN_FILE" ]; then
        TOKEN=$(cat "$TOKEN_FILE")
    else
        die "no token: run get_token.sh, or set ACCESS_TOKEN"
    fi
    # RFC 6750 §2.1: the letters of a bearer token; anything else would break out of the header.
    case $TOKEN in
    '' | *[!A-Za-z0-9._~+/=-]*) die "that is not a bearer token" ;;
    esac
}

# From here on every request carries the token.
use_token() { CREDENTIALS="header = \"Authorization: Bearer $TOKEN\""; }

# Whether the text has the shape of a signed JWT.
is_jwt() { printf '%s' "$1" | grep -Eq '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'; }

# Prints one part of a JWT as JSON, unverified: for people to look at, never to decide by.
# usage: jwt_part TOKEN 0|1
jwt_part() {
    printf '%s' "$1" | jq -R --argjson part "$2" 'split(".")[$part] | gsub("-"; "+") | gsub("_"; "/")
        | . + ("===="[: (4 - length % 4) % 4]) | @base64d | fromjson'
}

# Whether a JWT says that it has ended.
is_expired() { [ "$(jwt_part "$1" 1 | jq -r '.exp // 0')" -le "$(date +%s)" ]; }

case $(basename "$0") in common.sh) usage ;; esac
