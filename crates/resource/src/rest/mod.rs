//! The plain HTTP view of the tools: thin handlers over the same registry and the same pipeline.
//!
//! [`protected`] runs behind the guard, which asks [`operation_of`] what a request is about and
//! puts the [`Caller`] into the request; [`public`] is for everybody.

mod answer;
mod docs;
mod operation;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json};
use portcullis_common::scope::ScopeToken;
use serde_json::{Value, json};

use crate::guard::{Caller, ParsedBody};
use crate::mcp::{RegisteredTool, Registry};
use crate::openapi;
use answer::Fault;
pub(crate) use operation::probe_requirement;
pub use operation::{PROBE, operation_of};

/// Where the description of the API is served.
pub const OPENAPI_PATH: &str = "/openapi.json";
/// Where the API is described for people.
pub const DOCS_PATH: &str = "/docs";
/// Where who-am-I is served, and under which other name.
pub const ME_PATHS: [&str; 2] = ["/api/v1/me", "/api/v1/user"];
/// Where the tools are listed; each is called at `{TOOLS_PATH}/{name}`.
pub const TOOLS_PATH: &str = "/api/v1/tools";
/// Where the scopes are probed, at `{PROBES_PATH}/{read,write,infer}`.
pub const PROBES_PATH: &str = "/api/v1/protected";

/// The paths that need a token. Mount it with `merge`, behind the guard.
pub fn protected(registry: Arc<Registry>) -> Router {
    let mut router = Router::new();
    for path in ME_PATHS {
        router = router.route(path, get(me));
    }
    router
        .route(TOOLS_PATH, get(tools))
        .route(&format!("{TOOLS_PATH}/{{name}}"), post(call))
        .route(&format!("{PROBES_PATH}/{{probe}}"), get(probe))
        // Whoever has no token learns nothing of what is below here, not even that it is missing.
        .route("/api/v1/{*rest}", any(async || Fault::NoSuchPath))
        .with_state(registry)
}

/// The paths for everybody: `/`, the documentation and the API description.
pub fn public(registry: &Registry, public_url: &str) -> Router {
    let name = registry.options().name.clone();
    let version = registry.options().version.clone();
    let openapi = Bytes::from(openapi::document(registry, public_url).to_string());
    let root = json!({
        "name": name,
        "version": version,
        "status": "running",
        "docs": DOCS_PATH,
        "openapi": OPENAPI_PATH,
    });
    Router::new()
        .route("/", get(async move || Json(root.clone())))
        .route(
            OPENAPI_PATH,
            get(async move || {
                (
                    [(header::CONTENT_TYPE, "application/json")],
                    openapi.clone(),
                )
            }),
        )
        .merge(docs::router(registry))
}

/// Who the token says the caller is; what it does not say is null.
async fn me(Extension(caller): Extension<Caller>) -> Response {
    let scopes = scope_names(&caller);
    answer::private(json!({
        "sub": caller.subject,
        "username": caller.username,
        "email": caller.email,
        "email_verified": caller.email_verified,
        "scopes": scopes,
        "client_id": caller.client,
        "roles": caller.roles,
        "issuer": caller.issuer,
        "expires_at": caller.expires_at,
    }))
}

fn scope_names(caller: &Caller) -> Vec<&str> {
    caller.scopes.iter().map(ScopeToken::as_str).collect()
}

/// The tools, and which of them this caller may call.
async fn tools(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    let describe = |tool: &RegisteredTool| {
        let card = tool.card();
        json!({
            "name": card.name,
            "description": card.description,
            "endpoint": format!("{TOOLS_PATH}/{}", card.name),
            "required_scope": card.scopes,
            "required_scopes": card.scopes.split(' ').collect::<Vec<_>>(),
            "needs_user": card.needs_user,
            "available": registry.is_available(tool, &caller),
            "parameters": tool.input_schema().as_ref(),
        })
    };
    let all: Vec<Value> = registry.tools().iter().map(describe).collect();
    let available = all
        .iter()
        .filter(|tool| tool.get("available") == Some(&Value::Bool(true)));
    let scopes = scope_names(&caller);
    answer::private(json!({
        "user_scopes": scopes,
        "total": all.len(),
        "available": available.count(),
        "tools": all,
    }))
}

/// Calls a tool with the arguments that the guard parsed.
async fn call(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Extension(ParsedBody(arguments)): Extension<ParsedBody>,
    uri: Uri,
) -> Result<Response, Fault> {
    // The name is read by the same function by which the guard read it, so that both mean the same
    // tool; the router would have undone percent-encoding.
    let operation = operation_of(uri.path());
    let name = operation.name.ok_or(Fault::UnknownTool)?;
    let outcome = registry.call(name, arguments, &caller).await;
    answer::of(outcome)
}

/// Answers when the guard found the scope of the probe.
async fn probe(request: Request) -> Result<Response, Fault> {
    let operation = operation_of(request.uri().path());
    let caller = request.extensions().get::<Caller>();
    let scope = operation.name.and_then(operation::probe_scope);
    match (scope, caller) {
        (Some(scope), Some(caller)) => Ok(answer::private(
            json!({ "scope": scope, "sub": caller.subject }),
        )),
        (None, _) => Err(Fault::UnknownProbe),
        (_, None) => Err(Fault::Unguarded),
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        self.render()
    }
}
