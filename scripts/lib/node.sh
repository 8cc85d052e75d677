# Node and the foreign clients at the versions that tests/interop/package-lock.json pins.
# Sourced, never run. Everything lands in the target folder and nothing is committed.
# shellcheck shell=sh

NODE_DIR=$TARGET/node
# Node brings its own list of authorities; those of the system count too, for networks with their own.
[ ! -r /etc/ssl/certs/ca-certificates.crt ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}"

# Installs if the lock file changed, and puts the pinned Node first on the PATH.
need_node() {
    has npm || die "npm is missing; scripts/test --install installs it"
    mkdir -p "$NODE_DIR"
    if ! cmp -s tests/interop/package-lock.json "$NODE_DIR/installed.json"; then
        cp tests/interop/package.json tests/interop/package-lock.json "$NODE_DIR/"
        (cd "$NODE_DIR" && npm ci --cache "$NODE_DIR/cache" --no-audit --no-fund --loglevel=error </dev/null)
        cp tests/interop/package-lock.json "$NODE_DIR/installed.json"
    fi
    PATH=$NODE_DIR/node_modules/.bin:$PATH
    export PATH
    case $(node --version) in
    v22.*) ;;
    *) die "node is $(node --version), expected the pinned 22" ;;
    esac
}
