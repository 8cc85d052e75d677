//! Client authentication (OAuth 2.1 §2.4): `none`, `client_secret_basic`, `client_secret_post`,
//! and by a client certificate, `tls_client_auth` (RFC 8705 §2.1).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use http::request::Parts;
use portcullis_common::audit::Event;
use portcullis_common::client_address::ClientAddress;
use portcullis_common::client_certificate::VerifiedClientCertificate;
use portcullis_common::config::TokenEndpointAuthMethod;
use portcullis_common::secret::SecretHash;
use zeroize::Zeroizing;

use super::metadata_document::{DocumentError, DocumentUrl};
use super::{Client, Credential, FindClientError};
use crate::accounts::{Locked, Pair};
use crate::endpoints::form::{Form, decode};
use crate::endpoints::source;
use crate::limiter::{LimiterAway, Refused};
use crate::state::AppState;
use crate::store::StoreError;

/// Why a client is not believed. Ids are what the peer sent, cut short; secrets are not in here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientAuthError {
    #[error("the client used more than one way to authenticate")]
    SeveralMethods,
    #[error("client_id in the body differs from the one in the Authorization header")]
    DifferentClientId,
    #[error("client_secret came without client_id")]
    SecretWithoutId,
    #[error("the client sent a client assertion")]
    AssertionUnsupported,
    #[error("the request names no client")]
    Missing,
    #[error("the Authorization header is not a readable Basic header")]
    HeaderUnreadable,
    #[error("there is no client {id:?}")]
    Unknown { id: String, tried_header: bool },
    #[error("the client {id:?} used {used}, which is not its registered method")]
    WrongMethod {
        id: String,
        used: &'static str,
        tried_header: bool,
    },
    #[error("the client {id:?} came without a certificate that counts")]
    NoCertificate { id: String },
    #[error("the client {id:?} came with the certificate of somebody else")]
    WrongCertificate { id: String },
    #[error("the client {id:?} sent a wrong secret")]
    WrongSecret { id: String, tried_header: bool },
    #[error("the secret of the client {id:?} was wrong too often from here")]
    TooManyWrong { id: String, retry_after: Duration },
    #[error(transparent)]
    LimiterAway(LimiterAway),
    #[error(transparent)]
    Document(DocumentError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<FindClientError> for ClientAuthError {
    fn from(error: FindClientError) -> Self {
        match error {
            FindClientError::Store(error) => Self::Store(error),
            FindClientError::Document(error) => Self::Document(error),
        }
    }
}

impl ClientAuthError {
    /// The client, where there is such a one. What else is sent as an id may be a secret in the wrong
    /// place, and stays out of records.
    fn known_client(&self) -> Option<&str> {
        match self {
            Self::WrongMethod { id, .. }
            | Self::NoCertificate { id }
            | Self::WrongCertificate { id }
            | Self::WrongSecret { id, .. }
            | Self::TooManyWrong { id, .. } => Some(id),
            Self::SeveralMethods
            | Self::DifferentClientId
            | Self::SecretWithoutId
            | Self::AssertionUnsupported
            | Self::Missing
            | Self::HeaderUnreadable
            | Self::Unknown { .. }
            | Self::LimiterAway(_)
            | Self::Document(_)
            | Self::Store(_) => None,
        }
    }

    /// The word for records.
    const fn reason(&self) -> &'static str {
        match self {
            Self::SeveralMethods => "several_methods",
            Self::DifferentClientId => "different_client_id",
            Self::SecretWithoutId | Self::Missing => "no_client_id",
            Self::AssertionUnsupported => "assertion_unsupported",
            Self::HeaderUnreadable => "header_unreadable",
            Self::Unknown { .. } => "unknown_client",
            Self::WrongMethod { .. } => "wrong_method",
            Self::NoCertificate { .. } => "no_certificate",
            Self::WrongCertificate { .. } => "wrong_certificate",
            Self::WrongSecret { .. } => "wrong_secret",
            Self::TooManyWrong { .. } => "locked",
            Self::LimiterAway(_) => "limiter_away",
            Self::Document(_) => "no_document",
            Self::Store(_) => "store_away",
        }
    }

    /// Whether the client tried the `Authorization` header.
    pub(crate) const fn tried_header(&self) -> bool {
        match self {
            Self::SeveralMethods
            | Self::DifferentClientId
            | Self::SecretWithoutId
            | Self::AssertionUnsupported
            | Self::Missing
            | Self::NoCertificate { .. }
            | Self::WrongCertificate { .. }
            | Self::TooManyWrong { .. }
            | Self::LimiterAway(_)
            | Self::Document(_)
            | Self::Store(_) => false,
            Self::HeaderUnreadable => true,
            Self::Unknown { tried_header, .. }
            | Self::WrongMethod { tried_header, .. }
            | Self::WrongSecret { tried_header, .. } => *tried_header,
        }
    }
}

/// A client that proved who it is in its registered way; a public client proved nothing and only
/// said so.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct AuthenticatedClient(Arc<Client>);

impl AuthenticatedClient {
    /// The client.
    pub(crate) fn client(&self) -> &Client {
        &self.0
    }
}

/// What a request presents, unverified.
#[derive(Debug)]
struct Presented<'a> {
    id: Cow<'a, str>,
    secret: Option<Zeroizing<String>>,
    method: TokenEndpointAuthMethod,
    /// What stands behind the connection, whether the client means to use it or not.
    certificate: Option<&'a VerifiedClientCertificate>,
}

/// Turns the credentials of a request into an [`AuthenticatedClient`]; a refusal is recorded.
pub(crate) async fn authenticate(
    head: &Parts,
    form: &Form<'_>,
    state: &AppState,
) -> Result<AuthenticatedClient, ClientAuthError> {
    let source = source(&head.extensions);
    let result = prove(head, form, state, source).await;
    if let Err(error) = &result {
        let record = state.draft(Event::ClientAuthentication);
        let mut record = record.of_request(&head.extensions);
        if let Some(id) = error.known_client() {
            record.client(id);
        }
        record.refuse(error.reason());
    }
    result
}

async fn prove(
    head: &Parts,
    form: &Form<'_>,
    state: &AppState,
    source: ClientAddress,
) -> Result<AuthenticatedClient, ClientAuthError> {
    let presented = present(head, form)?;
    // A client that a document describes has no secret: nothing is fetched to see that.
    let found = if presented.secret.is_some() && DocumentUrl::parse(&presented.id).is_some() {
        None
    } else {
        state.clients().find(&presented.id, source.0).await?
    };
    verify(&presented, found, async |client: &Client, is_right| {
        if !client.has_chosen_secret() {
            return Ok(is_right);
        }
        let pair = Pair::new(client.id.as_str(), source);
        let now = state.clock().now();
        state.secrets().attempt(&pair, now, is_right).await
    })
    .await
}

/// Reads the credentials; more than one kind is refused (OAuth 2.1 §2.4).
fn present<'a>(head: &'a Parts, form: &'a Form<'a>) -> Result<Presented<'a>, ClientAuthError> {
    let certificate = head.extensions.get::<VerifiedClientCertificate>();
    let body_id = form.find("client_id");
    let body_secret = form.find("client_secret");
    let has_assertion =
        form.find("client_assertion").is_some() || form.find("client_assertion_type").is_some();
    let mut lines = head.headers.get_all(AUTHORIZATION).iter();
    let header = lines.next();
    let ways = [header.is_some(), body_secret.is_some(), has_assertion];
    if lines.next().is_some() || ways.into_iter().filter(|way| *way).count() > 1 {
        return Err(ClientAuthError::SeveralMethods);
    }
    if has_assertion {
        return Err(ClientAuthError::AssertionUnsupported);
    }
    if let Some(value) = header {
        let (id, secret) =
            parse_basic(value.as_bytes()).ok_or(ClientAuthError::HeaderUnreadable)?;
        // The same id in the body repeats what the header said and does no harm.
        if body_id.is_some_and(|body_id| body_id != id) {
            return Err(ClientAuthError::DifferentClientId);
        }
        return Ok(Presented {
            id: Cow::Owned(id),
            secret: Some(secret),
            method: TokenEndpointAuthMethod::ClientSecretBasic,
            certificate,
        });
    }
    match (body_id, body_secret) {
        (Some(id), Some(secret)) => Ok(Presented {
            id: Cow::Borrowed(id),
            secret: Some(Zeroizing::new(secret.to_owned())),
            method: TokenEndpointAuthMethod::ClientSecretPost,
            certificate,
        }),
        (Some(id), None) => Ok(Presented {
            id: Cow::Borrowed(id),
            secret: None,
            method: TokenEndpointAuthMethod::None,
            certificate,
        }),
        (None, Some(_)) => Err(ClientAuthError::SecretWithoutId),
        (None, None) => Err(ClientAuthError::Missing),
    }
}

/// Reads `Basic base64(id ":" secret)`. Both halves are urlencoded, and decoded only after they
/// were split (RFC 6749 §2.3.1).
fn parse_basic(value: &[u8]) -> Option<(String, Zeroizing<String>)> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (scheme, credentials) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = Zeroizing::new(LENIENT.decode(credentials.trim_ascii()).ok()?);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (id, secret) = pair.split_at_checked(colon)?;
    let id = decode(id)?.into_owned();
    let secret = Zeroizing::new(decode(secret.get(1..)?)?.into_owned());
    (!id.is_empty()).then_some((id, secret))
}

/// Compares. The work is the same whether the client exists or not, so that time tells nothing:
/// one hash of what was sent, one comparison.
///
/// The `budget` has the last word about a secret that came in the registered way.
async fn verify(
    presented: &Presented<'_>,
    found: Option<Arc<Client>>,
    budget: impl AsyncFnOnce(&Client, bool) -> Result<bool, Refused<Locked>>,
) -> Result<AuthenticatedClient, ClientAuthError> {
    let tried_header = presented.method == TokenEndpointAuthMethod::ClientSecretBasic;
    let sent = SecretHash::of(presented.secret.as_deref().map_or("", String::as_str));
    let stored = found
        .as_ref()
        .and_then(|client| client.credential.secret_hash());
    // Who has no secret is compared all the same, with a hash whose outcome is not used.
    let is_right = stored.unwrap_or(sent).matches(&sent) & stored.is_some();
    let id = || presented.id.chars().take(64).collect();
    let Some(client) = found else {
        return Err(ClientAuthError::Unknown {
            id: id(),
            tried_header,
        });
    };
    if presented.method == TokenEndpointAuthMethod::None
        && let Credential::Certificate(subject) = &client.credential
    {
        // RFC 8705 §2 and §2.1.2: client_id comes alone, and the subject is exactly the expected one.
        return match presented
            .certificate
            .map(|shown| shown.subject() == subject)
        {
            Some(true) => Ok(AuthenticatedClient(client)),
            Some(false) => Err(ClientAuthError::WrongCertificate { id: id() }),
            None => Err(ClientAuthError::NoCertificate { id: id() }),
        };
    }
    if client.credential.method() != presented.method {
        return Err(ClientAuthError::WrongMethod {
            id: id(),
            used: presented.method.name(),
            tried_header,
        });
    }
    if client.is_public() {
        return Ok(AuthenticatedClient(client));
    }
    // OAuth 2.1 §2.4.1: whoever guesses a secret is stopped, even where the guess is right.
    match budget(&client, is_right).await {
        Ok(true) => Ok(AuthenticatedClient(client)),
        Ok(false) => Err(ClientAuthError::WrongSecret {
            id: id(),
            tried_header,
        }),
        Err(Refused::Limit(locked)) => Err(ClientAuthError::TooManyWrong {
            id: id(),
            retry_after: locked.retry_after,
        }),
        Err(Refused::Away(away)) => Err(ClientAuthError::LimiterAway(away)),
    }
}
