# More fronts from the same files, and servers to stand behind them.
# Sourced, never run. Needs common.sh, stack.sh and stack-test.sh.
# shellcheck shell=sh

PIDS=''

# Starts another nginx from the same files with other settings; sets FRONT, its address.
# usage: other_front NAME VARIABLE=VALUE...
other_front() {
    name=$1
    shift
    https=$(free_port)
    FRONT=https://localhost:$https
    home=$STACK_HOME/fronts/$name
    mkdir -p "$home/run"
    (
        for setting in "$@" STACK_HTTPS_PORT="$https" STACK_HTTP_PORT="$(free_port)" STACK_PUBLIC_URL="$FRONT" \
            STACK_FRONT="$home" STACK_RUN="$home/run" STACK_CONFIG="$home/config" STACK_ISSUER=authz; do
            export "${setting?}"
        done
        while IFS= read -r line; do export "${line?}"; done <<EOF
$(compose_file init environment)
EOF
        scripts/stack-init && exec nginx -p "$home" -c "$home/nginx.conf" -g 'daemon off;' >"$home/log" 2>&1
    ) &
    PIDS="$PIDS $!"
    tries=0
    # Any answer will do: some fronts refuse us on purpose.
    until curl -s -o /dev/null --max-time 1 --cacert "$STACK_CERTS/ca.pem" "$FRONT/nothing-here"; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || { cat "$home/log" >&2 && die "the front $name does not start"; }
        sleep 0.1
    done
}

# Starts tests/stack/upstream.mjs; sets UPSTREAM, its address.
# usage: upstream answer|drop
upstream() {
    port=$(free_port)
    UPSTREAM=127.0.0.1:$port
    node tests/stack/upstream.mjs "$port" "$1" &
    PIDS="$PIDS $!"
    tries=0
    until curl -s -o /dev/null "http://$UPSTREAM/count"; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || die "the server behind the front does not start"
        sleep 0.1
    done
}

arrived() { curl -s "http://$1/count"; }
