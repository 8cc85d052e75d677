# kustomize from its Go module and the schemas of Kubernetes from a Python package, in the target folder.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

KUSTOMIZE_VERSION=v5.8.1
KUBERNETES_VALIDATE_VERSION=1.37.0
KUSTOMIZE=$TARGET/tools/bin/kustomize
SCHEMAS=$TARGET/kubernetes

# usage: need_kustomize yes|no
need_kustomize() {
    [ ! -x "$KUSTOMIZE" ] || return 0
    PATH=$PATH:/usr/local/go/bin
    [ "$1" = yes ] && has go || return 77
    mkdir -p "$TARGET/tools/bin"
    (
        export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-mod=mod -buildvcs=false'
        export GOPATH="$TARGET/tools/kustomize/go" GOCACHE="$TARGET/tools/kustomize/cache" GOBIN="$TARGET/tools/bin"
        timeout 900 go install -trimpath -ldflags '-s -w' "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE_VERSION"
        built=$?
        go clean -modcache -cache
        exit "$built"
    ) </dev/null >"$TARGET/tools/kustomize.log" 2>&1 || {
        tail -n 5 "$TARGET/tools/kustomize.log" >&2
        return 77
    }
}

# The package carries the schemas of every version, so nothing is fetched while checking.
# usage: need_schemas yes|no
need_schemas() {
    [ ! -e "$SCHEMAS/ready-$KUBERNETES_VALIDATE_VERSION" ] || return 0
    [ "$1" = yes ] && python3 -c 'import ensurepip' 2>/dev/null || return 77
    rm -rf "$SCHEMAS"
    python3 -m venv "$SCHEMAS" &&
        "$SCHEMAS/bin/pip" install --quiet --disable-pip-version-check --no-compile \
            "kubernetes-validate==$KUBERNETES_VALIDATE_VERSION" </dev/null &&
        : >"$SCHEMAS/ready-$KUBERNETES_VALIDATE_VERSION"
}
