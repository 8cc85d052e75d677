# What the commands of scripts/stack do without an engine.
# Sourced, never run. Needs common.sh, stack.sh and stack-services.sh; `services` are those that are meant.
# shellcheck shell=sh

services=''

await() {
    tries=0
    until well "$1"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 150 ] || ! pid_of "$1" >/dev/null; then
            log_of "$1" >&2
            die "$1 does not get ready"
        fi
        sleep 0.2
    done
}

start_all() {
    prepare
    for service in $services; do
        if pid_of "$service" >/dev/null; then
            say "$service: runs already"
            continue
        fi
        case $service in
        postgres | redis | nginx) start_"$service" ;;
        *) spawn "$service" "$STACK_BINARY" ;;
        esac
        await "$service"
        say "$service: started, $(state_of "$service")"
    done
    case " $services " in *' nginx '*) say "$STACK_PUBLIC_URL is up; clients trust $STACK_CERTS/ca.pem" ;; esac
}

stop_all() {
    reversed=''
    for one in $services; do reversed="$one $reversed"; done
    for service in $reversed; do
        pid=$(pid_of "$service") || { say "$service: stopped" && continue; }
        # The first signal lets requests under way finish, as long as docker-compose.yml gives them; PostgreSQL would wait for its clients.
        signal=TERM
        [ "$service" != postgres ] || signal=INT
        stop "$pid" "$signal" 35
        rm -f "$STACK_HOME/pid/$service"
        say "$service: stopped"
    done
}

# nginx leaves a replica out for a second or two after it found it away.
roll_all() {
    rolling=" $services "
    for server in $(all_services | grep -E '^(authz|resource)'); do
        case $rolling in *" $server "*) ;; *) continue ;; esac
        services=$server
        stop_all && start_all
        sleep 3
    done
}

health_all() {
    ill=0
    for service in $services; do
        if well "$service"; then say "$service: healthy"; else say "$service: NOT HEALTHY" && ill=1; fi
    done
    return "$ill"
}
