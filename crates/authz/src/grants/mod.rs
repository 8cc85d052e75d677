//! Grants: one file for each, and the engine that orders their steps.

pub(crate) mod approval;
mod authorization_code;
pub(crate) mod authorize;
mod client_credentials;
pub(crate) mod consent;
mod engine;
mod issue;
mod narrowing;
mod pkce;
pub(crate) mod presented;
pub(crate) mod refresh_token;
mod requested;
pub(crate) mod sealed_answer;
mod target;

use portcullis_common::audit::{Actor, Draft};
use portcullis_common::config::GrantType;
use portcullis_common::entropy::EntropyError;
use portcullis_common::jws::KeyError;
use portcullis_common::resource_indicator::ResourceIndicatorError;
use portcullis_common::scope::ScopeError;

use crate::clients::authentication::AuthenticatedClient;
use crate::endpoints::form::Form;
use crate::endpoints::metadata::GRANTS;
use crate::state::AppState;
use crate::store::{GrantRecord, StoreError};

use sealed_answer::SealError;

pub(crate) use issue::{IdentityClaims, TokenResponse};
pub(crate) use narrowing::IDENTITY_SCOPES;

/// Why no token is issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("grant_type is missing")]
    GrantTypeMissing,
    #[error("the grant type is not one of ours")]
    GrantTypeUnsupported,
    #[error("the client may not use this grant type")]
    GrantNotAllowed,
    #[error("a public client asked for client credentials")]
    PublicClient,
    #[error("the scope is malformed")]
    ScopeMalformed(#[source] ScopeError),
    #[error("a scope is unknown, without meaning for the resource, or not for this client")]
    ScopeNotAllowed,
    #[error("no default scope is for this client and this resource")]
    ScopeEmpty,
    #[error("a resource is malformed")]
    ResourceMalformed(#[source] ResourceIndicatorError),
    #[error("the resource is not one of ours")]
    ResourceUnknown,
    #[error("more than one resource was asked for")]
    SeveralResources,
    #[error("no resource was asked for and none is the default")]
    NoDefaultResource,
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the engine ended the flow out of order")]
    OutOfOrder,
    #[error("the token could not be signed")]
    Sign(#[from] KeyError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Why a code or a refresh token gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the request has no code")]
    CodeMissing,
    #[error("the request has no code_verifier")]
    VerifierMissing,
    #[error("the code is unknown or was forgotten")]
    CodeUnknown,
    #[error("the code was given to another client")]
    CodeOfAnotherClient,
    #[error("redirect_uri is not the one the code was sent to")]
    RedirectUriMismatch,
    #[error("the code has expired")]
    CodeExpired,
    #[error("too many wrong verifiers were sent with the code")]
    CodeExhausted,
    #[error("the verifier does not match the challenge")]
    VerifierMismatch,
    #[error("the code was redeemed before")]
    CodeReplayed,
    #[error("the code was redeemed by somebody else at the same moment")]
    CodeLost,
    #[error("the request has no refresh token")]
    RefreshTokenMissing,
    #[error("the refresh token is unknown")]
    RefreshTokenUnknown,
    #[error("the refresh token was given to another client")]
    RefreshTokenOfAnotherClient,
    #[error("the refresh token has expired")]
    RefreshTokenExpired,
    #[error("the refresh token was replaced, and its successor used")]
    RefreshTokenReplayed,
    #[error("the refresh token keeps being rotated by somebody else")]
    RefreshTokenLost,
    #[error("the grant has ended, or its account is disabled")]
    GrantEnded,
    #[error("nothing is left of what was granted")]
    NothingLeft,
    #[error("the scope is more than was granted")]
    ScopeBeyondGrant,
    #[error("the resource is not the one that was granted")]
    ResourceNotGranted,
}

impl ExchangeError {
    /// The word for records.
    const fn reason(self) -> &'static str {
        match self {
            Self::CodeMissing => "code_missing",
            Self::VerifierMissing => "verifier_missing",
            Self::CodeUnknown => "code_unknown",
            Self::CodeOfAnotherClient => "code_of_another_client",
            Self::RedirectUriMismatch => "redirect_uri_mismatch",
            Self::CodeExpired => "code_expired",
            Self::CodeExhausted => "code_exhausted",
            Self::VerifierMismatch => "verifier_mismatch",
            Self::CodeReplayed => "code_replayed",
            Self::CodeLost => "code_lost",
            Self::RefreshTokenMissing => "refresh_token_missing",
            Self::RefreshTokenUnknown => "refresh_token_unknown",
            Self::RefreshTokenOfAnotherClient => "refresh_token_of_another_client",
            Self::RefreshTokenExpired => "refresh_token_expired",
            Self::RefreshTokenReplayed => "refresh_token_replayed",
            Self::RefreshTokenLost => "refresh_token_lost",
            Self::GrantEnded => "grant_ended",
            Self::NothingLeft => "nothing_left",
            Self::ScopeBeyondGrant => "scope_beyond_grant",
            Self::ResourceNotGranted => "resource_not_granted",
        }
    }
}

impl GrantRecord {
    /// Says in a record which grant it is about.
    pub(crate) fn note(&self, record: &mut Draft) {
        record
            .grant(self.id.as_str())
            .client(self.client_id.as_str())
            .subject(self.subject.account_id.as_str())
            .target(self.resource.as_str());
    }
}

/// Answers a token request of an authenticated client; the record of it learns what it is about.
pub(crate) async fn grant(
    state: &AppState,
    client: &AuthenticatedClient,
    form: &Form<'_>,
    record: &mut Draft,
) -> Result<TokenResponse, GrantError> {
    record.client(client.client().id.as_str());
    if !client.client().is_public() {
        record.actor(Actor::Client);
    }
    let result = answer(state, client, form, record).await;
    match &result {
        Ok(response) => {
            // A public client proved by what it holds that it may have this.
            record.actor(Actor::Client).scope(&response.scope).succeed();
        }
        Err(GrantError::Exchange(error)) => record.refuse(error.reason()),
        Err(_) => {}
    }
    result
}

async fn answer(
    state: &AppState,
    client: &AuthenticatedClient,
    form: &Form<'_>,
    record: &mut Draft,
) -> Result<TokenResponse, GrantError> {
    let name = form
        .find("grant_type")
        .ok_or(GrantError::GrantTypeMissing)?;
    let grant = GRANTS
        .into_iter()
        .find(|grant| grant.name() == name)
        .ok_or(GrantError::GrantTypeUnsupported)?;
    record.grant_type(grant.name());
    match grant {
        GrantType::AuthorizationCode => {
            authorization_code::grant(state, client, form, record).await
        }
        GrantType::RefreshToken => refresh_token::grant(state, client, form, record).await,
        GrantType::ClientCredentials => client_credentials::grant(state, client, form, record),
    }
}
