# The authorization leg of the conformance suite, with a person at the forms.
# Sourced, never run. Needs common.sh, node.sh, server.sh, and `announced` and OUT of its caller.
# shellcheck shell=sh

# What the suite warns about because it is not built yet. A name too many here fails too.
AUTHZ_PENDING=''
FRONT_PID=''

authz_stop() {
    [ -z "$FRONT_PID" ] || stop "$FRONT_PID"
    FRONT_PID=''
    server_stop
}

# Judges a fresh server with a client of this authentication method, without and with a resource.
# usage: authz_leg METHOD
authz_leg() {
    authz_serve "$1"
    bad=0
    authz_run "$1" without || bad=1
    authz_run "$1" with --resource "$PORTCULLIS_URL/mcp" || bad=1
    authz_stop
    return "$bad"
}

# The suite sends a secret only if the metadata does not offer `none`, so then a front takes it out.
authz_serve() {
    if [ "$1" = none ]; then
        server_listen ''
    else
        front=$(free_port)
        server_listen "$front"
        FRONT_PORT=$front FRONT_METHOD=$1 node scripts/conformance-front.mjs "$SERVER_ORIGIN" \
            >"$OUT/front-$1.json" 2>"$OUT/front-$1.json.log" </dev/null &
        FRONT_PID=$!
        announced "$FRONT_PID" "$OUT/front-$1.json"
    fi
    server_person
    callback=$(free_port)
    kind=--public
    [ "$1" = none ] || kind="--auth-method=$1"
    (cd "$SERVER_DIR" && portcullis client add suite "$kind" --json \
        --redirect-uri "http://127.0.0.1:$callback/callback") >"$SERVER_DIR/suite.json"
    # A running server notices a new client within a second.
    tries=0
    until authz_knows "$(jq -r .client_id "$SERVER_DIR/suite.json")" "http://127.0.0.1:$callback/callback"; do
        tries=$((tries + 1))
        [ "$tries" -le 15 ] || die "the server does not notice the new client"
        sleep 0.1
    done
}

# An unknown client is told on a page; a known one is sent back with the error.
authz_knows() {
    status=$(curl -s -o /dev/null -w '%{http_code}' -G "$SERVER_ORIGIN/authorize" \
        -H "Host: ${PORTCULLIS_URL#http://}" --data-urlencode "client_id=$1" --data-urlencode "redirect_uri=$2")
    [ "$status" = 303 ]
}

# usage: authz_run METHOD with|without [OPTION...]
authz_run() {
    method=$1 run=$1-$2
    shift 2
    id=$(jq -r .client_id "$SERVER_DIR/suite.json")
    [ "$method" = none ] || set -- --client-secret "$(jq -r .client_secret "$SERVER_DIR/suite.json")" "$@"
    {
        timeout 60 conformance authorization --url "$PORTCULLIS_URL" --client-id "$id" -p "$callback" \
            -o "$OUT/$run" "$@" 2>&1 </dev/null || say "conformance: exit $?"
    } | tee "$OUT/$run.log" | node tests/interop/human.mjs 2>"$OUT/$run.person.log" || true
    find "$OUT/$run" -name checks.json -exec cat {} + | jq -rs --arg run "$run" --arg pending "$AUTHZ_PENDING" '
        flatten | map(select(.status != "INFO")) as $all
        | [$all[] | select(.status == "SUCCESS") | .id] as $passed
        | [$all[] | select(.status != "SUCCESS") | "\(.id) (\(.status))"] as $missed
        | ($missed - ["\($pending) (WARNING)"]) as $bad
        | "conformance authorization \($run | sub("-(?<w>with(out)?)$"; ", \(.w) resource")): \($passed | length)/\($all | length) checks passed"
            + if $missed == [] then "" else "; not: \($missed | join(", "))" end
            + if ($passed | index($pending)) then "; \($pending) is no longer pending" else "" end,
        if ($all | length) == 3 and $bad == [] and ($passed | index($pending)) == null then empty
        else error("not every check passed") end'
}
