# The checks of scripts/engine-test of the stack in its usual form.
# Sourced, never run. Needs stack-test.sh and what it shares with scripts/stack-test.
# shellcheck shell=sh

# What scripts/stack-test asks of processes is asked of containers here.
as_service() {
    service=$1
    shift 2
    docker compose exec -T "$service" portcullis "$@"
}
server_logs() { docker compose logs --no-color --no-log-prefix authz resource; }

# Which containers run, with the moment of their start.
running() { docker compose ps --quiet "$@" | xargs docker inspect --format '{{.Name}} {{.State.StartedAt}}' | sort; }

# What does not start says why in its log.
# usage: starts [SERVICE]
# shellcheck disable=SC2120  # some callers name a service
starts() { scripts/stack start "$@" || { docker compose ps --all && docker compose logs --no-color --tail 20 && return 1; }; }
# shellcheck disable=SC2119  # all services
starts_from_a_clean_clone() { starts && scripts/stack health && [ -r certs/ca.pem ]; }
metrics_stay_inside() {
    answers 404 "$STACK_PUBLIC_URL/metrics" && for address in authz:9464 resource:9465; do
        docker compose exec -T nginx curl -fsS "http://$address/metrics" | grep -q '^portcullis_' || return 1
    done
    [ "$(docker compose ps --format '{{.Publishers}}' authz resource postgres redis | grep -c '127\.\|0\.0\.0\.0')" = 0 ]
}
containers_stay() { running >"$WORK/before" && scripts/stack start && running | cmp - "$WORK/before"; }
one_container_restarts() {
    running authz >"$WORK/before" && scripts/stack restart resource && running authz | cmp - "$WORK/before" && scripts/stack health
}
a_stopped_container_shows() { scripts/stack stop resource && ! scripts/stack health && scripts/stack start resource && scripts/stack health; }
gets_a_token() { answers 200 "$STACK_PUBLIC_URL/token" -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials; }
volumes_survive() { scripts/stack stop && scripts/stack clean && scripts/stack start && gets_a_token; }
nothing_stays() {
    scripts/stack reset && [ -z "$(docker volume ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ] &&
        [ -z "$(ls certs 2>/dev/null)" ] && [ -z "$(docker compose ps --all --quiet)" ]
}

the_stack() {
    check "the stack starts from a clean clone" starts_from_a_clean_clone
    first_visitor
    check "port 80 leads to the configured URL, whatever the Host" redirects
    check "TLS 1.1 is refused" refuses_tls tls1_1
    check "TLS 1.3 speaks HTTP/2" speaks --tlsv1.3 --http2
    check "the certificate needs our authority" needs_our_authority
    check "HSTS is a year, and never for loopback names or without TLS" hsts
    check "every answer carries the security headers once" security_headers
    check "another name gets 421 and the right URL" other_names
    check "path tricks never pass the front" path_tricks
    check "normal paths pass" normal_paths
    check "what pages link to passes too" pages_are_whole
    check "metrics and stores stay inside" metrics_stay_inside
    check "a spoofed address has no effect on limits" spoofed_address_has_no_effect
    check "the curl client works through TLS with the local authority" curl_client
    check "start changes nothing where all runs" containers_stay
    check "one service restarts and the others run on" one_container_restarts
    check "health shows a service that is gone" a_stopped_container_shows
    check "logs are shown" scripts/stack logs nginx
    check "data survive stop, clean and start" volumes_survive
    check "a backup comes back, but not under a running server" backup_comes_back
    check "reset leaves nothing, and can be repeated" nothing_stays
}
