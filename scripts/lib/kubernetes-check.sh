# The checks of scripts/kubernetes-check. Each overlay is rendered into $WORK/NAME.yaml and .json, a list.
# Sourced, never run. Needs common.sh, compose-check.sh, kubernetes-tools.sh and WORK.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by the script that sources this

# The oldest version that sleeps before it stops a container without a feature gate, and the newest one known.
KUBERNETES_VERSIONS='1.30 1.37'

# A copy with made-up secrets, which the repository does not hold.
overlay_copies() {
    cp -R deploy/kubernetes "$WORK/kubernetes"
    for folder in "$WORK"/kubernetes/overlays/*/; do
        mkdir -p "$folder/secrets"
        openssl rand -hex 32 >"$folder/secrets/postgres-password"
        printf 'postgres://portcullis:%s@db.example.com/portcullis\n' "$(cat "$folder/secrets/postgres-password")" >"$folder/secrets/store-url"
        openssl rand -base64 32 >"$folder/secrets/key-encryption-key"
        echo 'rediss://:made-up@redis.example.com' >"$folder/secrets/redis-url"
    done
}
renders() {
    "$KUSTOMIZE" build "$WORK/kubernetes/overlays/$1" >"$WORK/$1.yaml" &&
        "$SCHEMAS/bin/python" -c 'import json, sys, yaml; json.dump([x for x in yaml.safe_load_all(sys.stdin) if x], sys.stdout)' \
            <"$WORK/$1.yaml" >"$WORK/$1.json" && jq -e 'length > 10' "$WORK/$1.json"
}
# Unknown fields count too.
schemas_hold() {
    for version in $KUBERNETES_VERSIONS; do
        "$SCHEMAS/bin/kubernetes-validate" --strict --quiet -k "$version" "$WORK/$1.yaml" || return 1
    done
}
# Prints what jq finds wrong: the query must give no line.
# usage: nothing OVERLAY QUERY
nothing() {
    jq -r "def pods: .[] | select(.spec.template) ; def of(k): [.[] | select(.kind == k)]; $2" "$WORK/$1.json" >"$WORK/wrong" &&
        cat "$WORK/wrong" && [ ! -s "$WORK/wrong" ]
}

# What the pod would read: its variables, its file, its secrets. The product lists all that is wrong.
product_takes_it() {
    secrets=$WORK/kubernetes/overlays/$1/secrets
    jq -er --arg name "$2" '. as $all | .[] | select(.kind == "Deployment" and .metadata.name == $name) | .spec.template.spec
        | (.volumes[] | select(.name == "config").configMap.name) as $map
        | $all[] | select(.kind == "ConfigMap" and .metadata.name == $map).data[$name + ".toml"]' "$WORK/$1.json" >"$WORK/$2.toml" &&
        jq -er --arg name "$2" '.[] | select(.kind == "Deployment" and .metadata.name == $name) | .spec.template.spec.containers[0].env[]
            | "\(.name)=\(.value)"' "$WORK/$1.json" | sed "s#/secrets/#$secrets/#; s#/redis/#$secrets/#" >"$WORK/variables" &&
        with_lines --config "$WORK/$2.toml" config check <"$WORK/variables" || return 1
    set -- "$(jq -r --arg name "$2" '.[] | select(.kind == "Deployment" and .metadata.name == $name) | .spec.template.spec.containers[0].args | join(" ")' "$WORK/$1.json")"
    # shellcheck disable=SC2086  # the words of a command
    "$STACK_BINARY" $1 --help
}

# The profile "restricted" of the pod security standards, and what we ask for beyond it.
pods_are_hardened() {
    # shellcheck disable=SC2016  # jq's variables
    nothing "$1" 'pods | .metadata.name as $n | .spec.template.spec | select((.automountServiceAccountToken == false and .enableServiceLinks == false
        and .securityContext.runAsNonRoot and .securityContext.runAsUser > 0 and .securityContext.seccompProfile.type == "RuntimeDefault"
        and (.hostNetwork // .hostPID // .hostIPC // false | not) and all(.volumes[]; .hostPath == null)
        and all(.containers[]; .securityContext.allowPrivilegeEscalation == false and .securityContext.readOnlyRootFilesystem and .securityContext.capabilities.drop == ["ALL"]
            and .resources.requests.cpu != null and .resources.limits.memory != null and .readinessProbe != null)) | not) | "\($n) is not hardened"' &&
        nothing "$1" 'of("Namespace") | select(length != 1 or .[0].metadata.labels["pod-security.kubernetes.io/enforce"] != "restricted") | "the namespace is not restricted"'
}
images_have_tags() {
    nothing "$1" 'pods | .spec.template.spec.containers[].image | select(test("^[a-z0-9./-]+:[a-z]*[0-9]+\\.[0-9][A-Za-z0-9.-]*$") | not)'
}
# Requests under way end before the kill: preStop, shutdown_grace, and some air.
stops_in_time() {
    # shellcheck disable=SC2016
    nothing "$1" 'pods | select(.kind == "Deployment") | .metadata.name as $n | .spec.template.spec | .terminationGracePeriodSeconds as $all | .containers[0]
        | (.env[] | select(.name == "PORTCULLIS_SERVER_SHUTDOWN_GRACE").value | rtrimstr("s") | tonumber) as $grace
        | select($all < .lifecycle.preStop.sleep.seconds + $grace + 5) | "\($n) is killed while it finishes"'
}
