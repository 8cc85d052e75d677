# The checks of scripts/compose-check that read the files as Docker's compose does.
# Sourced, never run. Needs docker-compose.sh and compose-check.sh.
# shellcheck shell=sh

COMPOSE=''

# shellcheck disable=SC2086  # the command may be two words
compose() { env -i PATH="$PATH" HOME="$WORK" "$@" $COMPOSE --project-directory "$ROOT" $FILES --profile '*' config --format json; }

plain_file() { FILES='-f docker-compose.yml' compose; }

production() {
    FILES='-f docker-compose.yml -f docker-compose.prod.yml' \
        compose STACK_PUBLIC_URL=https://mcp.example.com STACK_NAMES=mcp.example.com STACK_GIVEN=/given "$@"
}

compose_takes_them() { plain_file >/dev/null && production >/dev/null; }

# The same values, word for word, as scripts/lib/compose.awk finds.
same_reading() {
    plain_file >"$WORK/compose.json" || return 1
    for service in $(env -i PATH="$PATH" awk -v what=services -f scripts/lib/compose.awk docker-compose.yml); do
        jq -r --arg service "$service" '.services[$service] | (.environment // {} | to_entries[] | "\(.key)=\(.value)"), (.command // [] | .[])' \
            "$WORK/compose.json" | sort >"$WORK/theirs"
        # Second replicas are merged from the first ones, and so scripts/stack starts them.
        for what in environment command; do env -i PATH="$PATH" awk -v service="${service%-2}" -v what="$what" -f scripts/lib/compose.awk docker-compose.yml; done |
            sort >"$WORK/ours"
        # These merge another one's map, which scripts/stack never reads.
        case $service in init-*) continue ;; esac
        diff "$WORK/theirs" "$WORK/ours" || { say "$service" && return 1; }
    done
}

nothing_by_default() {
    for name in STACK_PUBLIC_URL STACK_NAMES STACK_GIVEN; do
        if production "$name=" >"$WORK/out" 2>&1; then say "$name has a default" && return 1; fi
        grep "$name" "$WORK/out" || return 1
    done
}

hardened() {
    production | jq -e '.services | to_entries | map(select(.key | IN("plain", "keycloak") | not)) | all(.value
        | .cap_drop == ["ALL"] and .read_only and (.security_opt | index("no-new-privileges:true")) and (.deploy.resources.limits.memory != null))
        and all(.[] | select(.key | startswith("init") | not); .value.restart == "unless-stopped")'
}

right_in_production() {
    production | jq -r --arg service "$1" '.services[$service].environment | to_entries[] | "\(.key)=\(.value)"' |
        sed "s#/secrets/#$STACK_SECRETS/#; s#/config/#$STACK_CONFIG/#" | with_lines config check
}
