//! Client credentials (OAuth 2.1 §4.2): a program acts for itself.

use portcullis_common::audit::Draft;
use portcullis_common::config::{GrantType, ResourceDeclaration};
use portcullis_common::scope::Scope;

use super::engine::{self, ClientCredentialsSteps};
use super::{GrantError, TokenResponse, issue, requested, target};
use crate::clients::authentication::AuthenticatedClient;
use crate::endpoints::form::Form;
use crate::state::AppState;

/// Answers a request with this grant. Writes nothing.
pub(super) fn grant(
    state: &AppState,
    client: &AuthenticatedClient,
    form: &Form<'_>,
    audit: &mut Draft,
) -> Result<TokenResponse, GrantError> {
    let requested = requested::scope(form)?;
    let steps = Steps {
        state,
        client,
        form,
    };
    let (resource, scope) = engine::drive_client_credentials(&steps, requested.as_ref())?;
    audit.target(resource.identifier.as_str());
    let token = issue::for_client(state, client.client(), resource, &scope)?;
    tracing::info!(
        "client.id" = %client.client().id,
        "grant.type" = GrantType::ClientCredentials.name(),
        resource = %resource.identifier,
        scope = %scope,
        outcome = "issued",
        "token"
    );
    Ok(token)
}

/// The decisions of this grant, in the order in which the engine asks for them.
struct Steps<'a> {
    state: &'a AppState,
    client: &'a AuthenticatedClient,
    form: &'a Form<'a>,
}

impl<'a> ClientCredentialsSteps for Steps<'a> {
    type Target = &'a ResourceDeclaration;

    fn client_id(&self) -> &str {
        self.client.client().id.as_str()
    }

    fn bind(&self) -> Result<(), GrantError> {
        let client = self.client.client();
        // OAuth 2.1 §4.2: this grant is for confidential clients only.
        if client.is_public() {
            return Err(GrantError::PublicClient);
        }
        if client.allows_grant(GrantType::ClientCredentials) {
            Ok(())
        } else {
            Err(GrantError::GrantNotAllowed)
        }
    }

    fn target(&self) -> Result<&'a ResourceDeclaration, GrantError> {
        target::find_resource(self.state, self.form)
    }

    fn negotiate(
        &self,
        target: &&'a ResourceDeclaration,
        requested: Option<&Scope>,
    ) -> Result<Scope, GrantError> {
        target::negotiate_scope(self.state, self.client.client(), target, requested)
    }
}
