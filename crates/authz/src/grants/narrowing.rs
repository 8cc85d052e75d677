//! What a grant still allows: never more than the person allowed, and less when the operator has
//! taken something away since.

use portcullis_common::scope::{Scope, ScopeToken};

use super::{ExchangeError, GrantError};
use crate::clients::Client;
use crate::state::AppState;
use crate::store::GrantRecord;

/// Scopes about the person and the session instead of a resource (OpenID Connect Core 1.0 §5.4,
/// §11). Every client may ask for them.
pub(crate) const IDENTITY_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// The scope that asks for a refresh token (OpenID Connect Core 1.0 §11).
pub(super) const OFFLINE_ACCESS: &str = "offline_access";

/// What a token from this grant may allow today.
pub(super) fn allowed(
    state: &AppState,
    client: &Client,
    grant: &GrantRecord,
) -> Result<Scope, GrantError> {
    let config = state.config();
    let resource = config
        .authz
        .resources
        .iter()
        .find(|resource| resource.identifier == grant.resource)
        .ok_or(GrantError::ResourceUnknown)?;
    let client_scope = client.scope.as_ref().map(|own| config.scopes.expand(own));
    let is_allowed = |token: &&ScopeToken| {
        let name = token.as_str();
        IDENTITY_SCOPES.contains(&name)
            || resource.scopes.contains(name)
                && client_scope.as_ref().is_none_or(|own| own.contains(name))
    };
    let allowed: Scope = grant.scope.iter().filter(is_allowed).cloned().collect();
    match allowed.is_empty() {
        true => Err(ExchangeError::NothingLeft.into()),
        false => Ok(allowed),
    }
}

/// The scope of the next access token: what is asked for, if the person allowed it.
///
/// `offline_access` is not judged: clients in the field send it with every refresh, granted or not,
/// and a refusal would end their session.
pub(super) fn narrow(
    state: &AppState,
    client: &Client,
    grant: &GrantRecord,
    requested: Option<Scope>,
) -> Result<Scope, GrantError> {
    let allowed = allowed(state, client, grant)?;
    let offline: Scope = ScopeToken::parse(OFFLINE_ACCESS).into_iter().collect();
    let requested = requested.map(|scope| scope.difference(&offline));
    let Some(requested) = requested.filter(|scope| !scope.is_empty()) else {
        return Ok(allowed);
    };
    // OAuth 2.1 §4.3.1: nothing that was not granted; what a granted scope implies is granted.
    let hierarchy = &state.config().scopes;
    if !hierarchy.satisfies(&grant.scope, &requested) {
        return Err(ExchangeError::ScopeBeyondGrant.into());
    }
    let narrowed = requested.intersection(&hierarchy.expand(&allowed));
    if narrowed.is_empty() {
        return Err(GrantError::ScopeNotAllowed);
    }
    Ok(narrowed.union(&allowed.intersection(&offline)))
}
