# The checks of scripts/backup-test.
# Sourced, never run. Needs backup-test.sh; WORK is a folder of the test, suffix that of the backups.
# shellcheck shell=sh disable=SC2154  # suffix is set by the script that sources it

# usage: timed WORD COMMAND [ARGUMENT...]; notes how long it took
timed() {
    word=$1 began=$(date +%s%3N)
    shift
    "$@" || return
    say "$suffix: $word took $(($(date +%s%3N) - began)) ms" >>"$WORK/times"
}

made() { cat "$WORK/made"; }
backs_up() { sleep 1 && timed backup in_folder "$ROOT/scripts/backup" --keep 2 >"$WORK/made" && sleep 1; }
is_private() {
    folder=$(dirname "$(made)")
    basename "$(made)" | grep -qxE "portcullis-[0-9]{8}T[0-9]{6}Z\.$suffix" &&
        [ "$(stat -c %a "$(made)" "$(made).sha256" "$folder" | paste -sd' ' -)" = '600 600 700' ] &&
        (cd "$folder" && sha256sum -c "$(basename "$(made)").sha256")
}
# The backup itself is the newest but one then, and stays.
keeps_as_told() {
    folder=$(dirname "$(made)")
    for old in 20200101T000000Z 20200102T000000Z; do echo x | tee "$folder/portcullis-$old.$suffix" >"$folder/portcullis-$old.$suffix.sha256"; done
    echo mine >"$folder/mine.$suffix"
    in_folder "$ROOT/scripts/backup" --keep 2
    [ "$(find "$folder" -name "portcullis-*.$suffix" | wc -l)" -eq 2 ] && [ "$(find "$folder" -name '*.sha256' | wc -l)" -eq 2 ] &&
        [ -f "$(made)" ] && [ -f "$folder/mine.$suffix" ]
}

# Restores a file, which must be refused for the reason named.
# usage: not_restored WORD FILE
not_restored() {
    ! in_folder "$ROOT/scripts/restore" "$2" >"$WORK/refusal" 2>&1 || { say "restored $2" && return 1; }
    grep -q -- "$1" "$WORK/refusal" || { cat "$WORK/refusal" && return 1; }
}
running_is_refused() { not_restored 'stop' "$(made)" && curl -fs -o /dev/null "$PORTCULLIS_URL/readyz"; }

# All that the store holds, and the names of all stores.
store_state() {
    if [ "$suffix" = sqlite ]; then
        (cd "$SERVER_DIR/portcullis-data" && find . -type f | sort | xargs sha256sum)
    else
        psql -X -A -t -d "$PORTCULLIS_STORE_URL" -c "SELECT datname FROM pg_database ORDER BY 1"
        pg_dump -d "$PORTCULLIS_STORE_URL" | grep -v '^.\(un\)\{0,1\}restrict '
    fi
}
damaged_is_refused() {
    bad=$WORK/bad.$suffix
    head -c 20000 "$(made)" >"$bad"
    not_restored 'sha256 is missing' "$bad" && cp "$(made).sha256" "$bad.sha256" && not_restored 'is damaged' "$bad" || return
    # A wrong file with the right sum: its own engine must see it.
    sha256sum "$bad" >"$bad.sha256" && not_restored . "$bad" && store_state | cmp - "$WORK/before"
}
other_engine_is_refused() {
    cp "$(made)" "$WORK/other.x" && sha256sum "$WORK/other.x" >"$WORK/other.x.sha256" && not_restored 'other engine' "$WORK/other.x"
}
restores() { timed restore in_folder "$ROOT/scripts/restore" "$(made)"; }

start_says_so() { [ "$(grep -c restored_at "$SERVER_DIR/server.log")" -eq 1 ]; }
people_are_there() {
    in_folder portcullis user list --json >"$WORK/people" && grep -q '"visitor"' "$WORK/people" && ! grep -q latecomer "$WORK/people" &&
        in_folder portcullis client show app >/dev/null &&
        curl -fs -o /dev/null -u "$CLIENT_ID:$CLIENT_SECRET" "$PORTCULLIS_URL/token" -d grant_type=client_credentials
}
tokens_verify() { curl -fsS -o /dev/null -H "Authorization: Bearer $ACCESS" "$PORTCULLIS_URL/api/v1/me"; }
refused() {
    refreshes "$1" >"$WORK/answer"
    [ "$(jq -r .error "$WORK/answer")" = invalid_grant ] || { cat "$WORK/answer" && return 1; }
}
fresh_login() { leaf=$(log_in | leaf) && refreshes "$leaf" | leaf >"$WORK/fresh"; }
