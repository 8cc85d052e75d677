# A web site with metadata documents of clients, at an address that only our own authority vouches for.
# Sourced, never run. Needs common.sh and node.sh.
# shellcheck shell=sh

DOCUMENTS_PID=''
DOCUMENTS_DIR=''

# Starts it; sets DOCUMENTS, its address, and DOCUMENTS_ASKED, the file of the paths it was asked for.
# Servers that start after this trust its authority and register nobody.
documents_start() {
    DOCUMENTS_DIR=$(mktemp -d)
    scripts/dev-certs --dir "$DOCUMENTS_DIR" --names localhost >/dev/null
    port=$(free_port)
    DOCUMENTS=https://localhost:$port
    DOCUMENTS_ASKED=$DOCUMENTS_DIR/asked
    PORTCULLIS_OUTBOUND_CA_FILE=$DOCUMENTS_DIR/ca.pem
    PORTCULLIS_AUTHZ_REGISTRATION=off
    export DOCUMENTS DOCUMENTS_ASKED PORTCULLIS_OUTBOUND_CA_FILE PORTCULLIS_AUTHZ_REGISTRATION
    node tests/interop/documents.mjs "$port" "$DOCUMENTS_DIR/server.pem" "$DOCUMENTS_DIR/server.key" "$DOCUMENTS_ASKED" &
    DOCUMENTS_PID=$!
    tries=0
    until curl -fs -o /dev/null --max-time 2 --cacert "$DOCUMENTS_DIR/ca.pem" "$DOCUMENTS/is-it-up"; do
        tries=$((tries + 1))
        [ "$tries" -le 50 ] || die "the site with the documents does not start"
        sleep 0.1
    done
}

documents_stop() {
    [ -n "$DOCUMENTS_PID" ] || return 0
    stop "$DOCUMENTS_PID"
    rm -rf "$DOCUMENTS_DIR"
    DOCUMENTS_PID=''
}
