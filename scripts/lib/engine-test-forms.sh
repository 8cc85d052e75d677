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

# What production promises of every container that runs, as the engine sees it.
hardened_containers() {
    docker compose ps --quiet | xargs docker inspect --format \
        '{{.Name}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.RestartPolicy.Name}} {{gt .HostConfig.Memory 0}} {{.HostConfig.PidsLimit}} {{.Config.User}}' |
        tee "$WORK/hardened"
    [ "$(wc -l <"$WORK/hardened")" -eq 5 ] &&
        ! grep -vE '^[^ ]+ true \[ALL\] \[no-new-privileges:true\] unless-stopped true 256 [1-9][0-9]*:[1-9][0-9]*$' "$WORK/hardened"
}
no_secret_in_variables() {
    docker compose ps --all --quiet | xargs docker inspect >"$WORK/inspected"
    for secret in given/postgres-password given/key-encryption-key; do ! grep -qF "$(cat "$secret")" "$WORK/inspected" || return 1; done
}
comes_back_after_a_crash() {
    docker compose kill --signal KILL resource >/dev/null
    pid=$(docker compose ps --quiet authz)
    docker kill --signal SEGV "$pid" >/dev/null
    scripts/stack start && scripts/stack health && gets_a_token
}
as_in_production() {
    mkdir -m 700 given
    scripts/dev-certs --dir given --names "$STACK_NAMES" >"$WORK/output"
    (umask 077 && openssl rand -hex 32 >given/postgres-password && openssl rand -base64 32 >given/key-encryption-key)
    export COMPOSE_FILE=docker-compose.yml:docker-compose.prod.yml STACK_PUBLISH=127.0.0.1
    check "production says what it misses" misses_are_named
    export STACK_GIVEN="$PWD/given"
    check "production starts with what is given" starts
    STACK_CERTS=$WORK/clone/given
    first_visitor
    check "every container is hardened" hardened_containers
    check "no secret stands among the variables" no_secret_in_variables
    check "the curl client works in production" curl_client
    check "killed servers come back" comes_back_after_a_crash
    check "reset of production leaves nothing" nothing_stays
    unset COMPOSE_FILE STACK_GIVEN
    STACK_CERTS=$WORK/clone/certs
}
misses_are_named() { ! docker compose config --quiet 2>"$WORK/misses" && cat "$WORK/misses" && grep -q STACK_GIVEN "$WORK/misses"; }

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
prometheus_sees() {
    prometheus=http://127.0.0.1:$STACK_PUBLISH_PROMETHEUS/api/v1
    tries=0
    until curl -s "$prometheus/targets" | jq -e '[.data.activeTargets[] | select(.health == "up") | .labels.job] | unique | length >= 2' >"$WORK/targets"; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || { curl -s "$prometheus/targets" && return 1; }
        sleep 0.2
    done
    curl -s "$prometheus/rules" | jq -e '[.data.groups[].rules[]] | length > 0 and all(.health != "err")'
}
