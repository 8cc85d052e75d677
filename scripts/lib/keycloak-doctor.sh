# `portcullis doctor` at the guard beside Keycloak. Sourced, never run. Needs common.sh, node.sh, WORK,
# MCP_ORIGIN and a running guard.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by the script that sources this

# Opens the URL that the doctor prints, where it waits for a login. Whoever gets stuck is not awaited.
visit() {
    [ "$1" != login ] || node "$NODE_DIR/human.mjs" 2>"$WORK/human" || warn "the person: $(cat "$WORK/human")"
    cat >/dev/null
}

# Prints the complaints of the doctor, one a line: its rule, how bad it is, what was seen.
# As machine it has a client's secret and registers clients; as person it is the client of the kit that
# people use, and registers nothing; with a login the person of the kit comes too.
examine() {
    asked=$1
    case $1 in
    machine) set -- --client-id "$CLIENT_ID" --client-secret-file "$WORK/secret" ;;
    person) set -- --no-register --client-id mcp-client --redirect-uri http://127.0.0.1:33418/callback ;;
    login) set -- --no-register --client-id mcp-client --redirect-uri http://127.0.0.1/callback --login=30s ;;
    esac
    {
        status=0
        "$PORTCULLIS" doctor "$MCP_ORIGIN/mcp" --origin http://localhost:6274 --json "$@" \
            2>&1 >"$WORK/doctor" || status=$?
        say "$status" >"$WORK/status"
    } | tee "$WORK/doctor.error" | visit "$asked"
    status=$(cat "$WORK/status")
    [ "$status" -le 1 ] || die "the doctor could not examine: $(cat "$WORK/doctor.error")"
    # Ids and keys differ from run to run.
    jq -r '.[] | select(.severity == "warning" or .severity == "error") | "\(.rule) \(.severity) \(.seen)"' \
        "$WORK/doctor" | sed -E 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/ID/g' | sort -u
}
