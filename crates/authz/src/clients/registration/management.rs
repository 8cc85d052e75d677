//! What a client does with its own registration (RFC 7592).

use portcullis_common::secret::ClientSecret;
use portcullis_common::strict_json;
use serde_json::{Map, Value};

use super::{
    ClientInformation, ClientMetadata, RegistrationAccessToken, RegistrationError,
    RegistrationRules,
};
use crate::clients::ClientId;
use crate::state::AppState;
use crate::store::{RegistrationRecord, RemoveClient, UpdateRegistration};

/// Shows a registration to its client (RFC 7592 §2.1).
pub(crate) async fn read(
    state: &AppState,
    client_id: &str,
    token: Option<RegistrationAccessToken>,
) -> Result<ClientInformation, RegistrationError> {
    let (record, token) = find(state, client_id, token).await?;
    Ok(information(record, token))
}

/// Replaces the metadata of a registration (RFC 7592 §2.2): what is left out is deleted or falls
/// back to its default. Id and secret stay.
pub(crate) async fn replace(
    state: &AppState,
    client_id: &str,
    token: Option<RegistrationAccessToken>,
    body: &[u8],
) -> Result<ClientInformation, RegistrationError> {
    let (record, token) = find(state, client_id, token).await?;
    let members = strict_json::parse_object(body)?;
    check_identity(&members, &record)?;
    let rules = RegistrationRules {
        private_schemes: &state.config().authz.private_schemes,
        allows_client_credentials: record.metadata.is_for_client_credentials(),
    };
    let metadata = ClientMetadata::parse(&members, rules)?;
    if metadata.is_public() {
        return Err(RegistrationError::BecomesPublic);
    }
    let updated = state
        .store()
        .update_registration(&record.client_id, token.hash(), &metadata)
        .await?;
    match updated {
        UpdateRegistration::Updated => state.clients().forget_registered(),
        UpdateRegistration::Unknown => return Err(RegistrationError::NotManaged),
    }
    tracing::info!("client.id" = %record.client_id, outcome = "registration replaced");
    Ok(information(
        RegistrationRecord { metadata, ..record },
        token,
    ))
}

/// Removes a registration, with everything that people allowed its client (RFC 7592 §2.3).
pub(crate) async fn remove(
    state: &AppState,
    client_id: &str,
    token: Option<RegistrationAccessToken>,
) -> Result<(), RegistrationError> {
    let (client_id, token) = presented(client_id, token)?;
    let now = state.clock().now();
    let removed = state
        .store()
        .remove_registration(&client_id, Some(token.hash()), now)
        .await?;
    match removed {
        RemoveClient::Removed => state.clients().forget_registered(),
        RemoveClient::Unknown => return Err(RegistrationError::NotManaged),
    }
    tracing::info!("client.id" = %client_id, "registration removed");
    Ok(())
}

/// Without a token, with a wrong one and with another client's the answer is the same, so that
/// nobody learns which clients there are.
fn presented(
    client_id: &str,
    token: Option<RegistrationAccessToken>,
) -> Result<(ClientId, RegistrationAccessToken), RegistrationError> {
    let client_id = ClientId::parse(client_id).map_err(|_| RegistrationError::NotManaged)?;
    Ok((client_id, token.ok_or(RegistrationError::NotManaged)?))
}

async fn find(
    state: &AppState,
    client_id: &str,
    token: Option<RegistrationAccessToken>,
) -> Result<(RegistrationRecord, RegistrationAccessToken), RegistrationError> {
    let (client_id, token) = presented(client_id, token)?;
    let record = state
        .store()
        .find_registration(&client_id, token.hash())
        .await?
        .ok_or(RegistrationError::NotManaged)?;
    Ok((record, token))
}

/// RFC 7592 §2.2: the body repeats the id, and may repeat the secret but not choose one.
fn check_identity(
    members: &Map<String, Value>,
    record: &RegistrationRecord,
) -> Result<(), RegistrationError> {
    let id = members.get("client_id").and_then(Value::as_str);
    if id != Some(record.client_id.as_str()) {
        return Err(RegistrationError::OtherClientId);
    }
    let Some(secret) = members.get("client_secret") else {
        return Ok(());
    };
    let is_own = secret
        .as_str()
        .is_some_and(|text| ClientSecret::new(text).hash().matches(&record.secret));
    is_own.then_some(()).ok_or(RegistrationError::OtherSecret)
}

fn information(record: RegistrationRecord, token: RegistrationAccessToken) -> ClientInformation {
    ClientInformation {
        client_id: record.client_id,
        issued_at: record.created_at,
        metadata: record.metadata,
        secret: None,
        // The one that was presented: only its hash is stored.
        token: Some(token),
    }
}
