# What the checks of scripts/stack-test share: counting, requests through the front, more fronts.
# Sourced, never run. Needs common.sh and stack.sh.
# shellcheck shell=sh

PASSED=0
FAILED=0

# usage: check DESCRIPTION COMMAND [ARGUMENT...]
check() {
    description=$1
    shift
    # A subshell, so that a command that ends itself ends only its own check.
    if ("$@") >"$WORK/output" 2>&1; then
        PASSED=$((PASSED + 1))
        say "ok    $description"
    else
        FAILED=$((FAILED + 1))
        say "FAIL  $description"
        sed 's/^/      /' "$WORK/output"
    fi
}

# One request; the answer lies in head and body, the figure asked for is printed.
# usage: ask FIGURE URL [CURL ARGUMENT...]
ask() {
    figure=$1 url=$2
    shift 2
    curl -s -S --max-time 10 --path-as-is --cacert "$STACK_CERTS/ca.pem" -D "$WORK/head" -o "$WORK/body" \
        -w "%{$figure}" "$@" "$url"
}

# Whether the answer has this status; says what it was.
# usage: answers STATUS URL [CURL ARGUMENT...]
answers() {
    expected=$1
    shift
    found=$(ask http_code "$@") || { say "curl: exit $? at $1" && return 1; }
    [ "$found" = "$expected" ] || { say "$1: $found, expected $expected" && cat "$WORK/head" && return 1; }
}

# Prints the values of one header of the last answer, one per line.
header() { tr -d '\r' <"$WORK/head" | awk -v name="$1:" 'tolower($1) == name { sub(/^[^:]*: */, ""); print }'; }

# usage: has_header NAME VALUE; once, and with this value.
has_header() { [ "$(header "$1")" = "$2" ] || { say "$1: '$(header "$1")', expected '$2'" && return 1; }; }

# Runs a command with the variables of a service, and nothing else.
# With RUN=exec, in a subshell, the number of the subshell becomes that of the command.
# usage: as_service SERVICE COMMAND [ARGUMENT...]
as_service() {
    compose_file "$1" environment >"$WORK/variables"
    shift
    while IFS= read -r line; do set -- "$line" "$@"; done <"$WORK/variables"
    ${RUN:-} env -i PATH="$PATH" HOME="$WORK" "$@"
}
