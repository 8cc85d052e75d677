# The processes of the stack that scripts/stack started: noted, found again, shown.
# Sourced, never run. Needs common.sh and the settings of stack.sh.
# shellcheck shell=sh

# When a process began, in ticks since the machine started: a number that a later process with the
# same id does not have.
began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# Notes a process as ours.
# usage: note_process SERVICE PID
note_process() { printf '%s %s\n' "$2" "$(began "$2")" >"$STACK_HOME/pid/$1"; }

# Prints the process id of a service if the process that we started still runs.
pid_of() {
    read -r pid since 2>/dev/null <"$STACK_HOME/pid/$1" || return 1
    [ -n "$since" ] && [ "$(began "$pid")" = "$since" ] && say "$pid"
}

state_of() { if pid=$(pid_of "$1"); then say "running, process $pid"; else say "stopped"; fi; }

log_of() {
    say "== $1"
    tail -n "${STACK_LINES:-100}" "$STACK_HOME/log/$1.log" 2>/dev/null || true
}

# Starts PROGRAM with the command and with nothing but the variables of a service.
# usage: spawn SERVICE PROGRAM
spawn() {
    service=$1 program=$2
    set --
    while IFS= read -r line; do [ -z "$line" ] || set -- "$@" "$line"; done <<EOF
$(compose_file "$service" environment)
EOF
    set -- "$@" "$program"
    while IFS= read -r line; do set -- "$@" "$line"; done <<EOF
$(compose_file "$service" command)
EOF
    mkdir -p "$STACK_HOME/data/$service" && chmod 700 "$STACK_HOME/data/$service"
    (cd "$STACK_HOME/data/$service" && exec setsid env -i PATH="$PATH" HOME="${HOME:-/}" "$@") \
        >>"$STACK_HOME/log/$service.log" 2>&1 </dev/null &
    note_process "$service" $!
}
