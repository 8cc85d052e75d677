# The commands of scripts/stack where there is a Docker engine.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

# Folders of this machine mean nothing inside the containers.
unset STACK_CERTS STACK_FRONT STACK_CONFIG STACK_SECRETS STACK_RUN STACK_PLAIN STACK_BIND
# STACK_BUILD=no takes the images that the variables name as they are.
case ${STACK_BUILD:-yes} in no) build=--no-build ;; *) build=--build ;; esac

compose_start() { docker compose up "$build" --detach --wait "$@"; }
compose_stop() { docker compose stop "$@"; }
compose_restart() { compose_stop "$@" && compose_start "$@"; }
# nginx leaves a replica out for a second or two after it found it away.
compose_roll() {
    for server in $(docker compose ps --services "$@" | grep -E '^(authz|resource)' | sort); do
        docker compose up "$build" --detach --wait --no-deps --force-recreate "$server" && sleep 3 || return
    done
}
compose_status() { docker compose ps --all "$@"; }
compose_logs() { docker compose logs --no-color --tail "${STACK_LINES:-100}" "$@"; }
compose_clean() { docker compose --profile '*' down --remove-orphans; }
# The authority in certs/ belongs to root of the container, so a container removes it.
compose_reset() {
    docker compose run --rm --no-deps --entrypoint sh init -c 'rm -rf /certs/*' || return
    docker compose --profile '*' down --remove-orphans --volumes
}

# Fails unless every container that should run is well; the ones that only prepare have ended with 0.
compose_health() {
    docker compose ps --all --format '{{.Service}} {{.State}} {{.Health}} {{.ExitCode}}' "$@" | awk '
        { print }
        $2 == "running" && ($3 == "healthy" || $3 !~ /[a-z]/) { well++; next }
        $1 ~ /^init/ && $2 == "exited" && $NF == 0 { next }
        { ill++ }
        END { exit !well || ill }'
}
