# The programs of PostgreSQL, called on this machine or in the container of the stack.
# Sourced, never run. Needs common.sh; ENGINE and URL are those of store.sh.
# shellcheck shell=sh

# Takes the password out of the address, where a list of processes would show it: SERVER, DB, QUERY, PGPASSWORD.
postgres_address() {
    rest=${URL#*://}
    QUERY='' DB=${rest#*/}
    case $DB in *\?*) QUERY="?${DB#*\?}" DB=${DB%%\?*} ;; esac
    authority=${rest%%/*}
    login='' SERVER=${authority##*@}
    case $authority in *@*) login=${authority%@*} && SERVER=${login%%:*}@$SERVER ;; esac
    case $login in *:*) PGPASSWORD=$(decoded "${login#*:}") && export PGPASSWORD ;; esac
    case $DB in '' | *[!A-Za-z0-9_-]*) die "the name of the database must be letters, digits, _ and -" ;; esac
}

# usage: decoded TEXT; with %XX as the byte that it means
decoded() {
    printf '%s' "$1" | LC_ALL=C awk 'BEGIN { for (i = 1; i < 256; i++) byte[sprintf("%02X", i)] = sprintf("%c", i) }
        { while (match($0, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
              printf "%s%s", substr($0, 1, RSTART - 1), byte[toupper(substr($0, RSTART + 1, 2))]
              $0 = substr($0, RSTART + 3) }
          printf "%s", $0 }'
}

# Runs a program of PostgreSQL on a database.
# usage: pg PROGRAM DATABASE [ARGUMENT...]
pg() {
    program=$1 database=$2
    shift 2
    if [ "$ENGINE" = compose ]; then
        # shellcheck disable=SC2016  # the shell in the container reads it
        docker compose exec -T postgres sh -c 'PGPASSWORD=$(cat /secrets/postgres-password) exec "$@"' sh \
            "$program" -h 127.0.0.1 -U portcullis -d "$database" "$@"
    else
        "$program" -d "postgres://$SERVER/$database$QUERY" "$@"
    fi
}
sql() { PGOPTIONS='-c client_min_messages=warning' pg psql "$1" -X -q -A -t -v ON_ERROR_STOP=1 -c "$2" </dev/null; }
# Whether the whole of an archive can be read.
readable_archive() {
    if [ "$ENGINE" = compose ]; then
        docker compose exec -T postgres pg_restore -f /dev/null <"$1"
    else
        pg_restore -f /dev/null "$1"
    fi
}
