# The outages of scripts/replicas-test: each part goes away and comes back while requests go on.
# Sourced, never run. Needs replicas.sh.
# shellcheck shell=sh

# Prints a process and everything below it.
family() {
    say "$1"
    for child in $(tr ' ' '\n' <"/proc/$1/task/$1/children"); do family "$child"; done
}

# Sends a signal to a service and to everything below it, all of it started by us.
# usage: signal_all SIGNAL SERVICE
signal_all() {
    # shellcheck disable=SC2046  # a list of numbers
    kill -s "$1" $(family "$(pid_of "$2")" | paste -sd' ' -)
}

# usage: outage KIND SECONDS BREAK MEND
outage() { node tests/replicas/outage.mjs "$@"; }

postgres_stops() { outage postgres 4 'scripts/stack stop postgres' 'scripts/stack start postgres'; }
postgres_freezes() { outage postgres 5 "kill -s STOP $(family "$(pid_of postgres)" | paste -sd' ' -)" "kill -s CONT $(family "$(pid_of postgres)" | paste -sd' ' -)"; }
nginx_is_killed() { outage nginx 2 "kill -s KILL $(family "$(pid_of nginx)" | paste -sd' ' -)" 'scripts/stack start nginx'; }

redis_stops() { outage redis 4 'scripts/stack stop redis' 'scripts/stack start redis'; }
redis_freezes() { outage redis 5 "kill -s STOP $(pid_of redis)" "kill -s CONT $(pid_of redis)"; }
# Full and read-only at once: every command that writes is answered with an error.
redis_refuses() {
    ask_redis="REDISCLI_AUTH=$(cat "$STACK_SECRETS/redis-password") redis-cli -p $STACK_REDIS_PORT"
    outage redis 4 "$ask_redis replicaof 127.0.0.1 1 >/dev/null" "$ask_redis replicaof no one >/dev/null"
}

outages() {
    check "PostgreSQL stopped and started: 503 within two seconds, tools go on, all is well within five" postgres_stops
    check "PostgreSQL frozen and thawed: the same" postgres_freezes
    check "nginx killed and started: the servers behind it notice nothing" nginx_is_killed
    if ! has_redis; then say "NOT CHECKED: Redis stopped, frozen, refusing (the servers are not told of Redis)" && return; fi
    check "Redis stopped and started: nothing fails" redis_stops
    check "Redis frozen and thawed: nothing fails" redis_freezes
    check "Redis refuses every write and takes them again: nothing fails" redis_refuses
}
