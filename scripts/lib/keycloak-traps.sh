# What can be wrong with a realm, and by which rules the doctor must find it. Sourced by keycloak-broken.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154  # set by the script that sources this

# The id of what has this name: id PATH MEMBER VALUE
id() { keycloak_admin GET "$1" | jq -er --arg value "$3" ".[] | select(.$2 == \$value) | .id"; }

# Puts a mapper elsewhere under the same id: carry ID FROM TO
carry() {
    keycloak_admin GET "$2/$1" >"$WORK/mapper"
    keycloak_admin DELETE "$2/$1"
    keycloak_admin POST "$3" --data-binary @"$WORK/mapper"
}

basic_id=$(id /client-scopes name basic)
basic=/client-scopes/$basic_id
infer=$(id /client-scopes name mcp:infer)
write=$(id /client-scopes name mcp:write)
mappers=$basic/protocol-mappers/models
audience_id=$(id "$mappers" name audience)
audience=$mappers/$audience_id
subject=$mappers/$(id "$mappers" name subject)
demo=/users/$(id /users username "$PERSON")
server=/clients/$(id /clients clientId "$CLIENT_ID")
client=/clients/$(id /clients clientId mcp-client)
number=/components/$(id /components name Number)
origins=/components/$(id /components name 'Web origins')
scopes=/components/$(id /components name Scopes)
policies=/client-policies/policies

say '| the kit, broken | what the doctor says |'
say '|---|---|'
trap_is 'audience mapper: the switch for access tokens is off' machine 'token-accepted token-audience' \
    edit "$audience" '.config["access.token.claim"] = "false"'
trap_is 'audience mapper: a key of its settings is misspelt' machine 'token-accepted token-audience' \
    edit "$audience" '.config |= (.["included.client.audiense"] = .["included.client.audience"] | del(.["included.client.audience"]))'
trap_is 'audience mapper: a client that does not exist' machine 'token-accepted token-audience' \
    edit "$audience" '.config["included.client.audience"] += "/"'
trap_is 'audience mapper: another client beside the right custom audience' machine 'token-accepted token-audience' \
    edit "$audience" '.config |= (.["included.custom.audience"] = .["included.client.audience"] | .["included.client.audience"] = "mcp-client")'
trap_is 'scope basic, with the mapper, not a default of the client' machine 'token-accepted token-audience' \
    unlink "$server/default-client-scopes/$basic_id"
trap_is 'audience mapper in a scope that has to be asked for' machine 'token-audience' \
    move "$audience_id" "$mappers" "/client-scopes/$write/protocol-mappers/models"
trap_is 'scope basic prints itself' machine 'token-scope' edit "$basic" '.attributes["include.in.token.scope"] = "true"'
trap_is 'a scope under another spelling' machine 'scopes-supported' edit "/client-scopes/$infer" '.name = "mcp:infre"'
trap_is 'an optional scope dropped (confidential client)' machine 'token-scope' unlink "$server/optional-client-scopes/$write"
trap_is 'an optional scope dropped (realm)' machine 'authorize-request' unlink "/default-optional-client-scopes/$write"
trap_is 'an optional scope dropped (public client)' person 'authorize-request' unlink "$client/optional-client-scopes/$write"
trap_is 'type of access tokens not set' machine 'token-type' edit "$server" '.attributes["access.token.header.type.rfc9068"] = ""'
trap_is 'signature algorithm misspelt' machine 'token-request' edit '' '.defaultSignatureAlgorithm = "ES-256"'
trap_is 'signature algorithm RS256' machine 'token-accepted' edit '' '.defaultSignatureAlgorithm = "RS256"'
trap_is 'signature algorithm HS256' machine 'token-accepted token-signature token-type' edit "$server" '.attributes["access.token.signed.response.alg"] = "HS256"'
trap_is 'access tokens of ten hours' machine 'token-lifetime' edit '' '.accessTokenLifespan = 36000'
trap_is 'PKCE not enforced' machine 'pkce-plain-refused pkce-required' \
    edit $policies '(.policies[] | select(.name == "every client")).enabled = false'
trap_is 'redirect URIs not checked at registration' machine 'registration-http-redirect registration-wildcard' \
    edit $policies '(.policies[] | select(.name | startswith("redirects"))).enabled = false'
trap_is 'trusted hosts' machine 'registration' \
    edit "$number" '.providerId = "trusted-hosts" | .config = {"host-sending-registration-request-must-match": ["true"], "client-uris-must-match": ["true"], "trusted-hosts": ["mcp.example"]}'
trap_is 'number of clients used up' machine 'registration' edit "$number" '.config["max-clients"] = ["1"]'
trap_is 'scopes not allowed at registration' machine 'registration-scope' \
    edit "$scopes" '.config["allowed-client-scopes"] = ["openid"] | .config["allow-default-scopes"] = ["false"]'
trap_is 'web origin not allowed to register' machine 'cors-registration' edit "$origins" '.config["web-origins"] = ["https://app.example"]'
trap_is 'web origins +' machine 'cors-registration' edit "$origins" '.config["web-origins"] = ["+"]'
trap_is 'web origins of the public client away' person 'cors-token' edit "$client" '.webOrigins = []'
trap_is 'iss left out of authorization responses' person 'authorize-iss' edit "$client" '.attributes["exclude.issuer.from.auth.response"] = "true"'
trap_is 'loopback redirect URI with a port' person 'redirect-loopback-port' edit "$client" '.redirectUris = ["http://127.0.0.1:33418/callback"]'
trap_is 'wildcard in a redirect URI' person 'redirect-exact' edit "$client" '.redirectUris = ["http://127.0.0.1/*"]'
trap_is 'plain http forbidden, and no proxy' machine 'discovery' edit '' '.sslRequired = "all"'
trap_is 'another frontend URL' machine 'issuer-identity' edit '' ".attributes.frontendUrl = \"http://127.0.0.1:$KEYCLOAK_PORT\""
trap_is 'subject mapper: the switch for access tokens is off' login 'person-subject token-accepted token-claims' \
    edit "$subject" '.config["access.token.claim"] = "false"'
trap_is 'refresh tokens not revoked by their use' login 'refresh-replay' edit '' '.revokeRefreshToken = false'
trap_is 'a person without the role for offline_access' login 'code-redeemed' ungrant "$demo/role-mappings/realm"
