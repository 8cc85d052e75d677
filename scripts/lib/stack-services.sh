# The services of the stack as plain processes: how each starts and is asked.
# Sourced, never run. Needs common.sh, install.sh, postgres.sh and stack.sh.
# shellcheck shell=sh

# Sets the variables that docker-compose.yml gives to the service init, and runs it.
prepare() {
    umask 022
    mkdir -p "$STACK_HOME/log" "$STACK_HOME/pid" "$STACK_HOME/data" "$STACK_RUN"
    (
        while IFS= read -r line; do export "${line?}"; done <<EOF
$(compose_file init environment)
EOF
        scripts/stack-init
    ) || die "the preparation failed"
    if [ -z "${STACK_BINARY:-}" ]; then
        STACK_BINARY=$TARGET/debug/portcullis
        cargo build --locked --bin portcullis
    fi
}

# PostgreSQL of Debian's package; as root it runs as the account of the package.
start_postgres() {
    bin=$(postgres_bin)
    [ -n "$bin" ] || die "PostgreSQL is missing: install the Debian package postgresql"
    data=$STACK_HOME/data/postgres
    password=$STACK_HOME/data/postgres-password
    mkdir -p "$data" && touch "$STACK_HOME/log/postgres.log"
    cp "$STACK_SECRETS/postgres-password" "$password"
    [ "$(id -u)" -ne 0 ] || chown postgres "$data" "$password" "$STACK_HOME/log/postgres.log"
    as_postgres test -x "$STACK_HOME/data" || die "the account postgres cannot reach $STACK_HOME: set STACK_HOME to another folder"
    if [ ! -f "$data/PG_VERSION" ]; then
        as_postgres "$bin/initdb" -D "$data" -U portcullis -A scram-sha-256 -E UTF8 --locale=C.UTF-8 \
            --pwfile="$password" >/dev/null
    fi
    rm -f "$password"
    as_postgres "$bin/pg_ctl" -D "$data" -w -t 60 -l "$STACK_HOME/log/postgres.log" start >/dev/null \
        -o "-p $STACK_POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" ||
        { log_of postgres >&2 && die "PostgreSQL does not start"; }
    note_process postgres "$(head -n 1 "$data/postmaster.pid")"
    PGPASSWORD=$(cat "$STACK_SECRETS/postgres-password") "$bin/createdb" -h 127.0.0.1 -p "$STACK_POSTGRES_PORT" \
        -U portcullis portcullis 2>/dev/null || true
}
start_nginx() {
    has nginx || die "nginx is missing: install the Debian package nginx"
    spawn nginx nginx
}

start_redis() {
    has redis-server || die "Redis is missing: install the Debian package redis-server"
    spawn redis redis-server
}

# Where a service answers, for well.
address_of() {
    case $1 in
    authz) say "127.0.0.1:$STACK_AUTHZ_PORT" ;;
    authz-2) say "127.0.0.1:$STACK_AUTHZ_2_PORT" ;;
    resource) say "127.0.0.1:$STACK_RESOURCE_PORT" ;;
    resource-2) say "127.0.0.1:$STACK_RESOURCE_2_PORT" ;;
    plain) say "127.0.0.1:${STACK_PLAIN_PORT:-8080}" ;;
    esac
}

# Where STACK_CLIENT_CERTS is on, nobody gets in without a certificate.
front_is_well() {
    set -- --cacert "$STACK_FRONT/tls/client-ca.pem"
    [ ! -s "$STACK_CERTS/client.key" ] || set -- "$@" --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key"
    curl -fs -o /dev/null --max-time 3 "$@" "$STACK_PUBLIC_URL/livez"
}

# Whether a service does its work.
well() {
    pid_of "$1" >/dev/null || return 1
    case $1 in
    postgres) "$(postgres_bin)/pg_isready" -q -h 127.0.0.1 -p "$STACK_POSTGRES_PORT" -U portcullis ;;
    redis) [ "$(REDISCLI_AUTH=$(cat "$STACK_SECRETS/redis-password") redis-cli -p "$STACK_REDIS_PORT" ping 2>/dev/null)" = PONG ] ;;
    nginx) front_is_well ;;
    *) curl -fs -o /dev/null --max-time 3 "http://$(address_of "$1")/readyz" ;;
    esac
}
