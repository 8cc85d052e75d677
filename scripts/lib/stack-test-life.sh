# The checks of scripts/stack itself and of scripts/dev-certs.
# Sourced, never run. Needs stack-test.sh.
# shellcheck shell=sh

# A process that took over the number of one of ours must live on.
stranger_lives_on() {
    sleep 60 &
    stranger=$!
    cp "$STACK_HOME/pid/resource" "$WORK/pid"
    echo "$stranger 1" >"$STACK_HOME/pid/resource"
    scripts/stack stop resource
    cp "$WORK/pid" "$STACK_HOME/pid/resource"
    kill -0 "$stranger" && kill "$stranger"
}
start_changes_nothing() {
    cat "$STACK_HOME"/pid/* >"$WORK/before" && scripts/stack start && cat "$STACK_HOME"/pid/* | cmp - "$WORK/before"
}
one_service_restarts() {
    before=$(cat "$STACK_HOME/pid/authz")
    scripts/stack restart resource && [ "$(cat "$STACK_HOME/pid/authz")" = "$before" ] && scripts/stack health
}
a_dead_service_shows() {
    scripts/stack stop resource && ! scripts/stack health && scripts/stack start resource && scripts/stack health
}
data_survives() {
    scripts/stack stop && scripts/stack stop && scripts/stack clean && scripts/stack start &&
        answers 200 "$STACK_PUBLIC_URL/token" -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials
}
backup_comes_back() {
    scripts/backup --stack --dir "$WORK/backups" >"$WORK/backup" && ! scripts/restore --stack "$(cat "$WORK/backup")" &&
        scripts/stack stop authz && scripts/restore --stack "$(cat "$WORK/backup")" && scripts/stack start authz &&
        answers 200 "$STACK_PUBLIC_URL/token" -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials
}
nothing_is_left() {
    scripts/stack reset && [ ! -e "$STACK_CERTS" ] && [ ! -e "$STACK_SECRETS" ] && [ ! -e "$STACK_HOME/data" ] && scripts/stack reset
}
wrong_usage() {
    for words in '' nonsense 'start nonsense' 'start authz resource' 'reset authz'; do
        status=0
        # shellcheck disable=SC2086  # words
        scripts/stack $words || status=$?
        [ "$status" -eq 2 ] || { say "'$words': exit $status" && return 1; }
    done
    scripts/stack --help | grep -q '^Usage:' && scripts/dev-certs --help | grep -q '^Usage:' && scripts/stack-init --help | grep -q '^Usage:'
}
keys_are_private() {
    [ -z "$(find "$STACK_CERTS" "$STACK_FRONT" "$STACK_SECRETS" -type f \( -name '*.key' -o -path '*secrets*' \) ! -perm 600)" ] &&
        openssl verify -purpose sslserver -CAfile "$STACK_CERTS/ca.pem" "$STACK_CERTS/server.pem" &&
        openssl verify -purpose sslclient -CAfile "$STACK_CERTS/ca.pem" "$STACK_CERTS/client.pem"
}
certificates_renew() {
    scripts/dev-certs --dir "$WORK/renew" --days 30 && cp "$WORK/renew"/*.pem "$WORK" && scripts/dev-certs --dir "$WORK/renew" --days 30 &&
        cmp "$WORK/server.pem" "$WORK/renew/server.pem" && scripts/dev-certs --dir "$WORK/renew" --days 30 --names other.test &&
        ! cmp -s "$WORK/server.pem" "$WORK/renew/server.pem" && cmp "$WORK/ca.pem" "$WORK/renew/ca.pem" &&
        openssl verify -verify_hostname other.test -CAfile "$WORK/renew/ca.pem" "$WORK/renew/server.pem"
}

life_of_the_stack() {
    check "keys and passwords are private, certificates fit their purpose" keys_are_private
    check "certificates stay while they are good and change with the names" certificates_renew
    check "start changes nothing where all runs" start_changes_nothing
    check "one service restarts and the others run on" one_service_restarts
    check "health shows a service that is gone" a_dead_service_shows
    check "a process that is not ours is never ended" stranger_lives_on
    check "logs are shown" scripts/stack logs nginx
    check "data survive stop, clean and start" data_survives
    check "a backup comes back, but not under a running server" backup_comes_back
    check "reset leaves nothing, and can be repeated" nothing_is_left
    check "wrong usage is exit 2" wrong_usage
}
