# Runs the legs of a check one after the other, all of them, and says at the end which failed.
# Sourced, never run. A leg that exits with 77 could not be checked here.
# shellcheck shell=sh

LEGS_LOG=$(mktemp -d)
LEGS_TABLE=$LEGS_LOG/table
LEGS_FAILED=0
: >"$LEGS_TABLE"

minutes() { awk -v s="$1" 'BEGIN { printf "%.1f", s / 60 }'; }

# What a log says about tests: the sum over all of cargo's result lines.
tests_in() {
    awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
         END { if (NR && passed + failed) printf "%d passed, %d failed, %d ignored", passed, failed, ignored }' "$1"
}

# usage: leg NAME COMMAND [ARGUMENT...]
leg() {
    name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    began=$(date +%s)
    { "$@" </dev/null 2>&1 && echo 0 >"$LEGS_LOG/status" || echo $? >"$LEGS_LOG/status"; } |
        tee "$LEGS_LOG/$name.log"
    took=$(minutes $(($(date +%s) - began)))
    case $(cat "$LEGS_LOG/status") in
    0) result=passed ;;
    77) result='NOT CHECKED' ;;
    *)
        result=FAILED
        LEGS_FAILED=1
        ;;
    esac
    say "-- $name: $result, $took minutes"
    printf '%-20s %-12s %8s  %s\n' "$name" "$result" "$took" "$(tests_in "$LEGS_LOG/$name.log")" >>"$LEGS_TABLE"
}

# Prints the table; fails if a leg failed.
legs_summary() {
    say ""
    printf '%-20s %-12s %8s\n' leg result minutes
    cat "$LEGS_TABLE"
    return "$LEGS_FAILED"
}

legs_clean() { rm -rf "$LEGS_LOG"; }
