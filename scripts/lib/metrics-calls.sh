#!/bin/sh
# Usage: metrics-calls.sh [--help]
#
# The part of scripts/metrics-check that runs beside a server: makes every family count, reads the
# metrics in both forms, gives them to promtool and compares the families with docs/metrics.md.

set -eu
case ${1:-} in -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" && exit 0 ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
metrics=http://$PORTCULLIS_METRICS_LISTEN

# One request; only its status counts.
# usage: expect STATUS [CURL ARGUMENT...]
expect() {
    wanted=$1
    shift
    status=$(curl -s -o "$work/answer" -w '%{http_code}' --max-time 10 "$@")
    [ "$status" = "$wanted" ] && return 0
    printf 'expected %s and got %s: %s\n' "$wanted" "$status" "$*" >&2
    exit 1
}

token=$(PORTCULLIS_CLIENT_SECRET=$CLIENT_SECRET portcullis token --client-id "$CLIENT_ID")
printf 'header = "Authorization: Bearer %s"\n' "$token" >"$work/bearer"
tools=$PORTCULLIS_URL/api/v1/tools
json='Content-Type: application/json'
expect 200 -K "$work/bearer" -H "$json" -d '{"message":"hi"}' "$tools/echo"
expect 422 -K "$work/bearer" -H "$json" -d '{}' "$tools/echo"
expect 401 -H 'Authorization: Bearer wrong' "$tools"
expect 401 -X POST "$PORTCULLIS_URL/mcp"
expect 401 -u nobody:wrong -d grant_type=client_credentials "$PORTCULLIS_URL/token"
expect 400 "$PORTCULLIS_URL/authorize"
expect 404 "$PORTCULLIS_URL/nothing"
expect 200 "$metrics/health"

curl -fsS --max-time 10 "$metrics/metrics" >"$work/text"
promtool check metrics <"$work/text"
curl -fsS --max-time 10 -H 'Accept: application/openmetrics-text' "$metrics/metrics" >"$work/open"
[ "$(tail -n 1 "$work/open")" = '# EOF' ] || {
    printf 'the OpenMetrics form has no end\n' >&2
    exit 1
}

# The documented families are those that are described, and each has a sample.
# shellcheck disable=SC2016  # marks of code in Markdown
sed -n 's/^| `\(portcullis_[a-z_]*\)` |.*/\1/p' docs/metrics.md | sort >"$work/documented"
sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$work/text" | sort >"$work/described"
diff "$work/documented" "$work/described"
while read -r family; do
    grep -q "^$family\(_count\)\{0,1\}[{ ]" "$work/text" || {
        printf '%s has no sample\n' "$family" >&2
        exit 1
    }
done <"$work/documented"
printf '%s families, each with a sample\n' "$(wc -l <"$work/documented")"
