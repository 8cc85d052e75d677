# The checks of scripts/replicas-test with requests: sessions, sharing, restarts under load.
# Sourced, never run. Needs replicas.sh.
# shellcheck shell=sh

PASSED=0
FAILED=0

# Counts a check; what it says, its figures above all, is printed in any case.
# usage: check DESCRIPTION COMMAND [ARGUMENT...]
check() {
    description=$1
    shift
    result=ok
    ("$@") >"$WORK/output" 2>&1 || result=FAIL
    count_check
}

count_check() {
    if [ "$result" = ok ]; then PASSED=$((PASSED + 1)); else FAILED=$((FAILED + 1)); fi
    printf '%-5s %s\n' "$result" "$description"
    sed 's/^/      /' "$WORK/output"
}

# How many calls of nginx each replica of resource has answered.
served() { grep -c "\"path\":\"/mcp\".*\"upstream\":\"$(address_of "$1")\"" "$STACK_HOME/log/nginx.log"; }

sessions_find_their_replica() {
    node tests/replicas/sessions.mjs && say "answered by resource: $(served resource), by resource-2: $(served resource-2)" &&
        [ "$(served resource)" -gt 0 ] && [ "$(served resource-2)" -gt 0 ]
}

# The public URL is the issuer everywhere; inside, keys and metadata come from another address.
one_issuer() {
    metadata=/.well-known/oauth-authorization-server
    curl -fsS --cacert "$STACK_CERTS/ca.pem" "$STACK_PUBLIC_URL$metadata" | jq -er .issuer >"$WORK/issuer" || return 1
    for service in authz authz-2; do
        curl -fsS -H "Host: localhost:$STACK_HTTPS_PORT" "http://$(address_of "$service")$metadata" | jq -er .issuer | cmp - "$WORK/issuer" || return 1
    done
    say "issuer $(cat "$WORK/issuer"), $(grep '^internal_url' "$STACK_CONFIG/resource.toml")"
    [ "$(cat "$WORK/issuer")" = "$STACK_PUBLIC_URL" ] && ! grep -q "^internal_url.*$STACK_PUBLIC_URL" "$STACK_CONFIG/resource.toml"
}

what_is_shared() { operate key list && node tests/replicas/sharing.mjs "$(rotate_command)"; }

# The command that rotates the key, as text for a shell.
rotate_command() {
    # shellcheck disable=SC2016  # the shell that runs it expands PATH
    printf 'cd "%s" && exec env -i PATH="$PATH" HOME="%s"' "$STACK_HOME/data" "$WORK"
    sed "s/.*/ '&'/" "$WORK/variables" | tr -d '\n'
    printf ' "%s" --config "%s" key rotate' "$STACK_BINARY" "$STACK_CONFIG/authz.toml"
}

# Not in a subshell: only who started a process learns how it ended.
restarts_under_load() {
    description="each server is restarted under load, and no request fails"
    rm -f "$WORK/began" "$WORK/over"
    node tests/replicas/load.mjs "${LOAD_REQUESTS:-20000}" "$WORK" >"$WORK/load" 2>&1 &
    load=$!
    result=ok
    until [ -e "$WORK/began" ] || ! kill -0 "$load" 2>/dev/null; do sleep 0.1; done
    : >"$WORK/output"
    for service in authz authz-2 resource resource-2; do
        # nginx asks a replica that it found away again after a second or two.
        sleep 3
        restart_watched "$service" >>"$WORK/output" 2>&1 || result=FAIL
    done
    : >"$WORK/over"
    wait "$load" || result=FAIL
    cat "$WORK/load" >>"$WORK/output"
    count_check
}
