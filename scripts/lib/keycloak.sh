# Keycloak from its Maven artifact, and its admin API. Sourced, never run. Needs common.sh.
# shellcheck shell=sh

KEYCLOAK_VERSION=26.7.3
KEYCLOAK_SHA256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f
KEYCLOAK_DIR=$TARGET/keycloak
KEYCLOAK_HOME=$KEYCLOAK_DIR/keycloak-$KEYCLOAK_VERSION
KEYCLOAK_RUN=$KEYCLOAK_DIR/run
KEYCLOAK_ENV=$KEYCLOAK_RUN/env
# What a resource server does not need of it; start time and memory are what CI pays for.
KEYCLOAK_WITHOUT=account,account-api,admin,authorization,admin-fine-grained-authz,ciba,device-flow,kerberos
KEYCLOAK_WITHOUT=$KEYCLOAK_WITHOUT,organization,impersonation,web-authn,passkeys,passkeys-conditional-ui-authenticator
KEYCLOAK_WITHOUT=$KEYCLOAK_WITHOUT,docker,workflows,par
# kc.sh names a collector of its own unless JAVA_OPTS is given whole.
JAVA_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xms64m -Xmx256m -XX:MaxMetaspaceSize=256m"
JAVA_OPTS="$JAVA_OPTS -Dfile.encoding=UTF-8 -Djava.net.preferIPv4Stack=true"
export JAVA_OPTS

kc() { bash "$KEYCLOAK_HOME/bin/kc.sh" "$@"; }

# Downloads, checks, unpacks and builds it, once.
need_keycloak() {
    for tool in java jar mvn bash setsid; do
        has "$tool" || { warn "$tool is missing: Keycloak cannot run here" && return 77; }
    done
    [ ! -e "$KEYCLOAK_HOME/ready" ] || return 0
    rm -rf "$KEYCLOAK_DIR" && mkdir -p "$KEYCLOAK_DIR"
    zip=keycloak-quarkus-dist-$KEYCLOAK_VERSION.zip
    # One chain: what stands left of || runs on after an error otherwise.
    (
        cd "$KEYCLOAK_DIR" &&
            mvn -q -B dependency:copy -Dartifact="org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:zip" \
                -DoutputDirectory="$KEYCLOAK_DIR" </dev/null &&
            printf '%s  %s\n' "$KEYCLOAK_SHA256" "$zip" | sha256sum --quiet -c - &&
            jar xf "$zip" && rm "$zip"
    ) || die "Keycloak $KEYCLOAK_VERSION cannot be had, or is not the one that was checked"
    kc build --db=dev-file --health-enabled=false --metrics-enabled=false --features-disabled="$KEYCLOAK_WITHOUT" \
        >"$KEYCLOAK_DIR/build.log" 2>&1 || die "Keycloak cannot be built: $(tail -n 5 "$KEYCLOAK_DIR/build.log")"
    : >"$KEYCLOAK_HOME/ready"
}

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Prints the id of the server's process; fails where it does not run.
keycloak_pid() {
    pid=$(cat "$KEYCLOAK_RUN/pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && say "$pid"
}

# Speaks to the admin API of the realm; secrets go to curl by file, never on its command line.
# usage: keycloak_admin METHOD PATH [CURL ARGUMENT...]
keycloak_admin() {
    method=$1 path=$2
    shift 2
    (
        umask 077
        printf 'data-urlencode = "client_secret=%s"\n' "$KEYCLOAK_ADMIN_SECRET" >"$KEYCLOAK_RUN/admin.curl"
        answer=$(curl -fsS -K "$KEYCLOAK_RUN/admin.curl" -d grant_type=client_credentials -d client_id=kit \
            "$KEYCLOAK_URL/realms/master/protocol/openid-connect/token")
        say "$answer" | jq -er '"header = \"Authorization: Bearer " + .access_token + "\""' >"$KEYCLOAK_RUN/admin.curl"
    )
    curl -fsS -K "$KEYCLOAK_RUN/admin.curl" -X "$method" -H 'Content-Type: application/json' "$@" \
        "$KEYCLOAK_URL/admin/realms/mcp$path"
}

# The kit holds no password: gives the person of the kit one, and asks for the secret that Keycloak made
# for its confidential client.
keycloak_secrets() {
    PERSON_PASSWORD=$(random)
    person=$(keycloak_admin GET '/users?username=demo' | jq -er '.[0].id')
    jq -n --arg value "$PERSON_PASSWORD" '{type: "password", temporary: false, value: $value}' |
        keycloak_admin PUT "/users/$person/reset-password" --data-binary @-
    client=$(keycloak_admin GET '/clients?clientId=mcp-server' | jq -er '.[0].id')
    CLIENT_SECRET=$(keycloak_admin GET "/clients/$client/client-secret" | jq -er .value)
    printf 'PERSON=demo\nPERSON_PASSWORD=%s\nCLIENT_ID=mcp-server\nCLIENT_SECRET=%s\n' \
        "$PERSON_PASSWORD" "$CLIENT_SECRET" >>"$KEYCLOAK_ENV"
}
