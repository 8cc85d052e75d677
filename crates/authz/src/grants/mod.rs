//! Grants: one file for each, and the engine that orders their steps.

pub(crate) mod approval;
pub(crate) mod authorize;
mod client_credentials;
pub(crate) mod consent;
mod engine;
mod issue;

use portcullis_common::config::GrantType;
use portcullis_common::entropy::EntropyError;
use portcullis_common::jws::KeyError;
use portcullis_common::resource_indicator::ResourceIndicatorError;
use portcullis_common::scope::ScopeError;

use crate::clients::authentication::AuthenticatedClient;
use crate::endpoints::form::Form;
use crate::endpoints::metadata::GRANTS;
use crate::state::AppState;

pub(crate) use issue::TokenResponse;

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
    #[error("the engine ended the flow out of order")]
    OutOfOrder,
    #[error("the token could not be signed")]
    Sign(#[from] KeyError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Answers a token request of an authenticated client.
pub(crate) fn grant(
    state: &AppState,
    client: &AuthenticatedClient,
    form: &Form<'_>,
) -> Result<TokenResponse, GrantError> {
    let name = form
        .find("grant_type")
        .ok_or(GrantError::GrantTypeMissing)?;
    let grant = GRANTS
        .into_iter()
        .find(|grant| grant.name() == name)
        .ok_or(GrantError::GrantTypeUnsupported)?;
    match grant {
        GrantType::ClientCredentials => client_credentials::grant(state, client, form),
        // Known to the configuration, and not in `GRANTS` until they are built.
        GrantType::AuthorizationCode | GrantType::RefreshToken => {
            Err(GrantError::GrantTypeUnsupported)
        }
    }
}
