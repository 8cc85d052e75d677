# The checks of scripts/engine-test with the overlay for production.
# Sourced, never run. Needs engine-test.sh.
# shellcheck shell=sh

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
    export STACK_CERTS="$WORK/clone/given"
    first_visitor
    check "every container is hardened" hardened_containers
    check "no secret stands among the variables" no_secret_in_variables
    check "the curl client works in production" curl_client
    check "killed servers come back" comes_back_after_a_crash
    check "reset of production leaves nothing" nothing_stays
    unset COMPOSE_FILE STACK_GIVEN
    export STACK_CERTS="$WORK/clone/certs"
}
misses_are_named() { ! docker compose config --quiet 2>"$WORK/misses" && cat "$WORK/misses" && grep -q STACK_GIVEN "$WORK/misses"; }
