# The steps and checks of scripts/backup-test.
# Sourced, never run. Needs common.sh, server.sh and stack-test.sh.
# shellcheck shell=sh disable=SC2034,SC2153  # what a life leaves is for the script; SERVER_DIR is of server.sh

# The pair of RFC 7636, appendix B.
VERIFIER=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk
CHALLENGE=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM
CALLBACK=http://127.0.0.1:4711/cb
LOAD_PID=''

in_folder() { (cd "$SERVER_DIR" && "$@"); }
token() { curl -s --max-time 10 "$PORTCULLIS_URL/token" -d client_id=app "$@"; }
refreshes() { token -d grant_type=refresh_token -d "refresh_token=$1"; }
code() {
    node tests/interop/code.mjs "$PORTCULLIS_URL/authorize?response_type=code&client_id=app&redirect_uri=$CALLBACK&scope=mcp:read&state=s&code_challenge=$CHALLENGE&code_challenge_method=S256"
}
# Prints the answer with the tokens.
log_in() { token -d grant_type=authorization_code -d "code=$(code)" -d "code_verifier=$VERIFIER" -d "redirect_uri=$CALLBACK"; }
leaf() { jq -er .refresh_token; }

serve() {
    (cd "$SERVER_DIR" && exec portcullis serve) >"$SERVER_DIR/server.log" 2>&1 </dev/null &
    SERVER_PID=$!
    until curl -fs -o /dev/null --max-time 2 "$PORTCULLIS_URL/readyz"; do
        kill -0 "$SERVER_PID" || { cat "$SERVER_DIR/server.log" >&2 && die "the server does not start"; }
        sleep 0.1
    done
}
halt() { stop "$SERVER_PID"; }

lives() {
    in_folder portcullis client add app --id app --public --redirect-uri "$CALLBACK" >/dev/null
    sleep 1
    HELD=$(log_in | leaf)
    HELD=$(refreshes "$HELD" | leaf)
    ACCESS=$(cat "$SERVER_DIR/token")
    log_in | leaf >"$WORK/loaded"
}
# The file was made since; so were this grant, this person and this rotation.
lives_on() {
    NEWEST=$(refreshes "$HELD" | leaf)
    SINCE=$(log_in | leaf)
    printf 'a long enough password\n' | in_folder portcullis user add latecomer --password-stdin >/dev/null
}

# Rotates one family and asks for tokens, until it is ended; every answer that is none is a line in lost.
load() {
    leaf=$(cat "$WORK/loaded")
    while :; do
        curl -fs -o /dev/null --max-time 10 -u "$CLIENT_ID:$CLIENT_SECRET" "$PORTCULLIS_URL/token" -d grant_type=client_credentials || echo token
        leaf=$(refreshes "$leaf" | leaf) || echo refresh
        echo round >&2
    done >"$WORK/lost" 2>"$WORK/rounds"
}
load_start() { load & LOAD_PID=$!; }
load_stop() { [ -z "$LOAD_PID" ] || stop "$LOAD_PID"; LOAD_PID=''; }
load_is_well() {
    say "$(grep -c round "$WORK/rounds") rounds"
    [ "$(grep -c round "$WORK/rounds")" -ge 3 ] && [ ! -s "$WORK/lost" ]
}
