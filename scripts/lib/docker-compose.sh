# Docker's own compose, to read the files as it does. No engine is needed for that.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

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
    PATH=$PATH:/usr/local/go/bin
    [ "$1" = yes ] && has go || return 77
    # Its go.mod has exclude lines, with which "go install" refuses; as a dependency it builds.
    mkdir -p "$TARGET/tools/docker-compose"
    (
        cd "$TARGET/tools/docker-compose" && rm -f go.mod go.sum
        export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-mod=mod -buildvcs=false' GOPATH="$TARGET/tools/go" GOCACHE="$TARGET/tools/go-build"
        go mod init compose && timeout 600 go get "github.com/docker/compose/v5@$DOCKER_COMPOSE_VERSION" &&
            timeout 900 go build -trimpath -ldflags '-s -w' -o "$COMPOSE" github.com/docker/compose/v5/cmd
        built=$?
        go clean -modcache -cache
        exit "$built"
    ) </dev/null >"$TARGET/tools/docker-compose.log" 2>&1 || {
        tail -n 5 "$TARGET/tools/docker-compose.log" >&2
        return 77
    }
}
