# The realm of the kit, broken in one place at a time and mended again; `portcullis doctor` must say which
# place it is. Sourced, never run. Needs common.sh, keycloak.sh, WORK, MCP_ORIGIN and a running guard.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by the script that sources this

# Prints the complaints of the doctor, one a line: its rule, how bad it is, what was seen.
# As machine it has a client's secret and registers clients; as person it is the client of the kit that
# people use, and registers nothing.
examine() {
    case $1 in
    machine) set -- --client-id "$CLIENT_ID" --client-secret-file "$WORK/secret" ;;
    person) set -- --no-register --client-id mcp-client --redirect-uri http://127.0.0.1:33418/callback ;;
    esac
    status=0
    "$PORTCULLIS" doctor "$MCP_ORIGIN/mcp" --origin http://localhost:6274 --json "$@" \
        >"$WORK/doctor" 2>"$WORK/doctor.error" || status=$?
    [ "$status" -le 1 ] || die "the doctor could not examine: $(cat "$WORK/doctor.error")"
    # Ids and keys differ from run to run.
    jq -r '.[] | select(.severity == "warning" or .severity == "error") | "\(.rule) \(.severity) \(.seen)"' \
        "$WORK/doctor" | sed -E 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/ID/g' | sort -u
}

# Changes a thing of the realm with a jq filter, takes a link between two things away, or moves a mapper.
break_it() {
    case $1 in
    edit)
        keycloak_admin GET "$2" >"$WORK/whole"
        jq "$3" "$WORK/whole" >"$WORK/broken"
        keycloak_admin PUT "$2" --data-binary @"$WORK/broken"
        ;;
    unlink) keycloak_admin DELETE "$2" ;;
    move) carry "$2" "$3" "$4" ;;
    esac
}

# Keycloak keeps attributes that an update leaves out: the new ones are emptied by name.
mend_it() {
    case $1 in
    edit)
        jq --slurpfile broken "$WORK/broken" 'if type == "object" and has("attributes")
            then .attributes = ($broken[0].attributes | map_values("")) + .attributes else . end' \
            "$WORK/whole" | keycloak_admin PUT "$2" --data-binary @-
        ;;
    unlink) keycloak_admin PUT "$2" ;;
    move) carry "$2" "$4" "$3" ;;
    esac
}

# Breaks, examines, mends: exactly these rules, no more and no fewer, complain anew.
# usage: trap_is WHAT VIEW 'RULES' edit PATH FILTER | unlink PATH | move ID FROM TO
trap_is() {
    what=$1 view=$2 rules=$3
    shift 3
    break_it "$@"
    examine "$view" >"$WORK/found"
    mend_it "$@"
    found=$(comm -13 "$WORK/whole.$view" "$WORK/found" | cut -d ' ' -f 1 | sort -u | xargs)
    if [ "$found" = "$rules" ]; then
        printf '| %s | %s |\n' "$what" "$found"
    else
        warn "MISSED: $what: expected $rules; the doctor said: ${found:-nothing}"
        comm -13 "$WORK/whole.$view" "$WORK/found" >&2
        missed=$((missed + 1))
    fi
}

broken_kits() {
    missed=0 traps_start=$(date +%s)
    (umask 077 && printf %s "$CLIENT_SECRET" >"$WORK/secret")
    # Keycloak adds its RSA key when it is first asked for; not in the middle of this.
    curl -fsS -o /dev/null "$ISSUER"
    for view in machine person; do examine "$view" >"$WORK/whole.$view"; done
    . scripts/lib/keycloak-traps.sh
    for view in machine person; do
        examine "$view" | diff "$WORK/whole.$view" - || die "the mended kit is not what it was"
    done
    say "-- $(($(date +%s) - traps_start)) s"
    [ "$missed" -eq 0 ] || die "$missed traps were missed"
}
