# Settings of the stack, and what docker-compose.yml says of its services.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

# Prints compose where an engine answers, else plain.
stack_mode() {
    if [ -n "${STACK_MODE:-}" ]; then
        say "$STACK_MODE"
    elif has docker && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
        say compose
    else
        say plain
    fi
}

# The values of docker-compose.yml's variables where everything is one machine without containers.
stack_settings() {
    PATH=$PATH:/usr/sbin
    STACK_HOME=${STACK_HOME:-$TARGET/stack}
    STACK_BIND=127.0.0.1
    STACK_FRONT_ADDRESS=127.0.0.1
    STACK_HTTP_PORT=${STACK_HTTP_PORT:-8081}
    STACK_HTTPS_PORT=${STACK_HTTPS_PORT:-8443}
    STACK_PUBLIC_URL=${STACK_PUBLIC_URL:-https://localhost:$STACK_HTTPS_PORT}
    STACK_AUTHZ_PORT=${STACK_AUTHZ_PORT:-9000}
    STACK_RESOURCE_PORT=${STACK_RESOURCE_PORT:-9100}
    STACK_POSTGRES_PORT=${STACK_POSTGRES_PORT:-54320}
    STACK_REDIS_PORT=${STACK_REDIS_PORT:-63790}
    STACK_AUTHZ_2_PORT=${STACK_AUTHZ_2_PORT:-9001} STACK_AUTHZ_2_METRICS_PORT=${STACK_AUTHZ_2_METRICS_PORT:-9466}
    STACK_RESOURCE_2_PORT=${STACK_RESOURCE_2_PORT:-9101} STACK_RESOURCE_2_METRICS_PORT=${STACK_RESOURCE_2_METRICS_PORT:-9467}
    STACK_AUTHZ=127.0.0.1:$STACK_AUTHZ_PORT
    STACK_RESOURCE=127.0.0.1:$STACK_RESOURCE_PORT
    ! replicas || STACK_AUTHZ="$STACK_AUTHZ 127.0.0.1:$STACK_AUTHZ_2_PORT" STACK_RESOURCE="$STACK_RESOURCE 127.0.0.1:$STACK_RESOURCE_2_PORT"
    STACK_REDIS=127.0.0.1:$STACK_REDIS_PORT
    STACK_POSTGRES=127.0.0.1:$STACK_POSTGRES_PORT
    STACK_CERTS=${STACK_CERTS:-$ROOT/certs}
    STACK_FRONT=$STACK_HOME/front STACK_CONFIG=$STACK_HOME/config STACK_SECRETS=$STACK_HOME/secrets
    STACK_RUN=$STACK_HOME/run STACK_PLAIN=$STACK_HOME/data/plain
    # Everything belongs to who runs it.
    STACK_OWNER='' STACK_FRONT_OWNER='' STACK_POSTGRES_OWNER='' STACK_KEYCLOAK_OWNER='' STACK_GRAFANA_OWNER='' STACK_REDIS_OWNER=''
    export STACK_HOME STACK_BIND STACK_FRONT_ADDRESS STACK_HTTP_PORT STACK_HTTPS_PORT STACK_PUBLIC_URL STACK_AUTHZ_PORT \
        STACK_RESOURCE_PORT STACK_POSTGRES_PORT STACK_AUTHZ STACK_RESOURCE STACK_POSTGRES STACK_CERTS STACK_FRONT \
        STACK_CONFIG STACK_SECRETS STACK_RUN STACK_PLAIN STACK_OWNER STACK_FRONT_OWNER STACK_POSTGRES_OWNER \
        STACK_KEYCLOAK_OWNER STACK_GRAFANA_OWNER STACK_REDIS_OWNER STACK_REDIS STACK_REDIS_PORT
}

# Whether there are two of each server; the same variable says so to an engine.
replicas() { case ",${COMPOSE_PROFILES:-}," in *,replicas,*) ;; *) return 1 ;; esac }

# usage: compose_file SERVICE environment|command|entrypoint|image
# The second replica is the first one with other ports.
compose_file() {
    case $1 in
    *-2)
        STACK_AUTHZ_PORT=$STACK_AUTHZ_2_PORT STACK_AUTHZ_METRICS_PORT=$STACK_AUTHZ_2_METRICS_PORT \
            STACK_RESOURCE_PORT=$STACK_RESOURCE_2_PORT STACK_RESOURCE_METRICS_PORT=$STACK_RESOURCE_2_METRICS_PORT \
            awk -v service="${1%-2}" -v what="$2" -f scripts/lib/compose.awk docker-compose.yml
        ;;
    *) awk -v service="$1" -v what="$2" -f scripts/lib/compose.awk docker-compose.yml ;;
    esac
}

# Whether the servers are told of Redis.
has_redis() { compose_file authz environment | grep -q '^PORTCULLIS_REDIS_URL'; }

# Every service in the order of the start; second replicas where they are asked for, or were started.
all_services() {
    say postgres
    ! has_redis || say redis
    for server in authz resource; do
        say "$server"
        if replicas || [ -e "$STACK_HOME/pid/$server-2" ]; then say "$server-2"; fi
    done
    say nginx
}
