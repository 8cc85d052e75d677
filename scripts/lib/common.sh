# Shared by every script: where we are, how to speak, how to stop what we started.
# Sourced, never run. Leaves the caller in the root of the repository; HERE is where it stood.
# shellcheck shell=sh

set -eu
HERE=$PWD
cd "$(dirname "$0")/.."
ROOT=$PWD
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
export HERE ROOT TARGET

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "$(basename "$0"): $*"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# Prints the comment block below the first line of the running script; that is its --help.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0"; }

# Answers --help, and refuses any argument the caller did not name.
# usage: options "ALLOWED WORDS" "$@"
options() {
    allowed=" $1 "
    shift
    for argument in "$@"; do
        case $argument in
        -h | --help)
            usage
            exit 0
            ;;
        esac
        case $allowed in
        *" $argument "*) ;;
        *)
            warn "$(basename "$0"): unknown argument '$argument'; see --help"
            exit 2
            ;;
        esac
    done
}

# Ends one process that we started and waits until it is gone; after so many seconds it is killed.
# usage: stop PID [SIGNAL [SECONDS]]
stop() {
    kill -s "${2:-TERM}" "$1" 2>/dev/null || return 0
    tries=0
    while kill -0 "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -le "${3:-10}0" ] || { kill -s KILL "$1" 2>/dev/null || true; }
        [ "$tries" -le "$((${3:-10} + 2))0" ] || return 1
        sleep 0.1
    done
}

# Prints a loopback port on which nobody listens, below the range of outgoing connections.
free_port() {
    while :; do
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
        curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$port/" || {
            [ $? -eq 7 ] && say "$port" && return
        }
    done
}
