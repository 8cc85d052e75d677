//! Clients that register themselves (RFC 7591), and what they may do with their registration
//! (RFC 7592).
//!
//! Everything a registration says comes from a stranger: it is stored and shown as text, and no
//! address in it is ever called.

pub mod admin;
mod gate;
mod management;
mod members;
mod metadata;
mod redirect_uris;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_common::clock::Timestamp;
use portcullis_common::config::Registration;
use portcullis_common::entropy::EntropyError;
use portcullis_common::secret::ClientSecret;
use portcullis_common::strict_json::{self, StrictJsonError};
use serde_json::{Map, Value};

use super::{ClientId, ClientIdError};
use crate::limiter::{LimiterAway, Refused};
use crate::state::AppState;
use crate::store::{InsertRegistration, NewRegistration, RegistrationKind, StoreError};

pub(crate) use gate::{RegistrationGate, TooManyRegistrations};
pub(crate) use management::{read, remove, replace};
pub(crate) use metadata::{ClientMetadata, MetadataDigest, MetadataError, RegistrationRules};

/// How long an equal registration is waited for.
const TURN: Duration = Duration::from_secs(1);

portcullis_common::secret! {
    /// An initial access token (RFC 7591 §3): lets its holder register a number of clients.
    InitialAccessToken => InitialAccessTokenHash
}

portcullis_common::secret! {
    /// A registration access token (RFC 7592 §3): lets a client manage its own registration.
    RegistrationAccessToken => RegistrationAccessTokenHash
}

/// Why a registration is not made, shown, changed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistrationError {
    #[error("the body is larger than 16 KiB")]
    TooLarge,
    #[error("the body ended early")]
    Interrupted,
    #[error("the body cannot be read: {0}")]
    NotAnObject(#[from] StrictJsonError),
    #[error("the registration came without an initial access token")]
    InvitationMissing,
    #[error("the initial access token is unknown, used up or over")]
    NotInvited,
    #[error("no registration, or one that this token does not manage")]
    NotManaged,
    #[error("the client_id in the body is not the one of the registration")]
    OtherClientId,
    #[error("the body tries to choose the secret")]
    OtherSecret,
    #[error("the body turns a confidential client into a public one")]
    BecomesPublic,
    #[error("the metadata breaks a rule: {0}")]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    TooMany(#[from] TooManyRegistrations),
    #[error(transparent)]
    LimiterAway(#[from] LimiterAway),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Id(#[from] ClientIdError),
}

/// What a client learns of its registration (RFC 7591 §3.2.1, RFC 7592 §3).
#[derive(Debug)]
pub(crate) struct ClientInformation {
    pub(crate) client_id: ClientId,
    pub(crate) issued_at: Timestamp,
    pub(crate) metadata: ClientMetadata,
    /// Told once, when it is made.
    pub(crate) secret: Option<ClientSecret>,
    /// What the client manages its registration with; public ones are shared, so nobody does.
    pub(crate) token: Option<RegistrationAccessToken>,
}

/// Registers a client. Nothing is counted, taken or written before everything was verified.
pub(crate) async fn register(
    state: &AppState,
    body: &[u8],
    invitation: Option<InitialAccessToken>,
    source: IpAddr,
) -> Result<ClientInformation, RegistrationError> {
    let invitation = verify_invitation(state, invitation).await?;
    let members = strict_json::parse_object(body)?;
    let rules = RegistrationRules {
        private_schemes: &state.config().authz.private_schemes,
        allows_client_credentials: invitation.is_some(),
    };
    let metadata = ClientMetadata::parse(&members, rules)?;
    let registrant = Registrant { invitation, source };
    let information = if metadata.is_public() {
        register_public(state, metadata, registrant).await?
    } else {
        register_confidential(state, metadata, registrant).await?
    };
    tracing::info!(
        "client.id" = %information.client_id,
        is_public = information.secret.is_none(),
        is_invited = invitation.is_some(),
        outcome = "registered",
    );
    Ok(information)
}

/// Who registers, as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Registrant {
    invitation: Option<InitialAccessTokenHash>,
    source: IpAddr,
}

/// A look, so that a stranger is told before the body is judged; the use is taken later, together
/// with the registration.
async fn verify_invitation(
    state: &AppState,
    invitation: Option<InitialAccessToken>,
) -> Result<Option<InitialAccessTokenHash>, RegistrationError> {
    let Some(invitation) = invitation.map(|token| token.hash()) else {
        return match state.config().authz.registration {
            Registration::Open => Ok(None),
            Registration::Token | Registration::Off => Err(RegistrationError::InvitationMissing),
        };
    };
    let now = state.clock().now();
    if state
        .store()
        .has_initial_access_token(invitation, now)
        .await?
    {
        Ok(Some(invitation))
    } else {
        Err(RegistrationError::NotInvited)
    }
}

/// The same program on many machines, or registered at every start, is one client: whatever is the
/// same in everything but the ports of its own loopback is not stored again. Nobody manages such a
/// client, because it belongs to all who registered it.
async fn register_public(
    state: &AppState,
    metadata: ClientMetadata,
    registrant: Registrant,
) -> Result<ClientInformation, RegistrationError> {
    let digest = metadata.digest();
    let waits = tokio::time::timeout(TURN, state.registrations().turn(digest)).await;
    let _turn = waits.map_err(|_| {
        StoreError::Unavailable("an equal registration did not end in time".to_owned())
    })?;
    let now = state.clock().now();
    let known = match registrant.invitation {
        // Each registration takes a use, also one that makes nothing new.
        Some(_) => None,
        None => state.store().renew_registration(digest, now).await?,
    };
    let (client_id, issued_at) = match known {
        Some(known) => known,
        None => {
            insert(
                state,
                &metadata,
                RegistrationKind::Public(digest),
                registrant,
            )
            .await?
        }
    };
    Ok(ClientInformation {
        client_id,
        issued_at,
        // As it was sent: a client looks for its own redirect URIs in the answer.
        metadata,
        secret: None,
        token: None,
    })
}

async fn register_confidential(
    state: &AppState,
    metadata: ClientMetadata,
    registrant: Registrant,
) -> Result<ClientInformation, RegistrationError> {
    let secret = ClientSecret::generate(state.entropy())?;
    let token = RegistrationAccessToken::generate(state.entropy())?;
    let kind = RegistrationKind::Confidential {
        secret: secret.hash(),
        token: token.hash(),
    };
    let (client_id, issued_at) = insert(state, &metadata, kind, registrant).await?;
    Ok(ClientInformation {
        client_id,
        issued_at,
        metadata,
        secret: Some(secret),
        token: Some(token),
    })
}

/// Writes a new client, unless there are too many. An invited one is not counted: its invitation has
/// a number of its own.
async fn insert(
    state: &AppState,
    metadata: &ClientMetadata,
    kind: RegistrationKind,
    registrant: Registrant,
) -> Result<(ClientId, Timestamp), RegistrationError> {
    let client_id = ClientId::generate(state.entropy())?;
    let now = state.clock().now();
    let is_counted = registrant.invitation.is_none();
    if is_counted {
        match state.registrations().admit(registrant.source, now).await {
            Ok(()) => {}
            Err(Refused::Limit(error)) => return Err(error.into()),
            Err(Refused::Away(error)) => return Err(error.into()),
        }
    }
    let new = NewRegistration {
        client_id: client_id.clone(),
        metadata: metadata.clone(),
        kind,
        invitation: registrant.invitation,
    };
    let result = state.store().insert_registration(new, now).await;
    if is_counted && !matches!(result, Ok(InsertRegistration::Created)) {
        state
            .registrations()
            .take_back(registrant.source, now)
            .await;
    }
    match result? {
        InsertRegistration::Created => Ok((client_id, now)),
        InsertRegistration::Merged(client_id, issued_at) => Ok((client_id, issued_at)),
        InsertRegistration::NotInvited => Err(RegistrationError::NotInvited),
    }
}

impl ClientInformation {
    /// The members of the answer: all that is registered, with what the server filled in
    /// (RFC 7591 §3.2.1).
    pub(crate) fn to_members(&self, management_uri: &str) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("client_id".to_owned(), self.client_id.as_str().into());
        let issued_at = self.issued_at.seconds();
        members.insert("client_id_issued_at".to_owned(), issued_at.into());
        if let Some(secret) = &self.secret {
            members.insert("client_secret".to_owned(), secret.expose().into());
            // RFC 7591 §3.2.1: beside every secret; 0 means that it does not expire.
            members.insert("client_secret_expires_at".to_owned(), 0.into());
        }
        if let Some(token) = &self.token {
            members.insert(
                "registration_access_token".to_owned(),
                token.expose().into(),
            );
            members.insert("registration_client_uri".to_owned(), management_uri.into());
        }
        members.append(&mut self.metadata.to_members());
        members
    }
}
