//! Authorization server metadata (RFC 8414, OpenID Connect Discovery 1.0), and the paths it names.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use portcullis_common::config::{Config, GrantType, Registration, TokenEndpointAuthMethod};
use serde::Serialize;
use url::Url;

use crate::grants::IDENTITY_SCOPES;
use crate::state::AppState;

/// The authorization endpoint, below the issuer.
pub(crate) const AUTHORIZE: &str = "/authorize";
/// The token endpoint, below the issuer.
pub(crate) const TOKEN: &str = "/token";
/// The login page, below the issuer; no metadata names it.
pub(crate) const LOGIN: &str = "/login";
/// The page to log out, below the issuer; no metadata names it.
pub(crate) const LOGOUT: &str = "/logout";
/// The consent page, below the issuer; no metadata names it.
pub(crate) const CONSENT: &str = "/consent";
/// Revocation (RFC 7009), below the issuer.
pub(crate) const REVOKE: &str = "/revoke";
/// Introspection (RFC 7662), below the issuer.
pub(crate) const INTROSPECT: &str = "/introspect";
/// What a token says about its person (OpenID Connect Core 1.0 §5.3), below the issuer.
pub(crate) const USERINFO: &str = "/userinfo";
/// Where clients register, below the issuer; each manages its registration at its id below this.
pub(crate) const REGISTER: &str = "/register";
/// The published keys, below the issuer.
pub(crate) const JWKS: &str = "/jwks";

/// The grants that are built.
pub(crate) const GRANTS: [GrantType; 3] = GrantType::ALL;

/// The document. Only what answers is in it: an endpoint gets its line here and its route in
/// `router` together.
#[derive(Debug, Serialize)]
struct AuthorizationServerMetadata<'a> {
    issuer: &'a str,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    userinfo_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    jwks_uri: String,
    scopes_supported: Vec<&'a str>,
    response_types_supported: [&'a str; 1],
    response_modes_supported: [&'a str; 1],
    grant_types_supported: [&'a str; GRANTS.len()],
    token_endpoint_auth_methods_supported: Vec<&'a str>,
    revocation_endpoint_auth_methods_supported: Vec<&'a str>,
    // A public client cannot prove who it is, and so learns nothing about tokens.
    introspection_endpoint_auth_methods_supported: Vec<&'a str>,
    // Clients that speak MCP refuse to go on without S256 (MCP 2026-07-28, authorization, PKCE).
    code_challenge_methods_supported: [&'a str; 1],
    // RFC 9207 §3
    authorization_response_iss_parameter_supported: bool,
    // Client ID Metadata Document §5; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_metadata_document_supported: Option<bool>,
    // RFC 9728 §4
    protected_resources: Vec<&'a str>,
    // Required of an OpenID document; the same document answers in all its places.
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
}

/// Prints the document, once for the life of the process. Nothing of a request enters it, so no
/// forged `Host` can change it.
pub(crate) fn render(config: &Config) -> Result<Bytes, serde_json::Error> {
    let authz = &config.authz;
    let document = AuthorizationServerMetadata {
        issuer: authz.issuer.as_str(),
        authorization_endpoint: authz.issuer.endpoint(AUTHORIZE),
        token_endpoint: authz.issuer.endpoint(TOKEN),
        revocation_endpoint: authz.issuer.endpoint(REVOKE),
        introspection_endpoint: authz.issuer.endpoint(INTROSPECT),
        userinfo_endpoint: authz.issuer.endpoint(USERINFO),
        registration_endpoint: is_registration_on(config).then(|| authz.issuer.endpoint(REGISTER)),
        jwks_uri: authz.issuer.endpoint(JWKS),
        scopes_supported: config
            .scopes
            .declarations()
            .iter()
            .map(|scope| scope.name.as_str())
            .chain(IDENTITY_SCOPES)
            .collect(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: GRANTS.map(GrantType::name),
        token_endpoint_auth_methods_supported: auth_methods(config).collect(),
        revocation_endpoint_auth_methods_supported: auth_methods(config).collect(),
        introspection_endpoint_auth_methods_supported: auth_methods(config)
            .filter(|name| *name != TokenEndpointAuthMethod::None.name())
            .collect(),
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: authz.cimd.then_some(true),
        protected_resources: authz
            .resources
            .iter()
            .map(|resource| resource.identifier.as_str())
            .collect(),
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: [authz.signing_alg.name()],
    };
    serde_json::to_vec(&document).map(Bytes::from)
}

/// How clients can authenticate here: by a certificate only where one can come to be known.
fn auth_methods(config: &Config) -> impl Iterator<Item = &'static str> {
    let takes_certificates = config.server.learns_of_client_certificates();
    TokenEndpointAuthMethod::ALL
        .into_iter()
        .filter(move |method| {
            takes_certificates || *method != TokenEndpointAuthMethod::TlsClientAuth
        })
        .map(TokenEndpointAuthMethod::name)
}

/// Whether clients may register themselves at all.
pub(crate) fn is_registration_on(config: &Config) -> bool {
    match config.authz.registration {
        Registration::Open | Registration::Token => true,
        Registration::Off => false,
    }
}

/// The paths at which the document stands: RFC 8414 inserted, OpenID inserted, OpenID appended;
/// without a path in the issuer the last two are one.
pub(crate) fn paths(config: &Config) -> Vec<String> {
    let urls = config.authz.issuer.metadata_urls();
    urls.iter()
        .filter_map(|url| Url::parse(url).ok())
        .map(|url| url.path().to_owned())
        .collect()
}

/// Answers with the document.
pub(crate) async fn get(State(state): State<AppState>) -> Response {
    let mut response = state.metadata().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}
