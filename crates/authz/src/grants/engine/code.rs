//! The order in which a code is judged, as the access-token machine asks for it.

use std::borrow::Cow;

use oxide_auth::code_grant::accesstoken::{AccessToken, Authorization, Input, Output, Request};
use oxide_auth::primitives::grant::{Extensions, Grant};
use portcullis_common::config::GrantType;
use portcullis_common::scope::Scope;

use super::convert;
use crate::grants::GrantError;

/// The machine compares times with a clock of its own; ours has judged before, so the machine is
/// shown a time that never comes.
const NEVER: &str = "9999-12-31T23:59:59Z";

/// What a code was given for, as far as the machine compares it.
#[derive(Debug)]
pub(in crate::grants) struct BoundGrant<'a> {
    pub(in crate::grants) owner_id: &'a str,
    pub(in crate::grants) client_id: &'a str,
    pub(in crate::grants) redirect_uri: &'a str,
    pub(in crate::grants) scope: &'a Scope,
}

/// The decisions of a code exchange, in the order in which they are asked for.
pub(in crate::grants) trait CodeSteps {
    /// The proof that everything was right.
    type Proof;

    /// The client, which has authenticated before.
    fn client_id(&self) -> &str;
    /// Where the answer to the authorization request went.
    fn redirect_uri(&self) -> &str;
    /// What the code was given for, if this client may redeem it here and now.
    fn recover(&self) -> Result<BoundGrant<'_>, GrantError>;
    /// Whether the verifier and everything else in the request fits the grant.
    fn prove(&self) -> Result<Self::Proof, GrantError>;
}

/// Drives the exchange to the point where nothing is left but to spend the code.
pub(in crate::grants) fn drive_code<S: CodeSteps>(steps: &S) -> Result<S::Proof, GrantError> {
    let request = ValidatedRequest {
        client_id: steps.client_id(),
        redirect_uri: steps.redirect_uri(),
    };
    let mut machine = AccessToken::new(&request);
    let mut input = Input::None;
    let mut proof = None;
    loop {
        input = match machine.advance(input) {
            // The credentials were verified before; the machine only wants to hear it first.
            Output::Authenticate { client, .. } if client == steps.client_id() => {
                Input::Authenticated
            }
            Output::Recover { .. } => Input::Recovered(Some(Box::new(bound(&steps.recover()?)?))),
            Output::Extend { .. } => {
                proof = Some(steps.prove()?);
                Input::Extended {
                    access_extensions: Extensions::new(),
                }
            }
            Output::Issue { .. } => return proof.ok_or(GrantError::OutOfOrder),
            // Every fault of the request was found before, by our own types.
            Output::Authenticate { .. } | Output::Ok(_) | Output::Err(_) => {
                return Err(GrantError::OutOfOrder);
            }
        };
    }
}

fn bound(grant: &BoundGrant<'_>) -> Result<Grant, GrantError> {
    Ok(Grant {
        owner_id: grant.owner_id.to_owned(),
        client_id: grant.client_id.to_owned(),
        scope: convert(grant.scope)?,
        redirect_uri: grant
            .redirect_uri
            .parse()
            .map_err(|_| GrantError::OutOfOrder)?,
        until: NEVER.parse().map_err(|_| GrantError::OutOfOrder)?,
        extensions: Extensions::new(),
    })
}

/// A request whose every part was validated before. The code itself stays outside: the machine
/// only carries it through.
struct ValidatedRequest<'a> {
    client_id: &'a str,
    redirect_uri: &'a str,
}

impl Request for ValidatedRequest<'_> {
    fn valid(&self) -> bool {
        true
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(""))
    }

    fn authorization(&self) -> Authorization<'_> {
        Authorization::Username(Cow::Borrowed(self.client_id))
    }

    fn client_id(&self) -> Option<Cow<'_, str>> {
        None
    }

    // OAuth 2.1 §10.2: a client need not repeat it, but the machine demands it.
    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.redirect_uri))
    }

    fn grant_type(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(GrantType::AuthorizationCode.name()))
    }

    fn extension(&self, _key: &str) -> Option<Cow<'_, str>> {
        None
    }
}
