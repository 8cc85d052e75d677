# kustomize from its Go module and the schemas of Kubernetes from a Python package, in the target folder.
# Sourced, never run. Needs common.sh.
# shellcheck shell=sh

. scripts/lib/go-tools.sh

KUSTOMIZE_VERSION=v5.8.1
KUBERNETES_VALIDATE_VERSION=1.37.0
KUSTOMIZE=$TARGET/tools/bin/kustomize
SCHEMAS=$TARGET/kubernetes

# usage: need_kustomize yes|no
need_kustomize() {
    [ ! -x "$KUSTOMIZE" ] || return 0
    need_go "$1" || return 77
    build_go kustomize \
        timeout 900 go install -trimpath -ldflags '-s -w' "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE_VERSION"
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
