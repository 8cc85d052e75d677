//! Code for tokens (OAuth 2.1 §4.1.3).
//!
//! Everything is verified before anything is consumed. What consumes is one store method whose
//! conditions repeat every fact relied on.

use std::time::Duration;

use portcullis_common::audit::{Draft, Event};
use portcullis_common::clock::Timestamp;
use portcullis_common::config::GrantType;
use portcullis_common::resource_indicator::ResourceIndicator;

use super::approval::AuthorizationCode;
use super::engine::{self, BoundGrant, CodeSteps};
use super::pkce::PkceVerified;
use super::refresh_token::{self, RefreshToken};
use super::{ExchangeError, GrantError, TokenResponse, issue, narrowing, requested};
use crate::clients::authentication::AuthenticatedClient;
use crate::endpoints::form::Form;
use crate::state::AppState;
use crate::store::{
    CodeRecord, EndGrant, FindCode, GrantEnd, NewRefreshToken, RedeemCode, Redemption,
};

/// How long a spent code is told from an unknown one.
const SPENT_CODE_KEPT: Duration = Duration::from_mins(10);

/// What the request says, unverified.
struct Requested<'a> {
    code: AuthorizationCode,
    verifier: &'a str,
    redirect_uri: Option<&'a str>,
    resource: Option<ResourceIndicator>,
}

impl<'a> Requested<'a> {
    fn parse(form: &'a Form<'a>) -> Result<Self, GrantError> {
        let code = form.find("code").ok_or(ExchangeError::CodeMissing)?;
        let verifier = form.find("code_verifier");
        Ok(Self {
            code: AuthorizationCode::new(code),
            // Every code was given for a challenge, so that leaving the verifier out is no way
            // around it (OAuth 2.1 §4.1.3).
            verifier: verifier.ok_or(ExchangeError::VerifierMissing)?,
            redirect_uri: form.find("redirect_uri"),
            resource: requested::resource(form)?,
        })
    }
}

/// Answers a request with this grant.
pub(super) async fn grant(
    state: &AppState,
    client: &AuthenticatedClient,
    form: &Form<'_>,
    audit: &mut Draft,
) -> Result<TokenResponse, GrantError> {
    if !client.client().allows_grant(GrantType::AuthorizationCode) {
        return Err(GrantError::GrantNotAllowed);
    }
    let requested = Requested::parse(form)?;
    let hash = requested.code.hash();
    let now = state.clock().now();
    let (record, is_spent) = match state.store().find_code(hash).await? {
        FindCode::Unknown => return Err(ExchangeError::CodeUnknown.into()),
        FindCode::Spent(record) => (record, true),
        FindCode::Unspent(record) => (record, false),
    };
    if record.grant.client_id == client.client().id {
        record.grant.note(audit);
    }
    let steps = Steps {
        client,
        requested: &requested,
        record: &record,
        is_spent,
        now,
    };
    match engine::drive_code(&steps) {
        Ok(_) if is_spent => Err(refuse_replay(state, &record, now, audit).await?),
        Ok(proof) => redeem(state, client, &record, proof).await,
        Err(GrantError::Exchange(ExchangeError::VerifierMismatch)) if !is_spent => {
            // Guessing is bounded, and burns nothing of the code's owner.
            state.store().count_wrong_verifier(hash).await?;
            Err(ExchangeError::VerifierMismatch.into())
        }
        Err(error) => Err(error),
    }
}

/// The decisions of the exchange, in the order in which the engine asks for them.
struct Steps<'a> {
    client: &'a AuthenticatedClient,
    requested: &'a Requested<'a>,
    record: &'a CodeRecord,
    is_spent: bool,
    now: Timestamp,
}

impl CodeSteps for Steps<'_> {
    type Proof = PkceVerified;

    fn client_id(&self) -> &str {
        self.client.client().id.as_str()
    }

    fn redirect_uri(&self) -> &str {
        &self.record.redirect_uri
    }

    fn recover(&self) -> Result<BoundGrant<'_>, GrantError> {
        let record = self.record;
        let grant = &record.grant;
        if self.client.client().id != grant.client_id {
            return Err(ExchangeError::CodeOfAnotherClient.into());
        }
        // OAuth 2.1 §10.2: left out it is not missed; named it must be the one that was used.
        let named = self.requested.redirect_uri;
        if named.is_some_and(|uri| uri != record.redirect_uri) {
            return Err(ExchangeError::RedirectUriMismatch.into());
        }
        let end = match self.is_spent {
            true => record.forgotten_at,
            false => record.expires_at,
        };
        if self.now >= end {
            return Err(ExchangeError::CodeExpired.into());
        }
        if record.is_exhausted {
            return Err(ExchangeError::CodeExhausted.into());
        }
        if !grant.is_live(self.now) {
            return Err(ExchangeError::GrantEnded.into());
        }
        Ok(BoundGrant {
            owner_id: grant.subject.account_id.as_str(),
            client_id: grant.client_id.as_str(),
            redirect_uri: &record.redirect_uri,
            scope: &grant.scope,
        })
    }

    fn prove(&self) -> Result<PkceVerified, GrantError> {
        let proof = self
            .record
            .code_challenge
            .verify(self.requested.verifier)
            .ok_or(ExchangeError::VerifierMismatch)?;
        // RFC 8707 §2.2: a token for what was granted, or none.
        let named = self.requested.resource.as_ref();
        if named.is_some_and(|resource| *resource != self.record.grant.resource) {
            return Err(ExchangeError::ResourceNotGranted.into());
        }
        Ok(proof)
    }
}

/// OAuth 2.1 §4.1.3: a code that comes twice, with everything right, was in two hands; what came
/// of it ends.
async fn refuse_replay(
    state: &AppState,
    record: &CodeRecord,
    now: Timestamp,
    audit: &mut Draft,
) -> Result<GrantError, GrantError> {
    audit.event(Event::TokenReuse);
    let grant = &record.grant;
    let reason = GrantEnd::CodeReplayed;
    if state.store().end_grant(&grant.id, reason, now).await? == EndGrant::Ended {
        tracing::warn!(
            client.id = %grant.client_id,
            grant.id = grant.id.as_str(),
            outcome = reason.name(),
            "security event: an authorization code was replayed and its grant ended"
        );
    }
    Ok(ExchangeError::CodeReplayed.into())
}

/// Issues the tokens and spends the code, in this order: a token that nobody gets harms nobody, and
/// a code spent without tokens would.
async fn redeem(
    state: &AppState,
    client: &AuthenticatedClient,
    code: &CodeRecord,
    _proof: PkceVerified,
) -> Result<TokenResponse, GrantError> {
    let (client, grant) = (client.client(), &code.grant);
    let now = state.clock().now();
    let scope = narrowing::allowed(state, client, grant)?;
    let response = issue::for_user(state, grant, &scope, code.nonce.as_deref())?;
    let gets_refresh_token = code.allows_refresh && client.allows_grant(GrantType::RefreshToken);
    let refresh_token = gets_refresh_token
        .then(|| RefreshToken::generate(state.entropy()))
        .transpose()?;
    let new = refresh_token.as_ref().map(|token| NewRefreshToken {
        hash: token.hash(),
        expires_at: refresh_token::expires_at(state, grant, now),
    });
    let redemption = Redemption {
        code,
        now,
        forgotten_at: now.plus(SPENT_CODE_KEPT),
        refresh_token: new,
    };
    match state.store().redeem_code(redemption).await? {
        RedeemCode::Redeemed => {}
        RedeemCode::Lost => return Err(ExchangeError::CodeLost.into()),
    }
    tracing::info!(
        client.id = %client.id,
        grant.r#type = GrantType::AuthorizationCode.name(),
        grant.id = grant.id.as_str(),
        resource = %grant.resource,
        scope = %scope,
        outcome = "issued",
        "token"
    );
    Ok(response.with_refresh_token(refresh_token))
}
