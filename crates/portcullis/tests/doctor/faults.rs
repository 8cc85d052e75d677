//! The table: one fault, and what must be found of it. Those marked `K` are what a Keycloak does
//! whose realm lacks a line.

use portcullis_common::config::SigningAlgorithm;
use portcullis_common::jws::SigningKey;
use serde_json::{Value, json};

use crate::model::{
    Habit, JWKS, Model, OAUTH, OPENID_APPENDED, OPENID_INSERTED, RESOURCE, RESOURCE_ROOT, set,
};

/// One fault.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) plant: fn(&mut Model),
    /// Every complaint, as `severity: rule`.
    pub(crate) found: &'static [&'static str],
}

macro_rules! faults {
    ($($name:literal => $plant:expr => [$($found:literal),*];)*) => {
        &[$(Fault { name: $name, plant: $plant, found: &[$($found),*] }),*]
    };
}

/// A habit alone.
macro_rules! habit {
    ($habit:ident) => {
        |model| model.learn(Habit::$habit)
    };
}

/// The challenge of both methods.
fn challenge(model: &mut Model, change: impl Fn(&str) -> String) {
    for page in [&mut model.post, &mut model.get] {
        let text = change(&page.headers["www-authenticate"]);
        page.headers.insert("www-authenticate", text);
    }
}

/// One member of the document of the resource, in both its places.
fn resource(model: &mut Model, name: &str, value: impl Into<Option<Value>>) {
    let value = value.into();
    for path in [RESOURCE, RESOURCE_ROOT] {
        set(model.document(path), name, value.clone());
    }
}

fn claim(model: &mut Model, name: &str, value: impl Into<Option<Value>>) {
    set(&mut model.claims, name, value.into());
}

/// A further key.
fn publish(model: &mut Model, change: impl Fn(&mut Value)) {
    let other = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let mut jwk = other.public_jwk().clone();
    jwk["use"] = json!("sig");
    change(&mut jwk);
    model.document(JWKS)["keys"]
        .as_array_mut()
        .unwrap()
        .push(jwk);
}

/// A token whose header was changed after signing.
fn forge(model: &mut Model, header: &Value) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (_, rest) = model.issued().split_once('.').unwrap();
    let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
    model.token = token.into();
}

pub(crate) const RESOURCE_FAULTS: &[Fault] = faults! {
    "anybody may call" => |model| model.post.status = 200
        => ["error: challenge-post"];
    "nothing at the URL" => |model| model.post.status = 404
        => ["error: challenge-post"];
    "the body is read before the token" => |model| model.post.status = 400
        => ["error: challenge-post"];
    "GET is 405 before 401" => |model| model.get.status = 405
        => ["warning: challenge-get"];
    "GET needs no token" => |model| model.get.status = 200
        => ["error: challenge-get"];
    "no challenge" => |model| drop(model.post.headers.remove("www-authenticate"))
        => ["error: challenge-scheme"];
    "another scheme" => |model| challenge(model, |_| "Basic realm=\"x\"".to_owned())
        => ["error: challenge-scheme"];
    "an error without a token" => |model| challenge(model, |text| format!("{text}, error=\"invalid_token\""))
        => ["warning: challenge-no-error"];
    "no scope" => |model| challenge(model, |text| text.replace(", scope=\"mcp:read mcp:write\"", ""))
        => ["warning: challenge-scope"];
    "an illegal scope" => |model| challenge(model, |text| text.replace("mcp:write", "mcp:\\\"x"))
        => ["error: challenge-scope"];
    "a bad token is forbidden" => |model| model.garbage.status = 403
        => ["error: challenge-invalid-token"];
    "a bad token breaks the server" => |model| model.garbage.status = 500
        => ["error: challenge-invalid-token"];
    "a bad token is not called so" => |model| model.garbage = model.post.clone()
        => ["error: challenge-invalid-token"];
    "no resource_metadata" => |model| challenge(model, |_| "Bearer scope=\"mcp:read mcp:write\"".to_owned())
        => ["warning: challenge-resource-metadata"];
    "resource_metadata leads nowhere" => |model| challenge(model, |text| text.replace("/mcp\"", "/gone\""))
        => ["error: challenge-resource-metadata"];
    "resource_metadata is plain http elsewhere" => |model| challenge(model, |text| text.replace("127.0.0.1", "mcp.example"))
        => ["error: challenge-resource-metadata"];
    "no document in its path" => |model| {
        drop(model.pages.remove(RESOURCE));
        challenge(model, |text| text.replace("/oauth-protected-resource/mcp", "/oauth-protected-resource"));
    } => ["warning: resource-metadata-path"];
    "no document at all" => |model| model.pages.clear()
        => ["error: challenge-resource-metadata", "error: resource-metadata-path"];
    "the document is moved" => |model| {
        let page = model.pages.get_mut(RESOURCE).unwrap();
        page.status = 301;
        page.headers.insert("location", "https://other.example/x".to_owned());
    } => ["error: challenge-resource-metadata", "error: resource-metadata-path"];
    "the document is huge" => |model| resource(model, "x", json!("x".repeat(300_000)))
        => ["error: challenge-resource-metadata", "error: resource-metadata-path"];
    "the root says something else" => |model| model.document(RESOURCE_ROOT)["authorization_servers"] = json!([])
        => ["warning: resource-metadata-root"];
    "a page instead of JSON" => |model| {
        let page = model.pages.get_mut(RESOURCE).unwrap();
        page.headers.insert("content-type", "text/html".to_owned());
    } => ["warning: resource-metadata-type"];
    "a slash at the end of the resource" => |model| {
        let own = format!("{}/mcp/", model.base);
        resource(model, "resource", json!(own));
    } => ["error: resource-identity"];
    "the inner name of the resource" => |model| resource(model, "resource", json!("http://mcp:8000/mcp"))
        => ["error: resource-identity"];
    "no authorization server" => |model| resource(model, "authorization_servers", None)
        => ["error: resource-authorization-servers"];
    "no scopes" => |model| resource(model, "scopes_supported", None)
        => ["warning: resource-scopes"];
    "offline_access in the resource" => |model| resource(model, "scopes_supported", json!(["mcp:read", "offline_access"]))
        => ["warning: resource-scopes"];
    "tokens in the query" => |model| resource(model, "bearer_methods_supported", json!(["header", "query"]))
        => ["warning: resource-bearer-methods"];
    "the clock is two minutes off" => |model| model.date = Some(date(120))
        => ["warning: clock-skew"];
    "the clock is an hour off" => |model| model.date = Some(date(-3600))
        => ["error: clock-skew"];
};

/// A `Date` so many seconds from now.
fn date(seconds: i64) -> String {
    use portcullis_common::clock::{Clock as _, SystemClock};
    let moment = jiff::Timestamp::from_second(SystemClock.now().seconds() + seconds).unwrap();
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&moment)
        .unwrap()
}

pub(crate) const DISCOVERY_FAULTS: &[Fault] = faults! {
    "an issuer with a query" => |model| {
        let issuer = format!("{}?realm=x", model.issuer());
        resource(model, "authorization_servers", json!([issuer]));
    } => ["error: issuer-form"];
    "an issuer on plain http" => |model| resource(model, "authorization_servers", json!(["http://as.example"]))
        => ["error: issuer-form"];
    "no metadata" => |model| for path in [OAUTH, OPENID_INSERTED, OPENID_APPENDED] {
        model.pages.remove(path);
    } => ["error: discovery"];
    "metadata that is no JSON" => |model| for path in [OAUTH, OPENID_INSERTED, OPENID_APPENDED] {
        *model.document(path) = json!("a page");
    } => ["error: discovery"];
    "no OAuth form" => |model| drop(model.pages.remove(OAUTH))
        => ["warning: discovery-rfc8414"];
    "K: no OpenID form inserted" => |model| drop(model.pages.remove(OPENID_INSERTED))
        => ["warning: discovery-openid"];
    "K: the issuer is the inner host name" => |model| model.member("issuer", json!("http://keycloak:8080/realms/mcp"))
        => ["error: issuer-identity"];
    "the issuer has a slash too many" => |model| {
        let issuer = format!("{}/", model.issuer());
        model.member("issuer", json!(issuer));
    } => ["error: issuer-identity"];
    "one form names another issuer" => |model| model.document(OPENID_APPENDED)["issuer"] = json!("https://other.example")
        => ["error: issuer-identity"];
    "the forms differ" => |model| {
        let url = format!("{}/token2", model.issuer());
        model.document(OPENID_APPENDED)["token_endpoint"] = json!(url);
    } => ["warning: discovery-consistent"];
    "no response types" => |model| model.member("response_types_supported", None)
        => ["error: metadata-required"];
    "no token endpoint" => |model| model.member("token_endpoint", None)
        => ["error: metadata-required"];
    "K: endpoints under an inner host name" => |model| model.member("token_endpoint", json!("http://keycloak:8080/token"))
        => ["error: metadata-https"];
    "no S256" => |model| model.member("code_challenge_methods_supported", None)
        => ["error: pkce-s256"];
    "K: plain is announced" => |model| model.member("code_challenge_methods_supported", json!(["plain", "S256"]))
        => ["warning: pkce-plain"];
    "K: implicit is announced" => |model| model.member("response_types_supported", json!(["code", "id_token token"]))
        => ["warning: response-types"];
    "code is not announced" => |model| model.member("response_types_supported", json!(["id_token"]))
        => ["error: response-types"];
    "no grants" => |model| model.member("grant_types_supported", None)
        => ["warning: grant-types"];
    "K: the password grant" => |model| model.member("grant_types_supported", json!(["authorization_code", "refresh_token", "password"]))
        => ["warning: grant-types"];
    "K: none is not announced" => |model| model.member("token_endpoint_auth_methods_supported", json!(["client_secret_basic"]))
        => ["warning: token-auth-methods"];
    "no methods" => |model| model.member("token_endpoint_auth_methods_supported", None)
        => ["warning: token-auth-methods"];
    "assertions without algorithms" => |model| model.member("token_endpoint_auth_methods_supported", json!(["none", "client_secret_basic", "private_key_jwt"]))
        => ["warning: token-auth-methods"];
    "iss is not announced" => |model| model.member("authorization_response_iss_parameter_supported", None)
        => ["warning: iss-parameter"];
    "K: a scope was misspelt and dropped" => |model| model.member("scopes_supported", json!(["mcp:read", "mcp:wirte"]))
        => ["warning: scopes-supported"];
    "K: no metadata documents of clients" => |model| model.member("client_id_metadata_document_supported", None)
        => ["warning: cimd"];
    "no jwks_uri" => |model| model.member("jwks_uri", None)
        => ["warning: jwks"];
    "no keys" => |model| drop(model.pages.remove(JWKS))
        => ["error: jwks"];
    "too many keys" => |model| for number in 0..101 {
        publish(model, |jwk| jwk["kid"] = json!(number.to_string()));
    } => ["error: jwks"];
    "a private key" => |model| publish(model, |jwk| jwk["d"] = json!("AAAA"))
        => ["error: jwks-private"];
    "a shared secret" => |model| publish(model, |jwk| *jwk = json!({ "kty": "oct", "k": "AAAA", "kid": "x", "use": "sig", "alg": "HS512" }))
        => ["error: jwks-private"];
    "a weak key" => |model| publish(model, |jwk| *jwk = json!({ "kty": "RSA", "n": "AAEC", "e": "AQAB", "kid": "x", "use": "sig", "alg": "RS256" }))
        => ["error: jwks-usable"];
    "only a key for encryption" => |model| model.document(JWKS)["keys"][0]["use"] = json!("enc")
        => ["error: jwks-usable"];
    "a key without kid" => |model| publish(model, |jwk| set(jwk, "kid", None))
        => ["error: jwks-kid"];
    "two keys of one name" => |model| {
        publish(model, |jwk| jwk["kid"] = json!("x"));
        publish(model, |jwk| jwk["kid"] = json!("x"));
    } => ["error: jwks-kid"];
    "a key without alg" => |model| publish(model, |jwk| set(jwk, "alg", None))
        => ["warning: jwks-alg"];
    "pages cannot read the metadata" => |model| drop(model.pages.get_mut(OAUTH).unwrap().headers.remove("access-control-allow-origin"))
        => ["warning: cors-metadata"];
};

pub(crate) const CLIENT_FAULTS: &[Fault] = faults! {
    "pages cannot ask for tokens" => habit!(PreflightForNobody) => ["warning: cors-token"];
    "K: the origin is refused at the token endpoint" => habit!(TokenOriginRefused) => ["warning: cors-token"];
    "K: the origin is refused at registration" => habit!(RegistrationOriginRefused) => ["warning: cors-registration"];
    "pages may call the authorization endpoint" => habit!(AuthorizeForPages) => ["error: cors-authorize"];
    "no way in" => |model| {
        model.member("registration_endpoint", None);
        model.member("client_id_metadata_document_supported", None);
    } => ["warning: cimd", "warning: registration"];
    "K: registration trusts hosts only" => habit!(RegistrationTrustsHosts) => ["warning: registration"];
    "registration refuses everything" => habit!(RegistrationRefusesAll) => ["error: registration"];
    "registration is broken" => habit!(RegistrationBroken) => ["error: registration"];
    "registration answers 200" => habit!(RegistrationSays200) => ["warning: registration-response"];
    "registration may be cached" => habit!(RegistrationIsCached) => ["warning: registration-response"];
    "public clients get secrets" => habit!(RegistrationGivesSecrets) => ["warning: registration-response"];
    "K: unknown members are refused" => habit!(UnknownMembersRefused) => ["warning: registration-unknown-member"];
    "K: http redirects are taken" => habit!(HttpRedirectsTaken) => ["error: registration-http-redirect"];
    "scripts are taken" => habit!(ScriptRedirectsTaken) => ["error: registration-script-redirect"];
    "K: wildcards match" => habit!(WildcardsMatch) => ["error: registration-wildcard"];
    "K: clients are bound to their first scope" => habit!(ScopesBind) => ["warning: registration-scope"];
    "K: scopes are refused at registration" => habit!(ScopesRefused) => ["warning: registration-scope"];
    "clients cannot be removed" => habit!(ClientsStay) => ["warning: registration-cleanup"];
    "every request is refused" => habit!(EveryRequestRefused) => ["error: authorize-request"];
    "K: PKCE is not required" => habit!(NoChallengeNeeded) => ["error: pkce-required"];
    "K: plain is taken" => habit!(PlainTaken) => ["warning: pkce-plain-refused"];
    "the implicit flow is on" => habit!(ImplicitTaken) => ["error: implicit-refused"];
    "iss is announced and not sent" => habit!(NoIss) => ["error: authorize-iss"];
    "iss is another issuer" => habit!(WrongIss) => ["error: authorize-iss"];
    "state is lost" => habit!(NoState) => ["error: authorize-state"];
    "any path of a redirect matches" => habit!(AnyPath) => ["error: redirect-exact"];
    "K: the port of loopback redirects is fixed" => habit!(OnePort) => ["warning: redirect-loopback-port"];
    "anybody is redirected anywhere" => habit!(RedirectsForAnybody) => ["error: open-redirect"];
};

pub(crate) const TOKEN_FAULTS: &[Fault] = faults! {
    "unknown codes break the server" => habit!(TokenErrorsBroken) => ["error: token-errors"];
    "K: every token request is 500" => habit!(TokensBroken) => ["error: token-request"];
    "no expires_in" => |model| set(&mut model.token_answer, "expires_in", None)
        => ["warning: token-response"];
    "tokens may be cached" => |model| model.is_token_cached = true
        => ["warning: token-response"];
    "K: the type is JWT" => |model| model.kind = "JWT"
        => ["warning: token-type"];
    "alg is none" => |model| forge(model, &json!({ "typ": "at+jwt", "alg": "none" }))
        => ["error: token-signature", "error: token-type"];
    "another issuer in the token" => |model| claim(model, "iss", json!("http://keycloak:8080"))
        => ["error: token-issuer"];
    "K: no audience" => |model| claim(model, "aud", None)
        => ["error: token-audience"];
    "K: the audience is a client" => |model| claim(model, "aud", json!(["account", "mcp-b"]))
        => ["error: token-audience"];
    "K: the client stands in azp only" => |model| {
        claim(model, "client_id", None);
        claim(model, "azp", json!("agent"));
    } => ["warning: token-claims"];
    "K: no sub" => |model| claim(model, "sub", None)
        => ["warning: token-claims"];
    "a token without an end" => |model| claim(model, "exp", None)
        => ["error: token-claims"];
    "a token for a day" => |model| {
        let until = model.claims["iat"].as_i64().unwrap() + 86_400;
        claim(model, "exp", json!(until));
    } => ["warning: token-lifetime"];
    "a token of tomorrow" => |model| {
        let now = model.claims["iat"].as_i64().unwrap();
        claim(model, "iat", json!(now + 86_400));
        claim(model, "exp", json!(now + 86_700));
    } => ["error: token-clock"];
    "a token of yesterday" => |model| {
        let now = model.claims["iat"].as_i64().unwrap();
        claim(model, "iat", json!(now - 86_400));
        claim(model, "exp", json!(now - 86_000));
    } => ["error: token-clock"];
    "the signing key is not published" => |model| model.key = SigningKey::generate(SigningAlgorithm::Es256).unwrap()
        => ["error: token-signature"];
    "another key has the name" => |model| {
        let kid = model.key.kid().to_owned();
        model.document(JWKS)["keys"] = json!([]);
        publish(model, |jwk| jwk["kid"] = json!(kid));
    } => ["error: token-signature"];
    "K: a scope was dropped" => |model| claim(model, "scope", json!("mcp:read"))
        => ["warning: token-scope"];
    "K: the client may not have the scopes of the challenge" => habit!(ScopesNotForClient)
        => ["warning: token-scope"];
    "K: the audience comes with a scope" => habit!(AudienceByScope) => ["error: token-audience"];
    "K: a scope prints itself" => |model| claim(model, "scope", json!("basic mcp:read mcp:write"))
        => ["warning: token-scope"];
    "K: the resource parameter is ignored" => habit!(ResourceIgnored) => ["warning: token-unknown-resource"];
    "the resource does not take its own token" => habit!(TokenNotAccepted) => ["error: token-accepted"];
};

/// What only a login shows.
pub(crate) const LOGIN_FAULTS: &[Fault] = faults! {
    "the person is sent away" => habit!(LoginDenied) => ["error: login-callback"];
    "state is lost on the way back" => habit!(LoginWithoutState) => ["error: login-state"];
    "iss is announced and not in the answer" => habit!(LoginWithoutIss) => ["error: login-iss"];
    "another server answers" => habit!(LoginWithWrongIss) => ["error: login-iss"];
    "K: the person may not stay" => habit!(CodeRefused) => ["error: code-redeemed"];
    "a code works twice" => habit!(CodeWorksTwice) => ["error: code-once"];
    "a code that comes twice breaks the server" => habit!(CodeBreaksServer) => ["error: code-once"];
    "K: nobody is in the token" => |model| set(&mut model.person_claims, "sub", None)
        => ["error: person-subject", "warning: token-claims"];
    "the client is in the person's place" => |model| model.person_claims["sub"] = json!("client-1")
        => ["error: person-subject"];
    "K: the audience is missing for people" => |model| set(&mut model.person_claims, "aud", None)
        => ["error: token-audience"];
    "people get another scope than the answer says" => |model| model.person_claims["scope"] = json!("mcp:read")
        => ["warning: token-scope"];
    "the resource takes programs only" => habit!(PersonNotAccepted) => ["error: token-accepted"];
    "the tools are not for people" => habit!(ToolsForbidden) => ["error: person-tools"];
    "no tools are listed" => habit!(ToolsNotListed) => ["warning: person-tools"];
    "no refresh token" => habit!(NoRefreshToken) => ["warning: refresh-token"];
    "refreshing is refused" => habit!(RefreshRefused) => ["error: refresh-rotation"];
    "refresh tokens stay" => habit!(RefreshStays) => ["error: refresh-rotation"];
    "K: refresh tokens work again" => habit!(RefreshForks) => ["error: refresh-replay"];
};

/// All that a stranger can find.
pub(crate) fn all() -> impl Iterator<Item = &'static Fault> {
    [
        RESOURCE_FAULTS,
        DISCOVERY_FAULTS,
        CLIENT_FAULTS,
        TOKEN_FAULTS,
    ]
    .into_iter()
    .flatten()
}
