# The Debian packages and the cargo tool that the checks need beside Rust and build-essential.
# Sourced, never run.
# shellcheck shell=sh

CARGO_DENY_VERSION=0.20.2
SSLYZE_VERSION=6.3.1

# Prints the packages whose programs are missing here.
missing_packages() {
    has curl || printf 'curl '
    has jq || printf 'jq '
    has openssl || printf 'openssl '
    { has nginx || [ -x /usr/sbin/nginx ]; } || printf 'nginx '
    has shellcheck || printf 'shellcheck '
    has ip || printf 'iproute2 '
    has unshare || printf 'util-linux '
    has npm || printf 'nodejs npm '
    has java || printf 'openjdk-17-jre-headless '
    has mvn || printf 'maven '
    python3 -c 'import ensurepip' 2>/dev/null || printf 'python3 python3-venv '
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates '
    [ -n "$(postgres_bin)" ] || printf 'postgresql '
    has redis-server || printf 'redis-server '
}

# The newest PostgreSQL of Debian's layout; nothing if there is none.
postgres_bin() { find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname; }

# Installs what is missing if asked to ("yes"), else says how and stops.
# usage: need_packages yes|no
need_packages() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    root=''
    [ "$(id -u)" -eq 0 ] || root='sudo '
    if [ "$1" != yes ]; then
        warn "Some programs are missing. Install them with:" \
            "${root}apt-get update && ${root}apt-get install -y --no-install-recommends ${packages% }"
        exit 1
    fi
    say "Installing: $packages"
    # shellcheck disable=SC2086  # nothing, or the word sudo
    ${root} apt-get update -qq </dev/null
    # shellcheck disable=SC2086  # a list of words
    ${root} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages </dev/null
    packages=$(missing_packages)
    [ -z "$packages" ] || die "still missing after the installation: $packages"
}

# Puts cargo-deny on the PATH; builds it into the target folder if asked to ("yes").
# usage: need_cargo_deny yes|no
need_cargo_deny() {
    PATH=$TARGET/tools/bin:$PATH
    export PATH
    has cargo-deny && return 0
    [ "$1" = yes ] || return 77
    cargo install cargo-deny --version "$CARGO_DENY_VERSION" --locked --debug --root "$TARGET/tools" </dev/null
}

# Puts sslyze on the PATH; installs it into the target folder if asked to ("yes").
# usage: need_sslyze yes|no
need_sslyze() {
    PATH=$TARGET/sslyze/bin:$PATH
    export PATH
    has sslyze && return 0
    [ "$1" = yes ] || return 77
    python3 -m venv "$TARGET/sslyze" && pip install --quiet "sslyze==$SSLYZE_VERSION" </dev/null && has sslyze
}

# Puts Prometheus' promtool on the PATH; unpacks it from Debian's package into the target folder if
# asked to ("yes"). The package is not installed, because that would start a server.
# usage: need_promtool yes|no
need_promtool() {
    PATH=$TARGET/prometheus/usr/bin:$PATH
    export PATH
    has promtool && return 0
    [ "$1" = yes ] || return 77
    rm -rf "$TARGET/prometheus" && mkdir -p "$TARGET/prometheus"
    (cd "$TARGET/prometheus" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb)
    has promtool
}
