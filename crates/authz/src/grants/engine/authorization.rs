//! The order of an authorization request: client and redirect URI, then everything that is bound to
//! the code, then the scope.

use std::borrow::Cow;

use oxide_auth::code_grant::authorization::{Authorization, Input, Output, Request};
use oxide_auth::primitives::grant::Extensions;
use oxide_auth::primitives::registrar::{BoundClient, ExactUrl, PreGrant, RegisteredUrl};
use portcullis_common::scope::Scope;

use super::convert;
use crate::grants::GrantError;

/// The decisions about an authorization request, in the order in which they are asked for.
pub(in crate::grants) trait AuthorizationSteps {
    /// A client, and where its answer goes.
    type Bound;
    /// What the code is bound to beside client and scope.
    type Extended;
    /// Why the request is refused.
    type Refusal: From<GrantError>;

    /// Which client asks, and where the answer goes; from here on errors go there too.
    fn bind(&self) -> Result<Self::Bound, Self::Refusal>;
    /// The two of them as text.
    fn texts<'b>(&self, bound: &'b Self::Bound) -> (&'b str, &'b str);
    /// Response type and mode, challenge, resource, and how the person is to be asked.
    fn extend(&self, bound: &Self::Bound) -> Result<Self::Extended, Self::Refusal>;
    /// What is asked for.
    fn negotiate(
        &self,
        bound: &Self::Bound,
        extended: &Self::Extended,
    ) -> Result<Scope, Self::Refusal>;
}

/// Drives the request to the point where a person decides, or to the first refusal.
pub(in crate::grants) fn drive_authorization<S: AuthorizationSteps>(
    steps: &S,
) -> Result<(S::Bound, S::Extended, Scope), S::Refusal> {
    let out_of_order = || S::Refusal::from(GrantError::OutOfOrder);
    let mut machine = Authorization::new(&AnyRequest);
    let mut input = Input::None;
    let (mut bound, mut extended, mut scope) = (None, None, None);
    loop {
        input = match machine.advance(input) {
            Output::Bind { .. } => {
                let found = bound.insert(steps.bind()?);
                let (client_id, redirect_uri) = steps.texts(found);
                Input::Bound {
                    request: &AnyRequest,
                    bound_client: bound_client(client_id, redirect_uri)?,
                }
            }
            Output::Extend => {
                let bound = bound.as_ref().ok_or_else(out_of_order)?;
                extended = Some(steps.extend(bound)?);
                Input::Extended(Extensions::new())
            }
            Output::Negotiate { bound_client, .. } => {
                let bound = bound.as_ref().ok_or_else(out_of_order)?;
                let extended = extended.as_ref().ok_or_else(out_of_order)?;
                let asked = scope.insert(steps.negotiate(bound, extended)?);
                let pre_grant = PreGrant {
                    client_id: bound_client.client_id.clone().into_owned(),
                    redirect_uri: bound_client.redirect_uri.clone().into_owned(),
                    scope: convert(asked)?,
                };
                Input::Negotiated {
                    pre_grant,
                    state: None,
                }
            }
            Output::Ok { .. } => {
                let found = bound.zip(extended).zip(scope);
                let ((bound, extended), scope) = found.ok_or_else(out_of_order)?;
                return Ok((bound, extended, scope));
            }
            // Every fault of the request was found before, by our own types.
            Output::Err(_) => return Err(out_of_order()),
        };
    }
}

fn bound_client(client_id: &str, redirect_uri: &str) -> Result<BoundClient<'static>, GrantError> {
    let uri: ExactUrl = redirect_uri.parse().map_err(|_| GrantError::OutOfOrder)?;
    Ok(BoundClient {
        client_id: Cow::Owned(client_id.to_owned()),
        redirect_uri: Cow::Owned(RegisteredUrl::Exact(uri)),
    })
}

/// What the machine itself looks at before it asks us; the steps look at the real request.
struct AnyRequest;

impl Request for AnyRequest {
    fn valid(&self) -> bool {
        true
    }

    fn client_id(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(""))
    }

    fn scope(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn state(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn response_type(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("code"))
    }

    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}
