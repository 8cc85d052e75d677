//! The authorization request (OAuth 2.1 §4.1.1): from what somebody sent to what a person is asked.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_common::clock::Timestamp;
use portcullis_common::config::{GrantType, ResourceDeclaration};
use portcullis_common::scope::{Scope, ScopeToken};

use super::approval::{CodeChallenge, CodeChallengeError};
use super::engine::{self, AuthorizationSteps};
use super::narrowing::IDENTITY_SCOPES;
use super::{GrantError, requested, target};
use crate::clients::metadata_document::DocumentError;
use crate::clients::{Client, FindClientError, MatchedRedirectUri, RedirectUriError};
use crate::endpoints::form::Form;
use crate::state::AppState;
use crate::store::StoreError;

/// Parameters that are not taken twice (OAuth 2.1 §3.1), once it is known where errors go.
const ONCE: [&str; 14] = [
    "response_type",
    "response_mode",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "prompt",
    "max_age",
    "login_hint",
    "request",
    "request_uri",
    "display",
    "acr_values",
];

/// Why nobody is asked and nobody is sent anywhere: who asks, or where the answer goes, is not
/// known (OAuth 2.1 §4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownAsker {
    #[error("client_id is missing")]
    ClientMissing,
    #[error("client_id stands more than once")]
    ClientRepeated,
    #[error("there is no such client")]
    ClientUnknown,
    #[error("redirect_uri stands more than once")]
    RedirectUriRepeated,
    #[error(transparent)]
    RedirectUri(#[from] RedirectUriError),
}

/// Why the client is told that it asked for the wrong thing, or that the person said no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorizationFault {
    #[error("the parameter {0} stands more than once")]
    Repeated(&'static str),
    #[error("response_type is missing")]
    ResponseTypeMissing,
    #[error("the response type is not code")]
    ResponseTypeUnsupported,
    #[error("the response mode is not query")]
    ResponseModeUnsupported,
    #[error("the request came as a request object")]
    RequestObject,
    #[error("the request came as a reference")]
    RequestUri,
    #[error("the client may not use the authorization code grant")]
    GrantNotAllowed,
    #[error("code_challenge is missing")]
    ChallengeMissing,
    #[error("the challenge method is not S256")]
    ChallengeMethod,
    #[error(transparent)]
    Challenge(#[from] CodeChallengeError),
    #[error("prompt says none and something else")]
    PromptContradicts,
    #[error("max_age is not a number of seconds")]
    MaxAge,
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error("the person would have to log in")]
    LoginRequired,
    #[error("the person would have to be asked")]
    ConsentRequired,
    #[error("the person said no")]
    Denied,
}

/// Where an answer goes, and what goes back with it unchanged.
#[derive(Clone, Debug)]
pub(crate) struct ReturnPath {
    pub(crate) client: Arc<Client>,
    pub(crate) redirect_uri: MatchedRedirectUri,
    pub(crate) state: Option<String>,
}

/// Why a request is not put to a person: an error for them, or one for the client.
#[derive(Debug)]
pub(crate) enum AuthorizationError {
    Page(UnknownAsker),
    Redirect {
        to: ReturnPath,
        fault: AuthorizationFault,
    },
    /// The engine disagrees with us, which is our mistake.
    OutOfOrder(GrantError),
    /// The document of who asks could not be had, or is not believed.
    Document(DocumentError),
    /// The store cannot say who asks.
    Store(StoreError),
}

impl From<FindClientError> for AuthorizationError {
    fn from(error: FindClientError) -> Self {
        match error {
            FindClientError::Store(error) => Self::Store(error),
            FindClientError::Document(error) => Self::Document(error),
        }
    }
}

impl From<GrantError> for AuthorizationError {
    fn from(error: GrantError) -> Self {
        Self::OutOfOrder(error)
    }
}

/// How the client wants the person to be asked (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Show nothing: answer at once or fail.
    pub(crate) is_none: bool,
    /// Let the person log in again.
    pub(crate) asks_login: bool,
    /// Ask even what was allowed before.
    pub(crate) asks_consent: bool,
}

/// A request that may be put to a person: every part is known, allowed and within bounds.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct ValidatedAuthorizationRequest {
    asker: ReturnPath,
    bound: BoundParameters,
    scope: Scope,
}

/// What the code is bound to beside client and scope, and how the person is asked.
#[derive(Clone, Debug)]
struct BoundParameters {
    resource: ResourceDeclaration,
    code_challenge: CodeChallenge,
    nonce: Option<String>,
    prompt: Prompt,
    max_age: Option<u64>,
    login_hint: Option<String>,
}

impl ValidatedAuthorizationRequest {
    /// Judges a request. The order: client, redirect URI; then everything whose fault the client
    /// is told. `source` is who sent it.
    pub(crate) async fn validate(
        state: &AppState,
        form: &Form<'_>,
        source: IpAddr,
    ) -> Result<Self, AuthorizationError> {
        let client = match form.find("client_id") {
            Some(id) if !form.is_repeated("client_id") => state.clients().find(id, source).await?,
            _ => None,
        };
        let steps = Steps {
            state,
            form,
            client,
        };
        let (asker, bound, scope) = engine::drive_authorization(&steps)?;
        Ok(Self {
            asker,
            bound,
            scope,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.asker.client
    }

    pub(crate) const fn redirect_uri(&self) -> &MatchedRedirectUri {
        &self.asker.redirect_uri
    }

    /// Where the answer goes.
    pub(crate) const fn return_path(&self) -> &ReturnPath {
        &self.asker
    }

    pub(crate) const fn resource(&self) -> &ResourceDeclaration {
        &self.bound.resource
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) const fn code_challenge(&self) -> &CodeChallenge {
        &self.bound.code_challenge
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        self.bound.nonce.as_deref()
    }

    pub(crate) const fn prompt(&self) -> Prompt {
        self.bound.prompt
    }

    pub(crate) fn login_hint(&self) -> Option<&str> {
        self.bound.login_hint.as_deref()
    }

    /// Whether a login at this time is too long ago, or must be done again in any case.
    pub(crate) fn demands_login_after(&self, authenticated_at: Timestamp, now: Timestamp) -> bool {
        let is_old = self
            .bound
            .max_age
            .is_some_and(|age| age == 0 || now.since(authenticated_at).as_secs() > age);
        self.bound.prompt.asks_login || is_old
    }

    /// The parameters by which [`Self::validate`] finds the same request again.
    pub(crate) fn to_parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.asker.client.id.to_string()),
            ("redirect_uri", self.asker.redirect_uri.as_str().to_owned()),
            ("resource", self.bound.resource.identifier.to_string()),
            ("scope", self.scope.to_string()),
            (
                "code_challenge",
                self.bound.code_challenge.as_str().to_owned(),
            ),
            ("code_challenge_method", "S256".to_owned()),
        ];
        let mut add = |name, value: Option<&str>| {
            parameters.extend(value.map(|value| (name, value.to_owned())));
        };
        add("state", self.asker.state.as_deref());
        add("nonce", self.nonce());
        add("login_hint", self.login_hint());
        add(
            "prompt",
            self.bound.prompt.asks_consent.then_some("consent"),
        );
        parameters
    }
}

/// The decisions, in the order in which the engine asks for them.
struct Steps<'a> {
    state: &'a AppState,
    form: &'a Form<'a>,
    /// The client of that id, if there is one: the engine cannot wait for a look-up.
    client: Option<Arc<Client>>,
}

impl AuthorizationSteps for Steps<'_> {
    type Bound = ReturnPath;
    type Extended = BoundParameters;
    type Refusal = AuthorizationError;

    fn bind(&self) -> Result<ReturnPath, AuthorizationError> {
        find_asker(self.client.as_ref(), self.form).map_err(AuthorizationError::Page)
    }

    fn texts<'b>(&self, bound: &'b ReturnPath) -> (&'b str, &'b str) {
        (bound.client.id.as_str(), bound.redirect_uri.as_str())
    }

    fn extend(&self, bound: &ReturnPath) -> Result<BoundParameters, AuthorizationError> {
        check_kind(self.form, &bound.client)
            .and_then(|()| read_parameters(self.state, self.form))
            .map_err(|fault| tell(bound, fault))
    }

    fn negotiate(
        &self,
        bound: &ReturnPath,
        extended: &BoundParameters,
    ) -> Result<Scope, AuthorizationError> {
        negotiate_scope(self.state, self.form, &bound.client, &extended.resource)
            .map_err(|fault| tell(bound, fault))
    }
}

fn tell(to: &ReturnPath, fault: AuthorizationFault) -> AuthorizationError {
    AuthorizationError::Redirect {
        to: to.clone(),
        fault,
    }
}

/// OAuth 2.1 §4.1.2.1: as long as one of the two is not sure, nobody is redirected.
fn find_asker(client: Option<&Arc<Client>>, form: &Form<'_>) -> Result<ReturnPath, UnknownAsker> {
    if form.is_repeated("client_id") {
        return Err(UnknownAsker::ClientRepeated);
    }
    form.find("client_id").ok_or(UnknownAsker::ClientMissing)?;
    let client = client.ok_or(UnknownAsker::ClientUnknown)?;
    if form.is_repeated("redirect_uri") {
        return Err(UnknownAsker::RedirectUriRepeated);
    }
    let redirect_uri = client.match_redirect_uri(form.find("redirect_uri"))?;
    // Of two states neither can be called the one that was sent.
    let state = form.find("state").filter(|_| !form.is_repeated("state"));
    Ok(ReturnPath {
        client: Arc::clone(client),
        redirect_uri,
        state: state.map(str::to_owned),
    })
}

/// Whether this is a request of the kind that we answer, from a client that may send it.
fn check_kind(form: &Form<'_>, client: &Client) -> Result<(), AuthorizationFault> {
    // OAuth 2.1 §3.1: parameters must not be included more than once.
    if let Some(name) = ONCE.into_iter().find(|name| form.is_repeated(name)) {
        return Err(AuthorizationFault::Repeated(name));
    }
    // OpenID Connect Core §6: refused by name, and what a reference points at is never fetched.
    if form.find("request").is_some() {
        return Err(AuthorizationFault::RequestObject);
    }
    if form.find("request_uri").is_some() {
        return Err(AuthorizationFault::RequestUri);
    }
    match form.find("response_type") {
        Some("code") => {}
        Some(_) => return Err(AuthorizationFault::ResponseTypeUnsupported),
        None => return Err(AuthorizationFault::ResponseTypeMissing),
    }
    if form
        .find("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(AuthorizationFault::ResponseModeUnsupported);
    }
    if client.allows_grant(GrantType::AuthorizationCode) {
        Ok(())
    } else {
        Err(AuthorizationFault::GrantNotAllowed)
    }
}

fn read_parameters(
    state: &AppState,
    form: &Form<'_>,
) -> Result<BoundParameters, AuthorizationFault> {
    // OAuth 2.1 §7.5.1: every client sends a challenge. RFC 7636 §4.3: a method that is left out
    // means plain, which is refused.
    let challenge = form
        .find("code_challenge")
        .ok_or(AuthorizationFault::ChallengeMissing)?;
    if form.find("code_challenge_method") != Some("S256") {
        return Err(AuthorizationFault::ChallengeMethod);
    }
    Ok(BoundParameters {
        code_challenge: CodeChallenge::parse(challenge)?,
        resource: target::find_resource(state, form)?.clone(),
        nonce: form.find("nonce").map(str::to_owned),
        prompt: read_prompt(form.find("prompt"))?,
        max_age: form
            .find("max_age")
            .map(|text| text.parse().map_err(|_| AuthorizationFault::MaxAge))
            .transpose()?,
        login_hint: form.find("login_hint").map(str::to_owned),
    })
}

/// OpenID Connect Core §3.1.2.1; values that we do not know are ignored.
fn read_prompt(text: Option<&str>) -> Result<Prompt, AuthorizationFault> {
    let values: Vec<&str> = text.unwrap_or_default().split_ascii_whitespace().collect();
    let has = |value| values.contains(&value);
    if has("none") && values.len() > 1 {
        return Err(AuthorizationFault::PromptContradicts);
    }
    Ok(Prompt {
        is_none: has("none"),
        asks_login: has("login") || has("select_account"),
        asks_consent: has("consent"),
    })
}

/// The scope that the person is asked about: what was asked for, whole or not at all, else the
/// default. What the client asks about the person and the session means nothing to the resource.
fn negotiate_scope(
    state: &AppState,
    form: &Form<'_>,
    client: &Client,
    resource: &ResourceDeclaration,
) -> Result<Scope, AuthorizationFault> {
    let Some(asked) = requested::scope(form)? else {
        return Ok(target::negotiate_scope(state, client, resource, None)?);
    };
    let is_identity = |token: &&ScopeToken| IDENTITY_SCOPES.contains(&token.as_str());
    let of_resource: Scope = asked
        .iter()
        .filter(|token| !is_identity(token))
        .cloned()
        .collect();
    target::negotiate_scope(state, client, resource, Some(&of_resource))?;
    Ok(asked)
}
