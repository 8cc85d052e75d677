# Docker's own compose, to read the files as it does. No engine is needed for that.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

. scripts/lib/go-tools.sh

DOCKER_COMPOSE_VERSION=v5.4.0

# Sets COMPOSE to the command: Docker's plugin, or one built from its Go module if asked to ("yes").
# usage: need_compose yes|no
need_compose() {
    COMPOSE=$TARGET/tools/bin/docker-compose
    [ ! -x "$COMPOSE" ] || return 0
    if docker compose version >/dev/null 2>&1; then
        COMPOSE='docker compose'
        return 0
    fi
    need_go "$1" || return 77
    build_go docker-compose build_compose
}

# Its go.mod has exclude lines, with which "go install" refuses; as a dependency it builds.
build_compose() {
    rm -f go.mod go.sum
    go mod init compose && timeout 600 go get "github.com/docker/compose/v5@$DOCKER_COMPOSE_VERSION" &&
        timeout 900 go build -trimpath -ldflags '-s -w' -o "$COMPOSE" github.com/docker/compose/v5/cmd
}
