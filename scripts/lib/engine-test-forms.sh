# The checks of scripts/engine-test: the other forms of the stack.
# Sourced, never run. Needs engine-test.sh.
# shellcheck shell=sh

# Calls a tool until the file appears, each call with a connection of its own; prints how many of them failed.
calls_until() {
    calls=0 lost=0
    until [ -e "$1" ]; do
        calls=$((calls + 1))
        [ "$(ask http_code "$STACK_PUBLIC_URL/api/v1/tools/echo" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
            -d '{"message":"x"}')" = 200 ] || lost=$((lost + 1))
    done
    say "$calls calls, $lost lost"
}
rolls_without_a_loss() {
    running authz authz-2 resource resource-2 >"$WORK/before"
    rm -f "$WORK/rolled"
    calls_until "$WORK/rolled" >"$WORK/calls" &
    status=0
    scripts/stack roll || status=$?
    : >"$WORK/rolled"
    wait
    cat "$WORK/calls"
    # The control: all four are new, and there were calls.
    running authz authz-2 resource resource-2 | comm -12 - "$WORK/before" | tee "$WORK/old"
    [ "$status" -eq 0 ] && [ ! -s "$WORK/old" ] && grep -qE '^[0-9]{2,} calls, 0 lost$' "$WORK/calls"
}
with_replicas() {
    # The loop below asks more often than the front lets one address.
    export COMPOSE_PROFILES=replicas STACK_REQUESTS_PER_SECOND=1000 STACK_REQUESTS_BURST=5000
    check "two replicas of each server start" starts
    first_visitor
    check "a restart of all four loses no call" rolls_without_a_loss
    check "every replica is well" scripts/stack health
    check "and reset leaves nothing" nothing_stays
    unset COMPOSE_PROFILES STACK_REQUESTS_PER_SECOND STACK_REQUESTS_BURST
}

plain_server() {
    STACK_PLAIN_PORT=$(free_port)
    export STACK_PLAIN_PORT COMPOSE_PROFILES=plain
    check "the plain server starts alone" starts plain
    check "it serves both, without TLS" plain_serves
    check "and nothing of it stays" nothing_stays
    unset COMPOSE_PROFILES
}
plain_serves() {
    answers 200 "http://localhost:$STACK_PLAIN_PORT/.well-known/oauth-authorization-server" &&
        jq -e --arg issuer "http://localhost:$STACK_PLAIN_PORT" '.issuer == $issuer' "$WORK/body" && answers 401 "http://localhost:$STACK_PLAIN_PORT/mcp" -X POST
}

# Grafana has no stand-in, so only Prometheus is started.
with_monitoring() {
    STACK_PUBLISH_PROMETHEUS=$(free_port)
    export STACK_PUBLISH_PROMETHEUS
    check "Prometheus starts beside the stack" starts_with_prometheus
    check "it reads both servers, and its rules are good" prometheus_sees
    check "and nothing of both stays" nothing_stays
}
starts_with_prometheus() { starts && starts prometheus; }
# Whether what an address answers is one JSON text of which this holds; no answer is none.
# usage: holds URL FILTER
holds() { curl -fsS "$1" >"$WORK/answer" && jq -es "length == 1 and (.[0] | $2)" "$WORK/answer"; }
prometheus_sees() {
    prometheus=http://127.0.0.1:$STACK_PUBLISH_PROMETHEUS/api/v1
    tries=0
    until holds "$prometheus/targets" '[.data.activeTargets[] | select(.health == "up") | .labels.service] | unique == ["authz", "resource"]'; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || { cat "$WORK/answer" && return 1; }
        sleep 0.2
    done
    holds "$prometheus/rules" '[.data.groups[].rules[]] | length > 0 and all(.health != "err")'
}
