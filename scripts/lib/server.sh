# A fresh debug server on a free port with an empty data folder, one account and one client.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

SERVER_PID=''
SERVER_DIR=''

# Starts it in SERVER_DIR and waits until it is ready; sets PORTCULLIS_URL, and puts the binary on the
# PATH with the address of this server, so that its commands find the same data. With a port, the
# server says that it is reached there, and whatever listens there hands on to SERVER_ORIGIN.
# usage: server_listen [PUBLIC PORT]
server_listen() {
    SERVER_DIR=$(mktemp -d)
    port=$(free_port)
    SERVER_ORIGIN=http://localhost:$port
    PORTCULLIS_URL=http://localhost:${1:-$port}
    PORTCULLIS_SERVER_LISTEN=127.0.0.1:$port
    PORTCULLIS_SERVER_PUBLIC_URL=$PORTCULLIS_URL
    PATH=$TARGET/debug:$PATH
    export PORTCULLIS_URL PORTCULLIS_SERVER_LISTEN PORTCULLIS_SERVER_PUBLIC_URL PATH
    (cd "$SERVER_DIR" && exec portcullis serve) >"$SERVER_DIR/server.log" 2>&1 </dev/null &
    SERVER_PID=$!
    tries=0
    until curl -fs -o /dev/null --max-time 2 "$SERVER_ORIGIN/readyz"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 150 ] || ! kill -0 "$SERVER_PID" 2>/dev/null; then
            cat "$SERVER_DIR/server.log" >&2
            die "the server does not get ready"
        fi
        sleep 0.2
    done
}

# Makes the account that tests/interop/human.mjs logs in with: PERSON and PERSON_PASSWORD.
server_person() {
    PERSON=visitor
    PERSON_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    export PERSON PERSON_PASSWORD
    printf '%s\n' "$PERSON_PASSWORD" | (cd "$SERVER_DIR" && portcullis user add "$PERSON" --password-stdin >/dev/null)
}

# Starts it with a person, and with a client for client credentials: CLIENT_ID and CLIENT_SECRET.
server_start() {
    server_listen ''
    server_person
    (cd "$SERVER_DIR" && portcullis client add tester --grant client_credentials \
        --scope 'mcp:read mcp:write' --json) >"$SERVER_DIR/client.json"
    CLIENT_ID=$(jq -er .client_id "$SERVER_DIR/client.json")
    CLIENT_SECRET=$(jq -er .client_secret "$SERVER_DIR/client.json")
    export CLIENT_ID CLIENT_SECRET
    # A running server notices a new client within a second.
    tries=0
    until PORTCULLIS_CLIENT_SECRET=$CLIENT_SECRET portcullis token --client-id "$CLIENT_ID" >"$SERVER_DIR/token" 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -le 15 ] || die "the client gets no token: $(cat "$SERVER_DIR/token")"
        sleep 0.1
    done
}

# Stops it; with a word, shows its log first.
server_stop() {
    [ -n "$SERVER_PID" ] || return 0
    [ -z "${1:-}" ] || tail -n 40 "$SERVER_DIR/server.log" >&2
    stop "$SERVER_PID"
    rm -rf "$SERVER_DIR"
    SERVER_PID=''
}
