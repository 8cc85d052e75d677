//! What a token request asks for, read once for every grant.

use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;

use super::GrantError;
use crate::endpoints::form::Form;

/// The scope that is asked for; one without tokens counts as none.
pub(super) fn scope(form: &Form<'_>) -> Result<Option<Scope>, GrantError> {
    let scope = form
        .find("scope")
        .map(str::parse::<Scope>)
        .transpose()
        .map_err(GrantError::ScopeMalformed)?;
    Ok(scope.filter(|scope| !scope.is_empty()))
}

/// The resource that is asked for (RFC 8707 §2), in its canonical form.
pub(super) fn resource(form: &Form<'_>) -> Result<Option<ResourceIndicator>, GrantError> {
    let mut requested = None;
    for text in form.all("resource") {
        let resource = ResourceIndicator::parse(text).map_err(GrantError::ResourceMalformed)?;
        // RFC 9068 §3: a token for several resources would let each act at the others.
        if requested.as_ref().is_some_and(|one| *one != resource) {
            return Err(GrantError::SeveralResources);
        }
        requested = Some(resource);
    }
    Ok(requested)
}
