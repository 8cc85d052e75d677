//! The seam to oxide-auth: its state machines order a flow, and our own types decide every step.
//!
//! Nothing else names `oxide_auth`, and none of its types leaves this module. Its inputs are not
//! `Send`, so a flow is driven without an `await`.

mod authorization;
mod code;

use std::borrow::Cow;
use std::sync::LazyLock;

use oxide_auth::code_grant::client_credentials::{ClientCredentials, Input, Output, Request};
use oxide_auth::primitives::registrar::{BoundClient, PreGrant, RegisteredUrl};
use portcullis_common::config::GrantType;
use portcullis_common::scope::Scope;

use super::GrantError;

pub(super) use authorization::{AuthorizationSteps, drive_authorization};
pub(super) use code::{BoundGrant, CodeSteps, drive_code};

/// The decisions of the client-credentials grant, in the order in which they are asked for.
pub(super) trait ClientCredentialsSteps {
    /// What a token is for.
    type Target;

    /// The client, which has authenticated before.
    fn client_id(&self) -> &str;
    /// Whether the client may use this grant.
    fn bind(&self) -> Result<(), GrantError>;
    /// What the token is for.
    fn target(&self) -> Result<Self::Target, GrantError>;
    /// What the token allows there.
    fn negotiate(
        &self,
        target: &Self::Target,
        requested: Option<&Scope>,
    ) -> Result<Scope, GrantError>;
}

/// Drives the flow to its end: target and scope of the token, or the first refusal.
pub(super) fn drive_client_credentials<S: ClientCredentialsSteps>(
    steps: &S,
    requested: Option<&Scope>,
) -> Result<(S::Target, Scope), GrantError> {
    let request = ValidatedRequest {
        client_id: steps.client_id(),
        scope: requested,
    };
    let mut machine = ClientCredentials::new(&request);
    let mut input = Input::None;
    let mut target = None;
    let mut granted = None;
    loop {
        input = match machine.advance(input) {
            // The credentials were verified before; the machine only wants to hear it first.
            Output::Authenticate { client, .. } if client == steps.client_id() => {
                Input::Authenticated
            }
            Output::Binding { client_id } => {
                steps.bind()?;
                Input::Bound {
                    bound_client: bound_client(client_id)?,
                }
            }
            Output::Extend => {
                target = Some(steps.target()?);
                Input::Extended {
                    extensions: oxide_auth::primitives::grant::Extensions::new(),
                }
            }
            Output::Negotiate { bound_client, .. } => {
                let target = target.as_ref().ok_or(GrantError::OutOfOrder)?;
                let scope = steps.negotiate(target, requested)?;
                let pre_grant = PreGrant {
                    client_id: bound_client.client_id.clone().into_owned(),
                    redirect_uri: bound_client.redirect_uri.clone().into_owned(),
                    scope: convert(&scope)?,
                };
                granted = Some(scope);
                Input::Negotiated { pre_grant }
            }
            Output::Ok { .. } => {
                return target.zip(granted).ok_or(GrantError::OutOfOrder);
            }
            // Every fault of the request was found before, by our own types.
            Output::Authenticate { .. } | Output::Err(_) => return Err(GrantError::OutOfOrder),
        };
    }
}

/// The machine wants a redirect URI even where nobody is redirected.
fn bound_client(client_id: &str) -> Result<BoundClient<'static>, GrantError> {
    static NOWHERE: LazyLock<Option<RegisteredUrl>> =
        LazyLock::new(|| "urn:nowhere".parse().ok().map(RegisteredUrl::Semantic));
    let nowhere = NOWHERE.as_ref().ok_or(GrantError::OutOfOrder)?;
    Ok(BoundClient {
        client_id: Cow::Owned(client_id.to_owned()),
        redirect_uri: Cow::Borrowed(nowhere),
    })
}

fn convert(scope: &Scope) -> Result<oxide_auth::primitives::scope::Scope, GrantError> {
    scope
        .to_string()
        .parse()
        .map_err(|_| GrantError::OutOfOrder)
}

/// A request whose every part was validated before.
struct ValidatedRequest<'a> {
    client_id: &'a str,
    scope: Option<&'a Scope>,
}

impl Request for ValidatedRequest<'_> {
    fn valid(&self) -> bool {
        true
    }

    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((Cow::Borrowed(self.client_id), Cow::Borrowed(&[])))
    }

    fn scope(&self) -> Option<Cow<'_, str>> {
        self.scope.map(|scope| Cow::Owned(scope.to_string()))
    }

    fn grant_type(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(GrantType::ClientCredentials.name()))
    }

    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}
