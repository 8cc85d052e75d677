//! What a request is for: a resource, and the scopes that mean something there.

use portcullis_common::config::ResourceDeclaration;
use portcullis_common::scope::Scope;

use super::{GrantError, requested};
use crate::clients::Client;
use crate::endpoints::form::Form;
use crate::state::AppState;

/// The resource that is meant (RFC 8707 §2): the one that is named, else the default.
pub(super) fn find_resource<'a>(
    state: &'a AppState,
    form: &Form<'_>,
) -> Result<&'a ResourceDeclaration, GrantError> {
    let authz = &state.config().authz;
    let requested = requested::resource(form)?;
    let wanted = requested
        .as_ref()
        .or(authz.default_resource.as_ref())
        .ok_or(GrantError::NoDefaultResource)?;
    authz
        .resources
        .iter()
        .find(|resource| resource.identifier == *wanted)
        .ok_or(GrantError::ResourceUnknown)
}

/// The scope there: what was asked for, whole or not at all, else the default.
pub(super) fn negotiate_scope(
    state: &AppState,
    client: &Client,
    resource: &ResourceDeclaration,
    requested: Option<&Scope>,
) -> Result<Scope, GrantError> {
    let hierarchy = &state.config().scopes;
    if let Some(requested) = requested {
        // RFC 9068 §3: every scope of a token means something to its audience.
        let is_allowed =
            requested.is_subset_of(&resource.scopes) && client.allows_scope(hierarchy, requested);
        return is_allowed
            .then(|| requested.clone())
            .ok_or(GrantError::ScopeNotAllowed);
    }
    let default = state
        .config()
        .authz
        .default_scopes
        .intersection(&resource.scopes);
    let scope = match &client.scope {
        None => default,
        Some(own) => default.intersection(&hierarchy.expand(own)),
    };
    // OAuth 2.1 §3.3: without a default the request fails.
    if scope.is_empty() {
        return Err(GrantError::ScopeEmpty);
    }
    Ok(scope)
}
