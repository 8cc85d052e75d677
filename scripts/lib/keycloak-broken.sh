# The realm of the kit, broken in one place at a time and mended again; `portcullis doctor` must say which
# place it is. Sourced, never run. Needs common.sh, keycloak.sh, keycloak-doctor.sh
# and a running guard.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by the script that sources this

# Changes a thing of the realm with a jq filter, takes a link between two things or the roles of somebody
# away, or moves a mapper.
break_it() {
    case $1 in
    edit)
        keycloak_admin GET "$2" >"$WORK/whole"
        jq "$3" "$WORK/whole" >"$WORK/broken"
        keycloak_admin PUT "$2" --data-binary @"$WORK/broken"
        ;;
    unlink) keycloak_admin DELETE "$2" ;;
    ungrant)
        keycloak_admin GET "$2" >"$WORK/whole"
        keycloak_admin DELETE "$2" --data-binary @"$WORK/whole"
        ;;
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
    ungrant) keycloak_admin POST "$2" --data-binary @"$WORK/whole" ;;
    move) carry "$2" "$4" "$3" ;;
    esac
}

# Breaks, examines, mends: exactly these rules, no more and no fewer, complain anew.
# usage: trap_is WHAT VIEW 'RULES' edit PATH FILTER | unlink PATH | ungrant PATH | move ID FROM TO
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
    for view in machine person login; do examine "$view" >"$WORK/whole.$view"; done
    . scripts/lib/keycloak-traps.sh
    for view in machine person login; do
        examine "$view" | diff "$WORK/whole.$view" - || die "the mended kit is not what it was"
    done
    say "-- $(($(date +%s) - traps_start)) s"
    [ "$missed" -eq 0 ] || die "$missed traps were missed"
}
