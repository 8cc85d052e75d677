//! Every rule that is checked: what it is called, which sentence it comes from, how to obey it.

/// One rule of a specification, as it can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The name under which it is reported; it does not change.
    pub(crate) id: &'static str,
    /// The specification and its section.
    pub(crate) section: &'static str,
    /// What is checked.
    pub(crate) check: &'static str,
    /// What to do when it does not hold.
    pub(crate) mend: &'static str,
}

macro_rules! rules {
    ($($name:ident: $id:literal, $section:literal, $check:literal, $mend:literal;)*) => {
        $(
            pub(super) const $name: Rule = Rule {
                id: $id,
                section: $section,
                check: $check,
                mend: $mend,
            };
        )*

        /// All rules, in the order in which they are checked.
        #[cfg(test)]
        pub(super) const ALL: &[Rule] = &[$($name),*];
    };
}

rules! {
    // The way there.
    REACHABLE: "reachable", "MCP 2026-07-28 transports", "The server answers.",
        "Start the server, and check the URL, the name in DNS and the firewall.";
    BOUNDED_TIME: "bounded-time", "-", "The whole examination ends within two minutes, the wait for a person aside.",
        "Look for endpoints that hang; what was not reached is not judged.";
    TLS_HTTPS: "tls-https", "OAuth 2.1 §1.5", "The server is at an https URL; http is for loopback hosts.",
        "Put TLS in front of it and name the https URL everywhere.";
    TLS_CERTIFICATE: "tls-certificate", "RFC 9110 §4.3.4", "The certificate is valid for the name and for two more weeks.",
        "Renew the certificate with its whole chain; for an authority of your own pass --ca-file.";
    TLS_HSTS: "tls-hsts", "RFC 6797 §6.1", "https answers carry Strict-Transport-Security of half a year or more; loopback names carry none.",
        "Send Strict-Transport-Security: max-age=31536000 on every https answer, and never for loopback names.";
    CLOCK_SKEW: "clock-skew", "RFC 9068 §4", "The server's clock and the local one are at most 30 seconds apart.",
        "Let both machines follow a time server (NTP).";
    // The challenge of the resource.
    CHALLENGE_POST: "challenge-post", "MCP 2026-07-28 authorization, error handling", "POST without a token is answered with 401.",
        "Put the guard before everything else on the MCP path; check that the URL is the MCP endpoint.";
    CHALLENGE_GET: "challenge-get", "MCP 2026-07-28 authorization, error handling", "GET without a token is answered with 401, and not with 405 first.",
        "Authenticate before looking at the method: clients probe with GET.";
    CHALLENGE_SCHEME: "challenge-scheme", "OAuth 2.1 §5.3.1", "The 401 carries WWW-Authenticate with the scheme Bearer.",
        "Send WWW-Authenticate: Bearer with every 401, and let no proxy remove it.";
    CHALLENGE_NO_ERROR: "challenge-no-error", "RFC 6750 §3.1", "Without a token the challenge has no error code.",
        "Leave error out of the challenge when the request had no token.";
    CHALLENGE_SCOPE: "challenge-scope", "MCP 2026-07-28 authorization, scope selection", "The challenge names the scopes to ask for, in legal characters.",
        "Add scope=\"...\" with the scopes of everyday use to the challenge.";
    CHALLENGE_INVALID_TOKEN: "challenge-invalid-token", "RFC 6750 §3.1", "A token that is none is answered with 401 and error=\"invalid_token\".",
        "Answer unreadable, unknown and expired tokens with 401 and error=\"invalid_token\".";
    CHALLENGE_METADATA: "challenge-resource-metadata", "RFC 9728 §5.1", "The challenge leads to the metadata of the resource.",
        "Add resource_metadata=\"<URL of the metadata>\" to the challenge.";
    // The metadata of the resource.
    RESOURCE_PATH: "resource-metadata-path", "RFC 9728 §3.1", "The metadata stands at the well-known path inserted between host and path.",
        "Serve the document at /.well-known/oauth-protected-resource followed by the path of the MCP endpoint.";
    RESOURCE_ROOT: "resource-metadata-root", "RFC 9728 §3.3", "A copy at the root, if there is one, says the same.",
        "Serve the same document at the root, or none.";
    RESOURCE_TYPE: "resource-metadata-type", "RFC 9728 §3.2", "The metadata has the type application/json.",
        "Send Content-Type: application/json.";
    RESOURCE_IDENTITY: "resource-identity", "RFC 9728 §3.3", "The member resource is exactly the URL that clients use.",
        "Set resource to the URL of the MCP endpoint as clients write it: scheme, host, port and path, without a slash at the end.";
    RESOURCE_SERVERS: "resource-authorization-servers", "MCP 2026-07-28 authorization, discovery", "The metadata names an authorization server.",
        "List the issuer in authorization_servers.";
    RESOURCE_SCOPES: "resource-scopes", "MCP 2026-07-28 authorization, scope selection", "scopes_supported is there, and without offline_access.",
        "List the scopes of everyday use in scopes_supported; offline_access belongs to the authorization server.";
    RESOURCE_BEARER: "resource-bearer-methods", "OAuth 2.1 §5.1", "Tokens are taken in the header, and never in the query.",
        "Set bearer_methods_supported to [\"header\"], or leave it out.";
    // Finding the authorization server.
    ISSUER_FORM: "issuer-form", "RFC 8414 §2", "The issuer is an https URL without query and fragment.",
        "Name the issuer by its https URL; http is for loopback hosts, of a resource on loopback.";
    DISCOVERY: "discovery", "MCP 2026-07-28 authorization, discovery", "The metadata of the authorization server stands in one of its places.",
        "Serve the metadata where RFC 8414 §3 puts it, with 200 and JSON and without a redirect.";
    DISCOVERY_OAUTH: "discovery-rfc8414", "RFC 8414 §3", "The metadata stands at the OAuth path inserted between host and path.",
        "Serve it there too (a line in the proxy is enough): some clients look nowhere else.";
    DISCOVERY_OPENID: "discovery-openid", "RFC 8414 §5", "A server of OpenID serves its document both inserted and appended.",
        "Serve the OpenID document in both places (a line in the proxy is enough).";
    ISSUER_IDENTITY: "issuer-identity", "RFC 8414 §3.3", "The metadata names exactly the issuer it was looked up for.",
        "Make the issuer the same text everywhere: host name, port, path and slash at the end.";
    DISCOVERY_CONSISTENT: "discovery-consistent", "RFC 8414 §5", "All forms of the metadata name the same endpoints.",
        "Serve one and the same document in all places.";
    // What the metadata of the authorization server says.
    METADATA_REQUIRED: "metadata-required", "RFC 8414 §2", "authorization_endpoint, token_endpoint and response_types_supported are there.",
        "Add the missing members.";
    METADATA_HTTPS: "metadata-https", "OAuth 2.1 §1.5", "Every endpoint has an https URL; http is for loopback hosts.",
        "Set the public host name of the authorization server: what it prints are the addresses that clients use.";
    PKCE_S256: "pkce-s256", "MCP 2026-07-28 authorization, PKCE", "code_challenge_methods_supported has S256.",
        "Announce S256; clients refuse to go on without it.";
    PKCE_PLAIN: "pkce-plain", "OAuth 2.1 §7.5.2", "code_challenge_methods_supported has nothing but S256.",
        "Turn plain off: it protects nothing once a request is seen.";
    RESPONSE_TYPES: "response-types", "OAuth 2.1 §10.1", "response_types_supported has code, and no type that puts tokens into a URL.",
        "Announce code, and turn the implicit flow off.";
    GRANT_TYPES: "grant-types", "RFC 8414 §2", "grant_types_supported lists authorization_code and refresh_token, and neither password nor implicit.",
        "Write the list out: left out it means authorization_code and implicit.";
    TOKEN_AUTH_METHODS: "token-auth-methods", "RFC 8414 §2", "token_endpoint_auth_methods_supported has none for public clients and a method for confidential ones.",
        "Write the list out, with none: left out it means client_secret_basic alone, and some clients believe it.";
    ISS_PARAMETER: "iss-parameter", "RFC 9207 §3", "authorization_response_iss_parameter_supported is true.",
        "Send iss in every authorization response and announce it: it stops mix-up attacks.";
    SCOPES_SUPPORTED: "scopes-supported", "RFC 8414 §2", "The authorization server knows every scope that the resource names.",
        "Declare the scopes at the authorization server; a typing error in a name may be dropped there silently.";
    CIMD: "cimd", "MCP 2026-07-28 authorization, client registration", "client_id_metadata_document_supported is true.",
        "Turn client id metadata documents on: they replace dynamic registration.";
    // Keys.
    JWKS_FORM: "jwks", "RFC 8414 §2", "jwks_uri leads to a JWK set of at most 100 keys and 256 KiB.",
        "Publish the signature keys as a JWK set at an https URL.";
    JWKS_PRIVATE: "jwks-private", "RFC 7517 §9.2", "No key shows a private member or a shared secret.",
        "Take the keys out of use at once and publish public members only: whoever saw the set can sign tokens.";
    JWKS_USABLE: "jwks-usable", "RFC 9068 §4", "A key can verify ES256, EdDSA, RS256 or PS256 signatures, and none is weak.",
        "Publish a P-256, Ed25519 or RSA key of 2048 bits or more, with the use sig.";
    JWKS_KID: "jwks-kid", "RFC 7517 §4.5", "Every signature key has a kid of its own.",
        "Give each key its own kid: tokens name their key by it.";
    JWKS_ALG: "jwks-alg", "RFC 8725 §3.1", "Every key says its use and its one algorithm.",
        "Add use and alg to each key, so that no verifier has to guess.";
    // Calls from web pages.
    CORS_METADATA: "cors-metadata", "RFC 9700 §2.6", "Web pages may read the metadata and the keys.",
        "Send Access-Control-Allow-Origin: * on metadata and keys.";
    CORS_TOKEN: "cors-token", "RFC 9700 §2.6", "Web pages may call the token endpoint.",
        "Allow the origins of web clients (pass yours with --origin) for POST, also on error answers.";
    CORS_REGISTRATION: "cors-registration", "RFC 9700 §2.6", "Web pages may register.",
        "Allow the origins of web clients (pass yours with --origin) for POST at the registration endpoint.";
    CORS_AUTHORIZE: "cors-authorize", "OAuth 2.1 §3.1", "The authorization endpoint allows no calls from web pages.",
        "Send no Access-Control-Allow-Origin there: it is visited and never called.";
    // Registration.
    REGISTRATION: "registration", "RFC 7591 §3", "A client can register itself.",
        "Let public clients with loopback and https redirects register, or give clients an initial access token or a client_id.";
    REGISTRATION_RESPONSE: "registration-response", "RFC 7591 §3.2.1", "The answer is 201 with Cache-Control: no-store, a client_id and the redirect URIs, and no secret for a public client.",
        "Answer with everything that was registered, and register what was asked for.";
    REGISTRATION_UNKNOWN: "registration-unknown-member", "RFC 7591 §2", "An unknown member of the metadata is ignored.",
        "Ignore members that are not known: clients send new ones.";
    REGISTRATION_HTTP: "registration-http-redirect", "MCP 2026-07-28 authorization, communication security", "A redirect URI with plain http to another machine is refused.",
        "Accept https and loopback redirects only; a policy that trusts hosts does it.";
    REGISTRATION_SCRIPT: "registration-script-redirect", "OAuth 2.1 §7.12.2", "A redirect URI that is a script is refused.",
        "Refuse javascript:, data: and other schemes that run in the browser.";
    REGISTRATION_WILDCARD: "registration-wildcard", "OAuth 2.1 §2.3.1", "A redirect URI with a wildcard is refused, or matches nothing but itself.",
        "Compare redirect URIs as whole texts: a wildcard sends codes to addresses that nobody registered.";
    REGISTRATION_SCOPE: "registration-scope", "MCP 2026-07-28 authorization, step-up", "A client that registered with one scope may ask for another later.",
        "Do not bind clients to the scopes they registered with: they register with the first challenge and step up later.";
    REGISTRATION_CLEANUP: "registration-cleanup", "RFC 7592 §2.3", "What was registered for the examination is removed again.",
        "Remove the client by hand; check the endpoint in registration_client_uri.";
    // Authorization.
    AUTHORIZE_REQUEST: "authorize-request", "OAuth 2.1 §4.1.1", "A proper authorization request is taken to the login.",
        "Look up the error at the authorization server; with --client-id check --redirect-uri and the client's scopes.";
    PKCE_REQUIRED: "pkce-required", "OAuth 2.1 §4.1.2.1", "An authorization request without code_challenge is refused.",
        "Require PKCE of every client, those that register themselves included.";
    PKCE_PLAIN_REFUSED: "pkce-plain-refused", "OAuth 2.1 §7.5.2", "A code_challenge of the method plain is refused.",
        "Require the method S256.";
    IMPLICIT_REFUSED: "implicit-refused", "OAuth 2.1 §10.1", "response_type=token is refused.",
        "Turn the implicit flow off.";
    AUTHORIZE_ISS: "authorize-iss", "RFC 9207 §2", "Error responses carry iss, equal to the issuer.",
        "Add iss to every authorization response, errors included, as the exact text of the issuer.";
    AUTHORIZE_STATE: "authorize-state", "OAuth 2.1 §4.1.2.1", "Error responses give state back as it was.",
        "Return state unchanged.";
    REDIRECT_EXACT: "redirect-exact", "OAuth 2.1 §2.3.1", "A redirect URI with another path is refused on a page.",
        "Compare redirect URIs as whole texts; only the port of a loopback address may differ.";
    REDIRECT_PORT: "redirect-loopback-port", "RFC 8252 §7.3", "A loopback redirect URI matches with any port.",
        "Ignore the port of loopback addresses when comparing; where that cannot be set, register the URI without a port.";
    OPEN_REDIRECT: "open-redirect", "OAuth 2.1 §4.1.2.1", "A request of an unknown client is refused on a page and redirected nowhere.",
        "Redirect to nothing but a redirect URI that a known client registered.";
    // Tokens.
    TOKEN_ERRORS: "token-errors", "OAuth 2.1 §3.2.4", "A code that nobody issued is answered with 400 or 401, JSON with error.",
        "Answer bad requests with a JSON error, and never with 5xx.";
    TOKEN_REQUEST: "token-request", "OAuth 2.1 §4.2", "The client gets a token with its credentials, for this resource.",
        "Check id, secret, grant and scopes of the client; for 5xx read the log of the authorization server (an unknown signature algorithm is a known cause).";
    TOKEN_RESPONSE: "token-response", "OAuth 2.1 §3.2.3", "The token answer has token_type Bearer, expires_in and Cache-Control: no-store.",
        "Send these members and this header.";
    TOKEN_TYPE: "token-type", "RFC 9068 §2.1", "The header of the token has typ at+jwt and an asymmetric alg.",
        "Set the type of access tokens to at+jwt; where that cannot be, the resource server must be told to take JWT.";
    TOKEN_ISSUER: "token-issuer", "RFC 9068 §2.2", "iss of the token is exactly the issuer.",
        "Make the issuer in tokens and metadata the same text.";
    TOKEN_AUDIENCE: "token-audience", "RFC 8707 §2", "aud of the token is the resource.",
        "Issue tokens for the requested resource; without resource indicators add the URL of the MCP server as audience, in a scope that every client has.";
    TOKEN_CLAIMS: "token-claims", "RFC 9068 §2.2", "The token has exp, iat, jti, sub and client_id.",
        "Add the missing claims.";
    TOKEN_LIFETIME: "token-lifetime", "OAuth 2.1 §7.1.3", "The token lives for an hour at most.",
        "Shorten the lifetime of access tokens.";
    TOKEN_CLOCK: "token-clock", "RFC 9068 §4", "iat and nbf of the token do not lie ahead, and exp does.",
        "Let both machines follow a time server (NTP).";
    TOKEN_SIGNATURE: "token-signature", "RFC 9068 §4", "A published key verifies the token.",
        "Publish the key that signs, under the kid that the token names.";
    TOKEN_SCOPE: "token-scope", "OAuth 2.1 §3.2.3", "The token has the scopes that were asked for and no others.",
        "Give the client these scopes; look for typing errors and for scopes that print themselves without being asked for.";
    TOKEN_UNKNOWN_RESOURCE: "token-unknown-resource", "RFC 8707 §2", "A token for an unknown resource is refused with invalid_target.",
        "Turn resource indicators on: an ignored resource parameter misleads clients.";
    TOKEN_ACCEPTED: "token-accepted", "RFC 9068 §4", "The resource takes the token.",
        "Compare issuer, audience, type and algorithm of the token with what the resource server trusts; its log says which one it refused.";
    // What a login shows.
    LOGIN_CALLBACK: "login-callback", "OAuth 2.1 §4.1.2", "After the login the browser comes back to the client with a code.",
        "Open the URL in time, log in and allow everything; look up an error at the authorization server.";
    LOGIN_STATE: "login-state", "OAuth 2.1 §4.1.2", "The answer gives state back as it was.",
        "Return state unchanged; without it clients drop the answer.";
    LOGIN_ISS: "login-iss", "RFC 9207 §2", "The answer carries iss, equal to the issuer.",
        "Add iss to every authorization response, as the exact text of the issuer: clients drop the answer of another one.";
    LOGIN_CONSENT: "login-consent", "OAuth 2.1 §7.3", "Somebody was asked on a page before a client got a code.",
        "Require consent of every client that nobody entered by hand.";
    CODE_REDEEMED: "code-redeemed", "OAuth 2.1 §4.1.3", "The code and its verifier give a token.",
        "Look up the error at the authorization server; the person may lack the role for offline_access.";
    CODE_ONCE: "code-once", "OAuth 2.1 §4.1.3", "A code that was redeemed is refused with invalid_grant.",
        "Redeem each code once, and end what came of it when it comes again.";
    PERSON_SUBJECT: "person-subject", "RFC 9068 §2.2", "sub of a person's token is there, and not the client's.",
        "Add the person as sub to access tokens: resource servers tell people apart by it.";
    PERSON_TOOLS: "person-tools", "MCP 2026-07-28 authorization, access token usage", "The resource lists its tools to the person.",
        "Let the scopes of the challenge be enough to list the tools.";
    REFRESH_TOKEN: "refresh-token", "OAuth 2.1 §4.3", "A refresh token comes with the token.",
        "Give refresh tokens to clients that register the grant: without them people log in whenever a token ends.";
    REFRESH_ROTATION: "refresh-rotation", "OAuth 2.1 §4.3.1", "A refresh token gives a token and a successor of its own.",
        "Rotate the refresh tokens of public clients at every use.";
    REFRESH_REPLAY: "refresh-replay", "RFC 9700 §4.14.2", "A refresh token that was used is refused, or gives its one successor again.",
        "Revoke a refresh token with its use, without further uses.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_stands_in_the_documentation_word_for_word() {
        let page = include_str!("../../../../docs/doctor.md");
        let (_, page) = page.split_once("## The rules").unwrap();
        let row = |rule: &Rule| {
            format!(
                "| `{}` | {} | {} | {} |",
                rule.id, rule.section, rule.check, rule.mend
            )
        };
        let missing: Vec<String> = ALL
            .iter()
            .map(row)
            .filter(|row| !page.lines().any(|line| line == row))
            .collect();
        assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(
            rows,
            ALL.len(),
            "the page has rows of rules that do not exist"
        );
    }

    #[test]
    fn no_two_rules_share_a_name() {
        let mut names: Vec<&str> = ALL.iter().map(|rule| rule.id).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
