# Tools that exist as Go modules, built into the target folder. Sourced, never run. Needs common.sh.
# shellcheck shell=sh

# usage: need_go yes|no
need_go() {
    PATH=$PATH:/usr/local/go/bin
    [ "$1" = yes ] && has go || return 77
}

# Runs a command that builds a tool into the folder tools/bin, in a folder and with caches of its own,
# which go afterwards. Its last lines are shown if it fails.
# usage: build_go TOOL COMMAND [ARGUMENT…]
build_go() {
    go_home=$TARGET/tools/$1
    shift
    mkdir -p "$go_home" "$TARGET/tools/bin"
    (
        cd "$go_home"
        export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-mod=mod -buildvcs=false'
        export GOPATH="$go_home/go" GOCACHE="$go_home/cache" GOBIN="$TARGET/tools/bin"
        "$@"
        built=$?
        go clean -modcache -cache
        exit "$built"
    ) </dev/null >"$go_home.log" 2>&1 || {
        tail -n 5 "$go_home.log" >&2
        return 77
    }
}
