# `portcullis resource` beside a Keycloak that scripts/keycloak started. Sourced, never run.
# Needs common.sh, keycloak.sh, PORTCULLIS, WORK, MCP_ORIGIN and guard_port.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by the script that sources this

GUARD_PID=''

# Starts it and waits until it has Keycloak's keys.
guard_start() {
    # The issuer is reached on another name than the one it gives itself, as behind a front.
    cat >"$WORK/portcullis.toml" <<CONFIG
[server]
public_url = "$MCP_ORIGIN"
listen = "127.0.0.1:$guard_port"

[resource]
authorization_servers = ["$ISSUER"]
leeway = "1s"

[resource.jwks]
ttl = "5s"
cooldown = "1s"

[[resource.issuers]]
issuer = "$ISSUER"
internal_url = "http://127.0.0.1:$KEYCLOAK_PORT/realms/mcp"
algorithms = ["ES256"]
token_types = ["at+jwt", "JWT"]
roles_claim = "realm_access.roles"
CONFIG
    (cd "$WORK" && exec "$PORTCULLIS" --config portcullis.toml resource) \
        >"$WORK/resource.log" 2>&1 </dev/null &
    GUARD_PID=$!
    curl -fs -o /dev/null --retry 50 --retry-delay 1 --retry-all-errors "$MCP_ORIGIN/readyz"
}

# Stops it; with a word, shows its log and Keycloak's first.
guard_stop() {
    [ -n "$GUARD_PID" ] || return 0
    [ -z "${1:-}" ] || tail -n 20 "$WORK/resource.log" "$KEYCLOAK_RUN/log" >&2 || :
    stop "$GUARD_PID"
    GUARD_PID=''
}
