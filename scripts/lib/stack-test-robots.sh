# The checks of clients that prove themselves by a certificate (RFC 8705), with nginx and both servers.
# Sourced, never run. Needs stack-test.sh, stack-test-others.sh and a running stack.
# shellcheck shell=sh

# Two servers of their own behind a front of their own, which asks for certificates; sets FRONT.
# usage: robots_behind optional|on
robots_behind() {
    authz=$(free_port) resource=$(free_port)
    other_front "robots-$1" STACK_AUTHZ="127.0.0.1:$authz" STACK_RESOURCE="127.0.0.1:$resource" STACK_CLIENT_CERTS="$1"
    config=$STACK_HOME/fronts/robots-$1/config
    printf '\n[[authz.clients]]\nid = "%s"\nauth_method = "tls_client_auth"\ntls_client_auth_subject_dn = "CN=%s"\nscope = "mcp:read"\n' \
        robot developer other somebody-else >>"$config/authz.toml"
    for server in authz resource; do
        port=$authz
        [ "$server" = authz ] || port=$resource
        (export RUN='exec' && as_service "$server" PORTCULLIS_SERVER_PUBLIC_URL="$FRONT" PORTCULLIS_SERVER_LISTEN="127.0.0.1:$port" \
            PORTCULLIS_METRICS_LISTEN="127.0.0.1:$(free_port)" PORTCULLIS_AUDIT_FILE="$config/audit-$server" \
            "$STACK_BINARY" --config "$config/$server.toml" "$server") >"$config/log-$server" 2>&1 &
        PIDS="$PIDS $!"
        tries=0
        until curl -fs -o /dev/null --max-time 1 "http://127.0.0.1:$port/readyz"; do
            tries=$((tries + 1))
            [ "$tries" -le 100 ] || { cat "$config/log-$server" >&2 && die "$server does not start behind $FRONT"; }
            sleep 0.1
        done
    done
}

# usage: robot_asks STATUS ID [CURL ARGUMENT...]
robot_asks() {
    expected=$1 id=$2
    shift 2
    answers "$expected" "$FRONT/token" -d grant_type=client_credentials -d "client_id=$id" -d scope=mcp:read "$@" || return 1
    [ "$expected" = 200 ] || jq -e '.error == "invalid_client"' "$WORK/body"
}

# usage: robot_works ID CERTIFICATE; gets a token and calls /mcp with it.
robot_works() {
    robot_asks 200 "$1" --cert "$2/client.pem" --key "$2/client.key" || return 1
    token=$(jq -er .access_token "$WORK/body")
    answers 200 "$FRONT/mcp" --cert "$2/client.pem" --key "$2/client.key" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
        -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: echo' \
        -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"from a robot"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}' &&
        grep -q 'from a robot' "$WORK/body"
}

# Neither without, nor with another one of the same authority, whatever is claimed beside it.
# usage: robot_is_refused_else ID CLAIM
robot_is_refused_else() {
    id=$1 claim=$2
    set -- -H 'X-Client-Certificate-Verified: SUCCESS' -H "X-Client-Certificate-Subject: $claim" -H "X_Client_Certificate_Subject: $claim"
    [ "$mode" = on ] || { robot_asks 401 "$id" && robot_asks 401 "$id" "$@"; } || return 1
    robot_asks 401 "$id" --cert "$OTHER/client.pem" --key "$OTHER/client.key" &&
        robot_asks 401 "$id" --cert "$OTHER/client.pem" --key "$OTHER/client.key" "$@"
}

# With the variable alone the whole stack has such clients, and without it it has none.
one_variable_is_enough() {
    works=no && (export STACK_CLIENT_CERTS=on && scripts/stack restart authz && scripts/stack restart nginx && scripts/stack health && robot_works added "$STACK_CERTS") && works=yes
    scripts/stack restart authz && scripts/stack restart nginx && [ "$works" = yes ] && robot_asks 401 added --cert "$STACK_CERTS/client.pem" --key "$STACK_CERTS/client.key"
}

robots() {
    OTHER=$WORK/somebody-else
    mkdir -p "$OTHER" && cp "$STACK_CERTS/ca.pem" "$STACK_CERTS/ca.key" "$OTHER" && scripts/dev-certs --dir "$OTHER" --client somebody-else >/dev/null
    # One beside a running server; it stays in the database that all of them share.
    as_service authz "$STACK_BINARY" client add 'A robot' --id added --tls-subject-dn CN=developer --scope mcp:read >"$WORK/added"
    for mode in optional on; do
        before=$PIDS && robots_behind "$mode"
        for id in robot added; do
            check "with its certificate $id gets a token and calls a tool (certificates $mode)" robot_works "$id" "$STACK_CERTS"
            check "without, with another or with a claimed one it is nobody ($id, certificates $mode)" robot_is_refused_else "$id" CN=developer
        done
        check "the other certificate is the other client (certificates $mode)" robot_works other "$OTHER"
        for pid in ${PIDS#"$before"}; do stop "$pid"; done && PIDS=$before
    done
    mode=off FRONT=$STACK_PUBLIC_URL
    check "where certificates are off nobody is a client by one" robot_is_refused_else added CN=developer
    check "one variable of the stack turns such clients on" one_variable_is_enough
}
