# The checks of scripts/compose-check.
# Sourced, never run. Needs common.sh and stack.sh.
# shellcheck shell=sh

# usage: prepared authz|keycloak
prepared() {
    umask 022
    mkdir -p "$STACK_RUN"
    while IFS= read -r line; do export "${line?}"; done <<EOF
$(compose_file init environment)
EOF
    STACK_ISSUER=$1 scripts/stack-init
}
# Production: certificates and secrets come from a folder; each that is missing or weak stops it.
given_is_taken() {
    given=$WORK/given
    scripts/dev-certs --dir "$given" && openssl rand -hex 32 >"$given/postgres-password" && openssl rand -base64 32 >"$given/key-encryption-key" &&
        STACK_GIVEN=$given prepared authz && cmp "$given/server.key" "$STACK_FRONT/tls/server.key" &&
        cmp "$given/postgres-password" "$STACK_SECRETS/postgres-password" || return 1
    for file in server.key postgres-password key-encryption-key; do
        mv "$given/$file" "$WORK/aside"
        ! (STACK_GIVEN=$given prepared authz) || { say "$file is missing and nobody says so" && return 1; }
        mv "$WORK/aside" "$given/$file"
    done
    echo changeme >"$given/postgres-password"
    ! (STACK_GIVEN=$given prepared authz)
}
nginx_takes_it() { has nginx || { say "nginx is missing" && return 1; } && nginx -t -p "$STACK_FRONT" -c "$STACK_FRONT/nginx.conf"; }

# Runs the binary with lines NAME=value from standard input and nothing else.
# usage: with_lines ARGUMENT...
with_lines() {
    set -- "$STACK_BINARY" "$@"
    while IFS= read -r line; do set -- "$line" "$@"; done
    env -i PATH="$PATH" HOME="$WORK" "$@"
}
config_of() { case $1 in plain) say /dev/null ;; *) say "$STACK_CONFIG/$1.toml" ;; esac; }
# An unknown variable, a contradiction, a value out of range: the product lists them all.
right_settings() { compose_file "$1" environment | with_lines --config "$(config_of "$1")" config check; }
command_parses() {
    set --  "$1"
    for word in $(compose_file "$1" command); do set -- "$@" "$word"; done
    shift
    "$STACK_BINARY" "$@" --help
}

# Everything that comes from the repository; certs/ is made by the stack itself.
mounts_exist() {
    grep -hoE '"?\./[A-Za-z0-9./_-]+:' docker-compose.yml docker-compose.prod.yml | tr -d '":' | sort -u | tee "$WORK/mounts"
    [ "$(wc -l <"$WORK/mounts")" -ge 4 ] && while read -r path; do
        case $path in ./certs) continue ;; esac
        [ -e "$path" ] || { say "$path is missing" && return 1; }
    done <"$WORK/mounts"
}
images_are_pinned() {
    ! grep -nE '^ *image:' docker-compose.yml | grep -vE 'image: (&image )?"\$\{STACK_[A-Z]*_?IMAGE:-[a-z0-9./-]+:[a-z]*[0-9]+\.[0-9][A-Za-z0-9.-]*\}"|image: \*image' &&
        ! grep -nE '^FROM' Dockerfile | grep -vE 'FROM (\$\{(RUST|DEBIAN)_IMAGE\}|scratch) AS' &&
        ! grep -nE '_IMAGE=|_IMAGE:-' Dockerfile docker-compose.yml | grep -E ':latest|IMAGE(=|:-)[a-z/]+("|}|$)'
}
one_default() {
    grep -ohE '\$\{STACK_[A-Z_]+:?-[^}]*\}' docker-compose.yml docker-compose.prod.yml | grep -v 'STACK_PUBLISH:' | sort -u | sed 's/:\{0,1\}-.*//' | uniq -d | tee "$WORK/twice"
    [ ! -s "$WORK/twice" ]
}
prometheus_takes_it() {
    has promtool || { say "promtool is missing: not checked" && return 0; }
    (cd deploy/monitoring && promtool check config prometheus.yml) && jq -e '.panels | length > 5' deploy/monitoring/dashboards/portcullis.json
}
