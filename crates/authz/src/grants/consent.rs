//! The decision of a person about an authorization request.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_common::audit::{Actor, Draft};
use portcullis_common::entropy::EntropyError;
use portcullis_common::scope::Scope;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use super::approval::{Approval, ApprovalTimes, AuthorizationCode, GrantId};
use super::authorize::{AuthorizationError, ReturnPath, ValidatedAuthorizationRequest};
use super::narrowing::OFFLINE_ACCESS;
use crate::accounts::session::{RequestHandle, Session};
use crate::clients::metadata_document::DocumentError;
use crate::endpoints::form::Form;
use crate::state::AppState;
use crate::store::{Decision, RecordApproval, RememberedConsent, StoreError};

/// How long a person may take to log in and decide.
const REQUEST_TTL: Duration = Duration::from_mins(10);
/// How long a spent code keeps its challenge.
const CODE_REMEMBERED: Duration = Duration::from_mins(10);

/// Why a handle leads to no request that can be decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WaitingError {
    #[error("there is no such request, or its time is over")]
    Unknown,
    #[error("the request was decided before")]
    Decided,
    /// The client or the configuration changed since it was validated.
    #[error("the request is no longer one that may be put to a person")]
    Changed,
    #[error(transparent)]
    Document(DocumentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a decision did not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecisionError {
    #[error("the request was decided before, or its time was over")]
    AlreadyDecided,
    #[error("the session ended before the decision")]
    SessionEnded,
    #[error("nothing was ticked that the client could use")]
    NothingAllowed,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl DecisionError {
    /// Says in a record why the decision did not count.
    fn note(&self, record: &mut Draft) {
        match self {
            Self::AlreadyDecided => record.refuse("already_decided"),
            Self::SessionEnded => record.refuse("session_ended"),
            Self::NothingAllowed => record.refuse("nothing_allowed"),
            Self::Store(_) | Self::Entropy(_) => {}
        }
    }
}

/// A validated request that waits for its person.
#[derive(Debug)]
pub(crate) struct WaitingAuthorization {
    handle: RequestHandle,
    request: ValidatedAuthorizationRequest,
    stored: Stored,
}

/// How a request is kept. What it asks for is kept as it could be sent, and validated again when it
/// is read, so that nothing is trusted only because it was stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    parameters: String,
    /// Whether the session that the browser had at first is not enough.
    demands_new_login: bool,
    /// That session.
    first_session: Option<String>,
    /// The client as it was then: nobody decides about another one than they were shown.
    client_digest: String,
}

impl WaitingAuthorization {
    /// Keeps a request until a person has decided.
    pub(crate) async fn open(
        state: &AppState,
        request: ValidatedAuthorizationRequest,
        session: Option<&Session>,
    ) -> Result<Self, DecisionError> {
        let handle = RequestHandle::generate(state.entropy())?;
        let now = state.clock().now();
        let parameters = Serializer::new(String::new())
            .extend_pairs(request.to_parameters())
            .finish();
        let stored = Stored {
            parameters,
            demands_new_login: session
                .is_none_or(|session| request.demands_login_after(session.authenticated_at, now)),
            first_session: session.map(|session| session.hash.to_hex()),
            client_digest: request.client().digest(),
        };
        let text = serde_json::to_string(&stored)
            .map_err(|error| StoreError::Refused(error.to_string()))?;
        let expires_at = now.plus(REQUEST_TTL);
        let hash = handle.hash();
        let store = state.store();
        store
            .insert_authorization_request(hash, text, now, expires_at)
            .await?;
        Ok(Self {
            handle,
            request,
            stored,
        })
    }

    /// Finds the request of a handle that can still be decided. `source` is who asks.
    pub(crate) async fn find(
        state: &AppState,
        handle: RequestHandle,
        source: IpAddr,
    ) -> Result<Self, WaitingError> {
        let found = state
            .store()
            .find_authorization_request(handle.hash())
            .await?;
        let waiting = found.ok_or(WaitingError::Unknown)?;
        if waiting.is_decided {
            return Err(WaitingError::Decided);
        }
        if state.clock().now() >= waiting.expires_at {
            return Err(WaitingError::Unknown);
        }
        let stored: Stored =
            serde_json::from_str(&waiting.request).map_err(|_| WaitingError::Changed)?;
        let form = Form::parse(stored.parameters.as_bytes()).map_err(|_| WaitingError::Changed)?;
        let request = match ValidatedAuthorizationRequest::validate(state, &form, source).await {
            Ok(request) if request.client().digest() == stored.client_digest => request,
            Err(AuthorizationError::Store(error)) => return Err(error.into()),
            Err(AuthorizationError::Document(error)) => return Err(WaitingError::Document(error)),
            Ok(_)
            | Err(
                AuthorizationError::Page(_)
                | AuthorizationError::Redirect { .. }
                | AuthorizationError::OutOfOrder(_),
            ) => return Err(WaitingError::Changed),
        };
        Ok(Self {
            handle,
            request,
            stored,
        })
    }

    pub(crate) const fn handle(&self) -> &RequestHandle {
        &self.handle
    }

    pub(crate) const fn request(&self) -> &ValidatedAuthorizationRequest {
        &self.request
    }

    /// The session in which the request may be decided; `None` if the person must log in first.
    /// Every login begins a new session, so another one than at first is a login since then.
    pub(crate) fn accepted_session<'s>(&self, session: Option<&'s Session>) -> Option<&'s Session> {
        let is_first = |session: &Session| {
            self.stored.first_session.as_deref() == Some(session.hash.to_hex().as_str())
        };
        session.filter(|session| !(self.stored.demands_new_login && is_first(session)))
    }

    /// Whether the person need not be asked, because they allowed exactly this before.
    pub(crate) async fn is_remembered(
        &self,
        state: &AppState,
        session: &Session,
    ) -> Result<bool, StoreError> {
        let (client, redirect_uri) = (self.request.client(), self.request.redirect_uri());
        // RFC 8252 §8.6: a program that cannot prove who it is may be another one today.
        let is_provable = !client.is_public() || redirect_uri.is_https();
        if !is_provable || self.request.prompt().asks_consent {
            return Ok(false);
        }
        let remembered = state
            .store()
            .find_consent(
                &session.account.id,
                &client.id,
                &self.request.resource().identifier,
                &redirect_uri.host(),
            )
            .await?;
        Ok(remembered == Some(self.to_remember(self.request.scope().clone())))
    }

    fn to_remember(&self, scope: Scope) -> RememberedConsent {
        RememberedConsent {
            redirect_host: self.request.redirect_uri().host(),
            scope,
            client_digest: self.request.client().digest(),
        }
    }

    /// The scopes that a person allowed: of those that were shown, the ones that are ticked.
    pub(crate) fn allowed<'t>(&self, ticked: impl Iterator<Item = &'t str>) -> Scope {
        let ticked: Vec<&str> = ticked.collect();
        let shown = self.request.scope().iter();
        shown
            .filter(|token| ticked.contains(&token.as_str()))
            .cloned()
            .collect()
    }

    /// Says in a record who decides, and about what.
    pub(crate) fn note(&self, session: &Session, record: &mut Draft) {
        let request = &self.request;
        record
            .actor(Actor::Subject)
            .subject(session.account.id.as_str())
            .username(session.username().as_str())
            .client(request.client().id.as_str())
            .target(request.resource().identifier.as_str());
    }

    /// Writes what a person allowed, and makes the code by which the client learns of it.
    pub(crate) async fn approve(
        &self,
        state: &AppState,
        session: &Session,
        allowed: Scope,
        record: &mut Draft,
    ) -> Result<AuthorizationCode, DecisionError> {
        self.note(session, record);
        let result = self.record_approval(state, session, allowed, record).await;
        match &result {
            Ok(_) => record.succeed(),
            Err(error) => error.note(record),
        }
        result
    }

    async fn record_approval(
        &self,
        state: &AppState,
        session: &Session,
        allowed: Scope,
        record: &mut Draft,
    ) -> Result<AuthorizationCode, DecisionError> {
        if allowed.iter().all(|token| token.as_str() == OFFLINE_ACCESS) {
            return Err(DecisionError::NothingAllowed);
        }
        let code = AuthorizationCode::generate(state.entropy())?;
        let approval = self.approval(state, session, &allowed)?;
        let decision = Decision {
            handle: self.handle.hash(),
            session: session.hash,
            code: code.hash(),
            remembered: self.to_remember(allowed),
        };
        record
            .grant(approval.grant_id.as_str())
            .scope(&approval.scope);
        let times = times(state);
        match state
            .store()
            .record_approval(&approval, &decision, times)
            .await?
        {
            RecordApproval::Recorded => {}
            RecordApproval::AlreadyDecided => return Err(DecisionError::AlreadyDecided),
            RecordApproval::SessionEnded => return Err(DecisionError::SessionEnded),
        }
        tracing::info!(
            client.id = %approval.client_id,
            account.id = approval.account_id.as_str(),
            grant.id = approval.grant_id.as_str(),
            scope = %approval.scope,
            outcome = "allowed",
            "consent"
        );
        Ok(code)
    }

    fn approval(
        &self,
        state: &AppState,
        session: &Session,
        allowed: &Scope,
    ) -> Result<Approval, EntropyError> {
        let request = &self.request;
        let was_offered = request.scope().contains(OFFLINE_ACCESS);
        Ok(Approval {
            grant_id: GrantId::generate(state.entropy())?,
            account_id: session.account.id.clone(),
            client_id: request.client().id.clone(),
            resource: request.resource().identifier.clone(),
            scope: allowed.clone(),
            redirect_uri: request.redirect_uri().as_str().to_owned(),
            code_challenge: request.code_challenge().clone(),
            nonce: request.nonce().map(str::to_owned),
            auth_time: session.authenticated_at,
            allows_refresh: !was_offered || allowed.contains(OFFLINE_ACCESS),
        })
    }

    /// Closes the request without an approval.
    pub(crate) async fn deny(
        &self,
        state: &AppState,
        session: &Session,
        record: &mut Draft,
    ) -> Result<(), DecisionError> {
        self.note(session, record);
        let (handle, now) = (self.handle.hash(), state.clock().now());
        if !state.store().record_denial(handle, now).await? {
            let error = DecisionError::AlreadyDecided;
            error.note(record);
            return Err(error);
        }
        record.refuse("denied");
        tracing::info!(
            client.id = %self.request.client().id,
            account.id = session.account.id.as_str(),
            outcome = "denied",
            "consent"
        );
        Ok(())
    }
}

fn times(state: &AppState) -> ApprovalTimes {
    let authz = &state.config().authz;
    let now = state.clock().now();
    let code_expires_at = now.plus(authz.code_ttl);
    ApprovalTimes {
        now,
        grant_expires_at: now.plus(authz.refresh_token_ttl),
        code_expires_at,
        code_forgotten_at: code_expires_at.plus(CODE_REMEMBERED),
    }
}

impl ReturnPath {
    /// The answer with a code (OAuth 2.1 §4.1.2).
    pub(crate) fn success(&self, issuer: &str, code: &AuthorizationCode) -> String {
        self.answer(issuer, &[("code", code.expose())])
    }

    /// The answer with an error (OAuth 2.1 §4.1.2.1).
    pub(crate) fn failure(&self, issuer: &str, code: &str, description: &str) -> String {
        self.answer(
            issuer,
            &[("error", code), ("error_description", description)],
        )
    }

    /// The state goes back unchanged, and the issuer says whose answer it is (RFC 9207 §2).
    fn answer(&self, issuer: &str, parameters: &[(&str, &str)]) -> String {
        let mut parameters = parameters.to_vec();
        parameters.extend(self.state.as_deref().map(|state| ("state", state)));
        parameters.push(("iss", issuer));
        self.redirect_uri.with_parameters(&parameters)
    }
}
