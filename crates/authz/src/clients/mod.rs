//! OAuth clients: what they are, and where they are found.

pub mod admin;
pub mod authentication;
mod directory;
pub(crate) mod metadata_document;
mod redirect_uri;
pub mod registration;
mod window;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_common::clock::Timestamp;
use portcullis_common::config::{Authentication, ClientConfig, GrantType, TokenEndpointAuthMethod};
use portcullis_common::distinguished_name::DistinguishedName;
use portcullis_common::entropy::{Entropy, EntropyError};
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::{Scope, ScopeHierarchy};
use portcullis_common::secret::SecretHash;

use metadata_document::DocumentUrl;

pub(crate) use directory::{ClientDirectory, FindClientError};
pub(crate) use redirect_uri::{MatchedRedirectUri, RedirectUriError};

/// Longest client id, in bytes.
const MAX_ID_BYTES: usize = 255;
/// Random bytes of an id we make.
const ID_BYTES: usize = 16;

/// Why a text is not the id of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client id has 1 to 255 printable ASCII characters without space, quote and backslash, and \
     does not begin with https://, which is kept for clients that are described by a document"
)]
pub struct ClientIdError;

/// The id of a client (RFC 6749 §2.2). One that an operator or this server gave out is never an
/// https URL, because a client whose id is one is described by the document there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// A new id: 22 characters of base64url, the first of them a letter. An id that began with a
    /// hyphen would be taken for an option where it is typed.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = [0_u8; ID_BYTES];
        entropy.fill(&mut bytes)?;
        if let Some(first) = bytes.first_mut() {
            *first &= 0x7f; // the first character is then one of A-Z and a-f
        }
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads an id that is given out.
    pub fn parse(text: &str) -> Result<Self, ClientIdError> {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let is_text = (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        if !is_text || text.to_ascii_lowercase().starts_with("https://") {
            return Err(ClientIdError);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id of the client that this document describes.
    pub(crate) fn of_document(url: &DocumentUrl) -> Self {
        Self(url.as_str().to_owned())
    }

    /// Takes an id of either kind as the store has it.
    pub(crate) fn from_stored(text: &str) -> Result<Self, ClientIdError> {
        match DocumentUrl::parse(text) {
            Some(url) => Ok(Self::of_document(&url)),
            None => Self::parse(text),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How a client proves who it is, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// It cannot: a public client (`none`).
    None,
    /// A secret in the `Authorization` header (`client_secret_basic`).
    SecretBasic(SecretHash),
    /// A secret in the body (`client_secret_post`).
    SecretPost(SecretHash),
    /// A client certificate with this subject (`tls_client_auth`, RFC 8705 §2.1).
    Certificate(DistinguishedName),
}

impl Credential {
    /// The registered name of the method (RFC 7591 §2).
    pub const fn method(&self) -> TokenEndpointAuthMethod {
        match self {
            Self::None => TokenEndpointAuthMethod::None,
            Self::SecretBasic(_) => TokenEndpointAuthMethod::ClientSecretBasic,
            Self::SecretPost(_) => TokenEndpointAuthMethod::ClientSecretPost,
            Self::Certificate(_) => TokenEndpointAuthMethod::TlsClientAuth,
        }
    }

    /// The subject of the certificate, if that is what counts.
    pub const fn subject(&self) -> Option<&DistinguishedName> {
        match self {
            Self::Certificate(subject) => Some(subject),
            Self::None | Self::SecretBasic(_) | Self::SecretPost(_) => None,
        }
    }

    /// The hash of the secret, if there is one.
    pub const fn secret_hash(&self) -> Option<SecretHash> {
        match self {
            Self::None | Self::Certificate(_) => None,
            Self::SecretBasic(hash) | Self::SecretPost(hash) => Some(*hash),
        }
    }
}

/// How a client became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientOrigin {
    /// An operator made it, and vouches for it.
    Operator,
    /// The same, by writing it into the configuration: a person chose its secret.
    Configuration,
    /// It registered itself (RFC 7591).
    Registration,
    /// A document at its own URL describes it (Client ID Metadata Document).
    Document {
        /// The host of the URL, with the port unless it is the usual one.
        host: String,
        /// A digest of all that was read in the document, so that a change is noticed.
        digest: String,
    },
}

/// An OAuth client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`
    pub id: ClientId,
    /// Its name for people.
    pub name: String,
    /// How it proves who it is.
    pub credential: Credential,
    /// The grants it may use.
    pub grants: Vec<GrantType>,
    /// Where its users may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes it may ask for; `None` means all.
    pub scope: Option<Scope>,
    /// The resources about whose tokens it may ask.
    pub introspect: Vec<ResourceIndicator>,
    /// When it was made; the epoch for a client of the configuration.
    pub created_at: Timestamp,
    /// How it became known.
    pub origin: ClientOrigin,
}

impl Client {
    /// Whether it cannot prove who it is (OAuth 2.1 §2.1).
    pub const fn is_public(&self) -> bool {
        matches!(self.credential, Credential::None)
    }

    /// Whether nobody vouches for it, and all it says is its own word.
    pub const fn is_self_registered(&self) -> bool {
        !matches!(
            self.origin,
            ClientOrigin::Operator | ClientOrigin::Configuration
        )
    }

    /// Whether a person chose its secret, which may then be guessed; those that we make have 256 bits.
    pub const fn has_chosen_secret(&self) -> bool {
        matches!(self.origin, ClientOrigin::Configuration)
            && self.credential.secret_hash().is_some()
    }

    /// Whether it may use a grant.
    pub fn allows_grant(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }

    /// Whether it may ask for these scopes; what its own scopes imply counts as its own.
    pub fn allows_scope(&self, hierarchy: &ScopeHierarchy, requested: &Scope) -> bool {
        match &self.scope {
            None => true,
            Some(own) => hierarchy.satisfies(own, requested),
        }
    }

    /// A client as the configuration defines it. Its secret is kept as a hash, in memory only.
    pub fn from_config(config: &ClientConfig) -> Result<Self, ClientIdError> {
        let credential = match &config.authentication {
            Authentication::Public | Authentication::Secret(TokenEndpointAuthMethod::None, _) => {
                Credential::None
            }
            // A secret is never sent in the way of a certificate; nobody writes that pair.
            Authentication::Secret(
                TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::TlsClientAuth,
                secret,
            ) => Credential::SecretBasic(secret.hash()),
            Authentication::Secret(TokenEndpointAuthMethod::ClientSecretPost, secret) => {
                Credential::SecretPost(secret.hash())
            }
            Authentication::Certificate(subject) => Credential::Certificate(subject.clone()),
        };
        Ok(Self {
            id: ClientId::parse(&config.id)?,
            name: config.name.clone(),
            credential,
            grants: config.grants.clone(),
            redirect_uris: config.redirect_uris.clone(),
            scope: config.scope.clone(),
            introspect: config.introspect.clone(),
            created_at: Timestamp::from_seconds(0),
            origin: ClientOrigin::Configuration,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte is this one.
    #[derive(Debug)]
    struct Same(u8);

    impl Entropy for Same {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            buffer.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn an_id_that_is_made_begins_with_a_letter() {
        for byte in 0..=u8::MAX {
            let id = ClientId::generate(&Same(byte)).unwrap();
            assert!(id.as_str().starts_with(char::is_alphabetic), "{id}");
            assert_eq!(ClientId::parse(id.as_str()), Ok(id));
        }
    }

    #[test]
    fn a_client_id_is_never_a_url_of_a_document() {
        for right in ["a", "svc-1", "http://legacy", &"x".repeat(255)] {
            assert!(ClientId::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "a b",
            "a\"b",
            "ä",
            "https://h/c.json",
            "HTTPS://h",
            &"x".repeat(256),
        ] {
            assert_eq!(ClientId::parse(wrong), Err(ClientIdError), "{wrong}");
        }
    }
}
