# A private PostgreSQL for the tests: own folder, own port, own password, gone at the end.
# Sourced, never run. Needs common.sh and install.sh.
# shellcheck shell=sh

PG_DIR=''

# PostgreSQL refuses to run as root, so root hands over to the account of the Debian package.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

# Starts it and sets PORTCULLIS_TEST_POSTGRES_URL. Durability is off: the data lives for one run.
postgres_start() {
    bin=$(postgres_bin)
    PG_DIR=$(mktemp -d)
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$password" >"$PG_DIR/password"
    [ "$(id -u)" -ne 0 ] || chown -R postgres "$PG_DIR"
    as_postgres "$bin/initdb" -D "$PG_DIR/data" -U postgres -A scram-sha-256 --pwfile="$PG_DIR/password" \
        -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    tries=0
    until
        port=$(free_port)
        as_postgres "$bin/pg_ctl" -D "$PG_DIR/data" -w -t 60 -l "$PG_DIR/log" start >/dev/null \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=400 \
                -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    do
        tries=$((tries + 1))
        [ "$tries" -lt 5 ] || { cat "$PG_DIR/log" >&2; die "PostgreSQL does not start"; }
    done
    PORTCULLIS_TEST_POSTGRES_URL=postgres://postgres:$password@127.0.0.1:$port/postgres
    PORTCULLIS_TEST_REQUIRE_POSTGRES=1
    export PORTCULLIS_TEST_POSTGRES_URL PORTCULLIS_TEST_REQUIRE_POSTGRES
    say "PostgreSQL $("$bin/postgres" --version | awk '{ print $3 }') for the tests on port $port"
}

# Stops the one we started, by its own process id, and removes its folder.
postgres_stop() {
    [ -n "$PG_DIR" ] || return 0
    if [ -f "$PG_DIR/data/postmaster.pid" ]; then
        stop "$(head -n 1 "$PG_DIR/data/postmaster.pid")" INT
    fi
    rm -rf "$PG_DIR"
    PG_DIR=''
}
