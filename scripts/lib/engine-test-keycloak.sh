# The checks of scripts/engine-test with Keycloak in authz's place.
# Sourced, never run. Needs engine-test.sh, images.sh and keycloak.sh.
# shellcheck shell=sh

# usage: keycloak_command ARGUMENT...; kcadm.sh in the container, which has the password of the admin
keycloak_command() {
    docker compose exec -T keycloak bash -c \
        'kc() { /opt/keycloak/bin/kcadm.sh "$@" --config /tmp/kcadm; }
        kc config credentials --server http://localhost:8080 --realm master --user admin --password "$(cat /secrets/keycloak-admin)" >/dev/null 2>&1 && kc "$@"' kc "$@"
}
# As docs/keycloak.md has it: an invitation, then a client for client credentials by the script.
machine_gets_in() {
    INITIAL_ACCESS_TOKEN=$(keycloak_command create clients-initial-access -r mcp -s count=1 -s expiration=3600 -o | jq -er .token) || return 1
    # What the script keeps beside the curl client is what counts, and not the client of the checks before.
    unset CLIENT_ID CLIENT_SECRET
    export INITIAL_ACCESS_TOKEN CURL_CA_BUNDLE="$STACK_CERTS/ca.pem"
    scripts/setup_dcr.sh -u "$STACK_PUBLIC_URL" --auto-update --scopes 'mcp:read mcp:write machine' && cd examples/curl-client || return 1
    ./get_token.sh -u "$STACK_PUBLIC_URL" >"$WORK/token" && ./call_tool.sh -u "$STACK_PUBLIC_URL" echo hello | tee "$WORK/called" && grep -q hello "$WORK/called"
}
keycloak_is_the_issuer() {
    answers 200 "$STACK_PUBLIC_URL/.well-known/oauth-protected-resource/mcp" &&
        jq -e --arg issuer "$STACK_PUBLIC_URL/realms/mcp" '.authorization_servers == [$issuer]' "$WORK/body" &&
        answers 200 "$STACK_PUBLIC_URL/realms/mcp/.well-known/openid-configuration" &&
        jq -e --arg issuer "$STACK_PUBLIC_URL/realms/mcp" '.issuer == $issuer' "$WORK/body" && answers 404 "$STACK_PUBLIC_URL/admin/"
}

with_keycloak() {
    if [ "$STAND_INS" = yes ]; then
        (need_keycloak) || { say "Keycloak cannot be had here: NOT CHECKED" && return; }
        stand_in keycloak "$KEYCLOAK_HOME"
        export STACK_KEYCLOAK_IMAGE="$TEST_IMAGES/keycloak:1"
    fi
    export COMPOSE_PROFILES=keycloak
    check "the stack starts with Keycloak in authz's place" starts
    check "Keycloak is the issuer, and its admin stays inside" keycloak_is_the_issuer
    check "a machine registers by the script and calls a tool" machine_gets_in
    check "and nothing of Keycloak stays" nothing_stays
    unset COMPOSE_PROFILES
}
