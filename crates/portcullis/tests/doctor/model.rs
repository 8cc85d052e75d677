//! A whole server of somebody else: a resource and its authorization server on one loopback
//! address, in perfect health until a fault is planted.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::serve::Listener;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use portcullis_common::clock::{Clock as _, SystemClock};
use portcullis_common::config::SigningAlgorithm;
use portcullis_common::jws::SigningKey;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::endpoints;
use crate::person::{self, Visit};

/// A client with a secret, known before.
pub(crate) const CLIENT: (&str, &str) = ("agent", "Nn3vTz0qkM8sYb5wJx1cRh7dLf9aGu2e");

/// A bad habit of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Habit {
    PreflightForNobody,
    TokenOriginRefused,
    RegistrationOriginRefused,
    AuthorizeForPages,
    RegistrationTrustsHosts,
    RegistrationBroken,
    RegistrationRefusesAll,
    RegistrationSays200,
    RegistrationIsCached,
    RegistrationGivesSecrets,
    UnknownMembersRefused,
    HttpRedirectsTaken,
    ScriptRedirectsTaken,
    WildcardsMatch,
    ScopesBind,
    ScopesRefused,
    ClientsStay,
    EveryRequestRefused,
    NoChallengeNeeded,
    PlainTaken,
    ImplicitTaken,
    NoIss,
    WrongIss,
    NoState,
    AnyPath,
    OnePort,
    RedirectsForAnybody,
    TokenErrorsBroken,
    TokensBroken,
    ScopesNotForClient,
    AudienceByScope,
    ResourceIgnored,
    TokenNotAccepted,
    LoginDenied,
    LoginWithoutState,
    LoginWithoutIss,
    LoginWithWrongIss,
    CodeRefused,
    CodeWorksTwice,
    CodeBreaksServer,
    PersonNotAccepted,
    ToolsForbidden,
    ToolsNotListed,
    NoRefreshToken,
    RefreshRefused,
    RefreshStays,
    RefreshForks,
    RefreshRepeats,
}

/// A fixed answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<&'static str, String>,
    pub(crate) body: Value,
}

/// The server.
pub(crate) struct Model {
    pub(crate) base: String,
    /// Answers by path.
    pub(crate) pages: BTreeMap<String, Page>,
    /// What `/mcp` says to nobody, by method.
    pub(crate) post: Page,
    pub(crate) get: Page,
    /// What it says to a bad token.
    pub(crate) garbage: Page,
    pub(crate) habits: HashSet<Habit>,
    /// The token: key, header and claims.
    pub(crate) key: SigningKey,
    pub(crate) kind: &'static str,
    pub(crate) claims: Value,
    /// The token, made once, or another one instead.
    pub(crate) token: OnceLock<String>,
    /// The claims of a person's token, and the token.
    pub(crate) person_claims: Value,
    pub(crate) person_token: OnceLock<String>,
    /// The login that happened.
    pub(crate) visit: Mutex<Option<Visit>>,
    /// What the token answer lacks or has otherwise.
    pub(crate) token_answer: Value,
    pub(crate) is_token_cached: bool,
    /// A `Date` on every answer.
    pub(crate) date: Option<String>,
    /// The clients that registered and were not removed.
    pub(crate) registered: Arc<Mutex<Vec<Value>>>,
}

impl Page {
    fn json(body: Value) -> Self {
        Self {
            status: 200,
            headers: BTreeMap::from([
                ("content-type", "application/json".to_owned()),
                ("access-control-allow-origin", "*".to_owned()),
            ]),
            body,
        }
    }

    fn challenge(text: String) -> Self {
        Self {
            status: 401,
            headers: BTreeMap::from([("www-authenticate", text)]),
            body: json!({}),
        }
    }

    pub(crate) fn answer(&self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap();
        let mut response = (status, self.body.to_string()).into_response();
        for (name, value) in &self.headers {
            let name = HeaderName::from_static(name);
            response
                .headers_mut()
                .insert(name, HeaderValue::from_str(value).unwrap());
        }
        response
    }
}

/// Where the document of the resource stands.
pub(crate) const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
pub(crate) const RESOURCE_ROOT: &str = "/.well-known/oauth-protected-resource";
/// Where the metadata of the issuer stands.
pub(crate) const OAUTH: &str = "/.well-known/oauth-authorization-server/as";
pub(crate) const OPENID_INSERTED: &str = "/.well-known/openid-configuration/as";
pub(crate) const OPENID_APPENDED: &str = "/as/.well-known/openid-configuration";
pub(crate) const JWKS: &str = "/as/jwks";

impl Model {
    pub(crate) fn new(base: &str) -> Self {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let resource = json!({
            "resource": format!("{base}/mcp"),
            "authorization_servers": [format!("{base}/as")],
            "scopes_supported": ["mcp:read", "mcp:write"],
            "bearer_methods_supported": ["header"],
        });
        let metadata = metadata(base);
        let mut jwk = key.public_jwk().clone();
        jwk["use"] = json!("sig");
        let pages = [
            (RESOURCE, resource.clone()),
            (RESOURCE_ROOT, resource),
            (OAUTH, metadata.clone()),
            (OPENID_INSERTED, metadata.clone()),
            (OPENID_APPENDED, metadata),
            (JWKS, json!({ "keys": [jwk] })),
        ];
        let named = format!("resource_metadata=\"{base}{RESOURCE}\"");
        let scope = "scope=\"mcp:read mcp:write\"";
        let garbage = format!("Bearer error=\"invalid_token\", {named}, {scope}");
        let now = SystemClock.now().seconds();
        let claims = json!({
            "iss": format!("{base}/as"),
            "sub": "client:agent",
            "aud": format!("{base}/mcp"),
            "exp": now + 600,
            "iat": now,
            "jti": "1",
            "client_id": CLIENT.0,
            "scope": "mcp:read mcp:write",
        });
        let mut person_claims = claims.clone();
        person_claims["sub"] = json!("ada");
        Self {
            base: base.to_owned(),
            pages: pages
                .into_iter()
                .map(|(path, body)| (path.to_owned(), Page::json(body)))
                .collect(),
            post: Page::challenge(format!("Bearer {named}, {scope}")),
            get: Page::challenge(format!("Bearer {named}, {scope}")),
            garbage: Page::challenge(garbage),
            habits: HashSet::new(),
            key,
            kind: "at+jwt",
            claims,
            token: OnceLock::new(),
            person_claims,
            person_token: OnceLock::new(),
            visit: Mutex::default(),
            token_answer: json!({ "token_type": "Bearer", "expires_in": 600 }),
            is_token_cached: false,
            date: None,
            registered: Arc::default(),
        }
    }

    pub(crate) fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }

    pub(crate) fn learn(&mut self, habit: Habit) {
        self.habits.insert(habit);
    }

    /// The one token that it issues.
    pub(crate) fn issued(&self) -> &str {
        let sign = || self.key.sign_compact(self.kind, &self.claims).unwrap();
        self.token.get_or_init(sign)
    }

    /// The one token of a person.
    pub(crate) fn issued_to_person(&self) -> &str {
        let sign = || {
            let signed = self.key.sign_compact(self.kind, &self.person_claims);
            signed.unwrap()
        };
        self.person_token.get_or_init(sign)
    }

    /// The body of the answer at this path.
    pub(crate) fn document(&mut self, path: &str) -> &mut Value {
        &mut self.pages.get_mut(path).unwrap().body
    }

    /// Changes all forms of the issuer's metadata.
    pub(crate) fn metadata(&mut self, change: impl Fn(&mut Value)) {
        for path in [OAUTH, OPENID_INSERTED, OPENID_APPENDED] {
            change(self.document(path));
        }
    }

    /// Sets or removes a member of all forms.
    pub(crate) fn member(&mut self, name: &str, value: impl Into<Option<Value>>) {
        let value = value.into();
        self.metadata(|document| set(document, name, value.clone()));
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}/as", self.base)
    }

    /// Answers on this listener until the test ends.
    pub(crate) fn serve(self, listener: impl Listener<Addr = SocketAddr>) {
        let router = Router::new().fallback(answer).with_state(Arc::new(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
}

/// Sets or removes a member.
pub(crate) fn set(document: &mut Value, name: &str, value: Option<Value>) {
    match value {
        Some(value) => document[name] = value,
        None => drop(document.as_object_mut().unwrap().remove(name)),
    }
}

fn metadata(base: &str) -> Value {
    let issuer = format!("{base}/as");
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "jwks_uri": format!("{issuer}/jwks"),
        "scopes_supported": ["mcp:read", "mcp:write", "offline_access"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
    })
}

/// One request, read as far as the endpoints need it.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) path: String,
    /// The query, or the form in the body.
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn value(&self, name: &str) -> &str {
        self.form.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn comes_from_page(&self) -> bool {
        self.headers.contains_key(header::ORIGIN)
    }
}

async fn answer(
    State(model): State<Arc<Model>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = match method {
        Method::POST => &body[..],
        _ => uri.query().unwrap_or_default().as_bytes(),
    };
    let asked = Asked {
        form: form_urlencoded::parse(text).into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        path: uri.path().to_owned(),
        headers,
    };
    let mut response = route(&model, &method, &asked);
    if let Some(date) = &model.date {
        response
            .headers_mut()
            .insert(header::DATE, HeaderValue::from_str(date).unwrap());
    }
    response
}

fn route(model: &Model, method: &Method, asked: &Asked) -> Response {
    if let Some(page) = model.pages.get(&asked.path) {
        return page.answer();
    }
    match (method.as_str(), asked.path.as_str()) {
        ("GET", "/mcp") => model.get.answer(),
        (_, "/mcp") => endpoints::mcp(model, asked),
        ("OPTIONS", "/as/token") => endpoints::preflight(model),
        ("POST", "/as/token") => endpoints::token(model, asked),
        ("POST", "/as/register") => endpoints::register(model, asked),
        ("DELETE", path) if path.starts_with("/as/register/") => endpoints::remove(model, asked),
        ("GET", "/as/login") => person::log_in(model, asked),
        ("GET", "/as/authorize") => endpoints::authorize(model, asked),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The same URL with further parameters.
pub(crate) fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = Url::parse(url).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}
