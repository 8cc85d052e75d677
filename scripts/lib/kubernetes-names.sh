# The checks of scripts/kubernetes-check that follow names and ports from one object to the next.
# Sourced, never run. Needs kubernetes-check.sh.
# shellcheck shell=sh

# Every name leads somewhere: Secrets, ConfigMaps, Services, ports, and the pods of every selector.
names_lead_somewhere() {
    # shellcheck disable=SC2016
    nothing "$1" '. as $all | def known($k; $n): any($all[]; .kind == $k and .metadata.name == $n);
        [pods | .spec.template] as $pods
        | def matched: (.matchLabels // {}) as $want | (.matchExpressions // []) as $in
            | any($pods[]; .metadata.labels as $l | ($want | to_entries | all(.[]; $l[.key] == .value)) and all($in[]; .key as $k | .values | index($l[$k]) != null));
        (pods | .spec.template.spec.volumes[] | (select(.configMap) | .configMap.name | select(known("ConfigMap"; .) | not)), (select(.secret) | .secret.secretName | select(known("Secret"; .) | not))),
        (.[] | select(.kind == "Ingress") | .spec.rules[].http.paths[].backend.service | select(. as $b | any($all[]; .kind == "Service" and .metadata.name == $b.name and any(.spec.ports[]; .name == $b.port.name)) | not) | .name),
        (.[] | select(.kind == "HorizontalPodAutoscaler") | .spec.scaleTargetRef | . as $t | select(known($t.kind; $t.name) | not) | .name),
        (.[] | select(.kind == "Service") | select({matchLabels: .spec.selector} | matched | not) | .metadata.name),
        (.[] | select(.kind == "PodDisruptionBudget") | select(.spec.selector | matched | not) | .metadata.name),
        (.[] | select(.kind == "NetworkPolicy") | .metadata.name as $n | (.spec.podSelector, (.spec | (.ingress // [])[].from[], (.egress // [])[].to[] | select(.podSelector and (.namespaceSelector | not)) | .podSelector)) | select(matched | not) | $n)
        | "\(.) leads nowhere"'
}
# What is asked is what listens, by name or by number.
ports_agree() {
    # shellcheck disable=SC2016
    nothing "$1" '[pods | .metadata.name as $n | .spec.template.spec.containers[] | {name: $n, asked: ., listen: [.env[] | select(.name | endswith("_LISTEN")).value | split(":")[-1] | tonumber]}
            | .ports = [.asked.ports[] | .name, .containerPort]] as $pods
        | ($pods[] | .ports as $p | .name as $n | (.asked | .startupProbe, .livenessProbe, .readinessProbe | .httpGet.port // empty), .listen[] | select(. as $port | $p | index($port) | not) | "\($n): nothing is called \(.)"),
        (.[] | select(.kind == "Service") | .metadata.name as $n | .spec.selector["app.kubernetes.io/name"] as $pod | .spec.ports[].targetPort | select(. as $port | any($pods[]; .name == $pod and (.ports | index($port) != null)) | not) | "\($n): nothing is called \(.)"),
        (.[] | select(.kind == "NetworkPolicy") | .metadata.name as $n | (.spec.ingress // [])[].ports[].port | select(. as $port | any($pods[]; .ports | index($port) != null) | not) | "\($n): nothing is called \(.)")'
}
nothing_is_open() {
    nothing "$1" 'of("NetworkPolicy") | select(any(.[]; .spec.podSelector == {} and (.spec.policyTypes | sort) == ["Egress", "Ingress"] and .spec.ingress == null and .spec.egress == null) | not) | "there is no default-deny"' &&
        nothing "$1" 'of("NetworkPolicy")[] | select((.spec.ingress // [])[] | .from == null or .ports == null) | .metadata.name + " is open"' &&
        nothing "$1" 'of("NetworkPolicy")[] | select((.spec.egress // [])[] | .to == null or .ports == null) | .metadata.name + " is open"'
}
