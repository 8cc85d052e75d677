# A Docker engine for a test: the one that answers, or one of Debian's package that the test starts itself.
# Sourced, never run. Needs common.sh and docker-compose.sh.
# shellcheck shell=sh

# given or own
ENGINE=given
export ENGINE
ENGINE_PID=''
ENGINE_DIR=''

# Sets ENGINE; starts one if asked to ("yes"). Fails with 77 where none can be had.
# usage: need_engine yes|no
need_engine() {
    ENGINE_DIR=$(mktemp -d)
    ! { has docker && docker info >/dev/null 2>&1; } || return 0
    [ "$1" = yes ] && [ "$(id -u)" -eq 0 ] || return 77
    PATH=$PATH:/usr/sbin
    { has dockerd && has iptables && has debootstrap; } || engine_package || return 77
    ENGINE=own
    # An engine changes how the machine forwards packets.
    iptables-save >"$ENGINE_DIR/rules" && cp /proc/sys/net/ipv4/ip_forward "$ENGINE_DIR/"
    mkdir "$ENGINE_DIR/bin" && ln -s /usr/bin/docker "$ENGINE_DIR/bin/docker"
    # The client of the same package: it knows how to build without a plug-in.
    PATH=$ENGINE_DIR/bin:$PATH DOCKER_HOST=unix://$ENGINE_DIR/socket DOCKER_BUILDKIT=1
    export PATH DOCKER_HOST DOCKER_BUILDKIT
    # What was built stays in the target folder, for the next time.
    dockerd --host "$DOCKER_HOST" --data-root "$TARGET/engine" --exec-root "$ENGINE_DIR/exec" --pidfile "$ENGINE_DIR/pid" \
        >"$ENGINE_DIR/log" 2>&1 &
    ENGINE_PID=$!
    tries=0
    until docker info >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$ENGINE_PID" 2>/dev/null; then
            tail -n 5 "$ENGINE_DIR/log" >&2
            return 77
        fi
        sleep 0.1
    done
}

# Where the package would start its service, it is told not to.
engine_package() {
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=$policy; }
    installed=0
    mkdir -p "$TARGET"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables debootstrap; } \
        </dev/null >"$TARGET/engine.log" 2>&1 || installed=$?
    [ -z "${made:-}" ] || rm -f "$made"
    return "$installed"
}

# Makes "docker compose" work with the compose of need_compose, where the engine's client has none.
engine_compose() {
    ! docker compose version >/dev/null 2>&1 || return 0
    need_compose "$1" || return 77
    DOCKER_CONFIG=$ENGINE_DIR/client
    export DOCKER_CONFIG
    mkdir -p "$DOCKER_CONFIG/cli-plugins" && ln -s "$COMPOSE" "$DOCKER_CONFIG/cli-plugins/docker-compose"
}

# Ends the engine that we started, with its containers, and puts back what it changed.
engine_stop() {
    if [ -n "$ENGINE_PID" ]; then
        stop "$ENGINE_PID" TERM 30 || true
        ENGINE_PID=''
        umount "$ENGINE_DIR/exec/netns/"* 2>/dev/null || true
        ip link delete docker0 2>/dev/null || true
        iptables-restore <"$ENGINE_DIR/rules" || true
        cat "$ENGINE_DIR/ip_forward" >/proc/sys/net/ipv4/ip_forward || true
    fi
    rm -rf "$ENGINE_DIR"
}
