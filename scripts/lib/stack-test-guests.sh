# The checks with guests: a client for client credentials, the curl client, Prometheus' view, sslyze.
# Sourced, never run. Needs install.sh and stack-test.sh.
# shellcheck shell=sh

# Makes a client for client credentials and gets its token: CLIENT_ID, CLIENT_SECRET, TOKEN.
first_visitor() {
    as_service authz "$STACK_BINARY" client add tester --grant client_credentials --scope 'mcp:read mcp:write' --json >"$WORK/client.json"
    CLIENT_ID=$(jq -er .client_id "$WORK/client.json")
    CLIENT_SECRET=$(jq -er .client_secret "$WORK/client.json")
    export CLIENT_ID CLIENT_SECRET
    tries=0
    # A running server notices a new client within a second.
    until [ "$(ask http_code "$STACK_PUBLIC_URL/token" -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials)" = 200 ]; do
        tries=$((tries + 1))
        [ "$tries" -le 20 ] || die "the client gets no token: $(cat "$WORK/body")"
        sleep 0.1
    done
    TOKEN=$(jq -er .access_token "$WORK/body")
}

curl_client() { CURL_CA_BUNDLE=$STACK_CERTS/ca.pem examples/curl-client/test.sh --url "$STACK_PUBLIC_URL"; }

# Every metric that somebody looks at must be one that is counted, after each was counted once.
metrics_exist() {
    answers 200 "$STACK_PUBLIC_URL/api/v1/tools/echo" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"message":"x"}' || return 1
    for port in "$STACK_AUTHZ_METRICS_PORT" "$STACK_RESOURCE_METRICS_PORT"; do curl -fs "http://127.0.0.1:$port/metrics"; done |
        sed -n 's/^\(portcullis_[a-z_]*\).*/\1/p' | sort -u >"$WORK/counted"
    grep -rhoE 'portcullis_[a-z_]+' deploy/monitoring/alerts.yml deploy/monitoring/dashboards | sort -u >"$WORK/named"
    comm -13 "$WORK/counted" "$WORK/named" | tee "$WORK/missing"
    [ "$(wc -l <"$WORK/named")" -ge 5 ] && [ ! -s "$WORK/missing" ]
}

# Judged by Mozilla's "intermediate" profile, with our authority beside the known ones.
sslyze_is_content() {
    sslyze --mozilla_config=intermediate --certinfo_ca_file "$STACK_CERTS/ca.pem" "localhost:$STACK_HTTPS_PORT" >"$WORK/sslyze" || { cat "$WORK/sslyze" && return 1; }
    cat "$WORK/sslyze"
    # It also exits with 0 when it could not connect.
    grep -q 'OK - Compliant' "$WORK/sslyze" && grep -q 'Supplied CA file.*OK - Certificate is trusted' "$WORK/sslyze" && ! grep -q 'VULNERABLE -' "$WORK/sslyze"
}
