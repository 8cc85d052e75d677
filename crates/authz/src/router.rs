//! Every path and every layer, on one screen.

use axum::Router;
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method};
use portcullis_common::config::Config;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::endpoints::{
    authorize, consent, human, introspect, jwks, login, logout, metadata, register, revoke, token,
    userinfo,
};
use crate::error::{Cause, OAuthError};
use crate::page_error::PageError;
use crate::state::AppState;

/// The authorization server: [`routes`], and JSON for every other path.
pub fn router(state: AppState) -> Router {
    routes(state).fallback(async || seal(OAuthError::not_found().into_response()).await)
}

/// The paths of the authorization server without an answer for others, to be merged with the paths
/// of another server. All paths stand below the path of the issuer.
pub fn routes(state: AppState) -> Router {
    let config = state.config();
    let base = config.authz.issuer.path();
    let at = |path: &str| format!("{base}{path}");

    // JSON for programs: no cookies, and any web page may call, because nothing here acts on
    // credentials that a browser adds by itself (RFC 9700 §2.6).
    let mut machine = Router::new()
        .without_v07_checks()
        .route(&at(metadata::TOKEN), post(token::post))
        .route(&at(metadata::REVOKE), post(revoke::post))
        .route(&at(metadata::INTROSPECT), post(introspect::post))
        .route(
            &at(metadata::USERINFO),
            get(userinfo::answer).post(userinfo::answer),
        )
        .route(&at(metadata::JWKS), get(jwks::get));
    for path in metadata::paths(config) {
        machine = machine.route(&path, get(metadata::get));
    }
    if metadata::is_registration_on(config) {
        machine = machine.route(&at(metadata::REGISTER), post(register::post));
    }
    let machine = machine
        .method_not_allowed_fallback(async || OAuthError::method_not_allowed())
        .layer(cors(&[Method::GET, Method::POST]))
        .merge(management(config));

    // HTML for people: never callable from other pages (OAuth 2.1 §3.1).
    let human = Router::new()
        .without_v07_checks()
        .route(
            &at(metadata::AUTHORIZE),
            get(authorize::get).post(authorize::post),
        )
        .route(&at(metadata::LOGIN), get(login::get).post(login::post))
        .route(&at(metadata::LOGOUT), get(logout::get).post(logout::post))
        .route(
            &at(metadata::CONSENT),
            get(consent::get).post(consent::post),
        )
        .method_not_allowed_fallback(async || PageError::method_not_allowed())
        .layer(from_fn(human::print_errors)) // inside: its pages need the headers too
        .layer(map_response(page_headers));

    machine
        .merge(human)
        .layer(map_response(seal)) // last on the way out: sees every answer
        .with_state(state)
}

/// Where a client manages its own registration (RFC 7592 §2), with a token and never with a cookie.
fn management(config: &Config) -> Router<AppState> {
    let router = Router::new().without_v07_checks();
    if !metadata::is_registration_on(config) {
        return router;
    }
    let path = format!(
        "{}{}/{{client_id}}",
        config.authz.issuer.path(),
        metadata::REGISTER
    );
    let methods = get(register::show)
        .put(register::put)
        .delete(register::delete);
    router
        .route(&path, methods)
        .method_not_allowed_fallback(async || OAuthError::method_not_allowed())
        .layer(cors(&[Method::GET, Method::PUT, Method::DELETE]))
}

fn cors(methods: &[Method]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(methods.to_vec())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
        .max_age(std::time::Duration::from_hours(1))
}

/// What every answer carries; and the one place where the cause of a refusal is logged.
async fn seal(mut response: Response) -> Response {
    if let Some(cause) = response.extensions_mut().remove::<Cause>() {
        cause.log();
    }
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// What every page carries.
async fn page_headers(mut response: Response) -> Response {
    set(&mut response, CACHE_CONTROL, "no-store");
    set(&mut response, X_FRAME_OPTIONS, "DENY");
    set(&mut response, REFERRER_POLICY, "no-referrer");
    let strictest = HeaderValue::from_static(
        "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    );
    // A page says itself where its forms lead.
    response
        .headers_mut()
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(strictest);
    response
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
