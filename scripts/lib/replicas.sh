# What the parts of scripts/replicas-test share: starting, guests, restarts.
# Sourced, never run. Needs common.sh and the parts of scripts/stack.
# shellcheck shell=sh

# Runs the binary as a service would, with more arguments.
# usage: operate ARGUMENT...
operate() {
    compose_file authz environment >"$WORK/variables"
    set -- "$STACK_BINARY" --config "$STACK_CONFIG/authz.toml" "$@"
    while IFS= read -r line; do set -- "$line" "$@"; done <"$WORK/variables"
    (cd "$STACK_HOME/data" && env -i PATH="$PATH" HOME="$WORK" "$@")
}

# Both authz at the same moment on an empty database: one of them migrates, makes keys and the admin.
start_together() {
    prepare
    start_postgres
    if has_redis; then start_redis && await redis; fi
    for service in authz authz-2; do spawn "$service" "$STACK_BINARY"; done
    for service in authz authz-2; do await "$service"; done
    for service in resource resource-2; do spawn "$service" "$STACK_BINARY"; done
    for service in resource resource-2; do await "$service"; done
    start_nginx
    await nginx
    # Others use this disk too, and how long it takes is not asked here: no process of ours is cut off from it.
    PGPASSWORD=$(cat "$STACK_SECRETS/postgres-password") psql -q -h 127.0.0.1 -p "$STACK_POSTGRES_PORT" -U portcullis -d portcullis \
        -c 'ALTER SYSTEM SET fsync = off' -c 'SELECT pg_reload_conf()' >/dev/null
}

made_once() {
    for service in authz authz-2; do
        curl -fsS -H "Host: localhost:$STACK_HTTPS_PORT" "http://$(address_of "$service")/jwks" | jq -S . >"$WORK/$service.jwks"
    done
    cmp "$WORK/authz.jwks" "$WORK/authz-2.jwks" && operate key list --json >"$WORK/keys" && operate user list --json >"$WORK/users" || return 1
    say "keys: $(jq -r '[.. | .state? // empty] | group_by(.) | map("\(length) \(.[0])") | join(", ")' "$WORK/keys"); accounts: $(jq -r '[.. | .username? // .name? // empty] | join(", ")' "$WORK/users")"
    [ "$(jq '[.. | .state? // empty | select(. == "active")] | length' "$WORK/keys")" -eq 1 ] &&
        [ "$(jq -r '[.. | .username? // .name? // empty] | length' "$WORK/users")" -eq 1 ]
}

# usage: client_for PREFIX ARGUMENT...; sets PREFIX_ID and PREFIX_SECRET.
client_for() {
    prefix=$1
    shift
    operate client add "$prefix" --json "$@" >"$WORK/client.json"
    export "${prefix}_ID=$(jq -er .client_id "$WORK/client.json")" "${prefix}_SECRET=$(jq -er .client_secret "$WORK/client.json")"
}

guests() {
    client_for CLIENT --grant client_credentials --scope 'mcp:read mcp:write'
    client_for APP --grant authorization_code --grant refresh_token --redirect-uri https://app.test/callback
    client_for ASKER --grant client_credentials --introspect "$STACK_PUBLIC_URL/mcp"
    PERSON=visitor PERSON_PASSWORD=$(openssl rand -hex 16)
    printf '%s\n' "$PERSON_PASSWORD" | operate user add "$PERSON" --password-stdin >/dev/null
    FRONT=$STACK_PUBLIC_URL AUTHZ="http://$(address_of authz) http://$(address_of authz-2)"
    RESOURCE="http://$(address_of resource) http://$(address_of resource-2)" NODE_EXTRA_CA_CERTS=$STACK_CERTS/ca.pem
    METRICS="http://127.0.0.1:$STACK_AUTHZ_METRICS_PORT http://127.0.0.1:$STACK_AUTHZ_2_METRICS_PORT http://127.0.0.1:$STACK_RESOURCE_METRICS_PORT http://127.0.0.1:$STACK_RESOURCE_2_METRICS_PORT"
    export METRICS PERSON PERSON_PASSWORD FRONT AUTHZ RESOURCE NODE_EXTRA_CA_CERTS
    # Both replicas notice new clients within a second.
    sleep 1
}

# Stops one server as an operator does and starts it again; fails unless it said first that it is not
# ready, and ended with 0 in time. Not in a subshell: only who started a process learns how it ended.
# usage: restart_watched SERVICE
restart_watched() {
    watched=$(pid_of "$1")
    began=$(date +%s%3N)
    node tests/replicas/stopping.mjs "http://$(address_of "$1")" "$watched" || { kill -s TERM "$watched" && return 1; }
    ended=0
    wait "$watched" || ended=$?
    stopped=$(date +%s%3N)
    spawn "$1" "$STACK_BINARY"
    await "$1"
    say "$1: not ready at once, ended with $ended after $((stopped - began)) ms, ready again after $(($(date +%s%3N) - stopped)) ms"
    [ "$ended" -eq 0 ] && [ "$((stopped - began))" -lt 30000 ]
}
