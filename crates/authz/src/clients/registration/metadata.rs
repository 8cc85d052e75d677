//! What a client says about itself (RFC 7591 §2).

use portcullis_common::clock::Timestamp;
use portcullis_common::config::{GrantType, TokenEndpointAuthMethod};
use portcullis_common::scope::Scope;
use portcullis_common::secret::SecretHash;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::members::Members;
use super::redirect_uris::{RedirectUriRules, without_loopback_port};
use crate::clients::{Client, ClientId, ClientOrigin, Credential};

/// Most redirect URIs of one client.
const MAX_REDIRECT_URIS: usize = 32;

portcullis_common::secret! {
    /// The metadata by which public clients are told apart; no secret, and hashed like one.
    ComparedMetadata => MetadataDigest
}

/// Which rule a registration breaks, as a sentence for whoever sent it: printable ASCII without
/// quote and backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    /// A redirect URI is missing or cannot be one.
    #[error("{0}")]
    RedirectUri(&'static str),
    /// Something else does not fit.
    #[error("{0}")]
    Metadata(&'static str),
    /// It came with a statement of somebody else about it.
    #[error("software statements are not supported")]
    SoftwareStatement,
}

/// What a client says it is (OpenID Connect Registration §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApplicationType {
    /// A server that people reach with a browser.
    Web,
    /// A program on the user's machine.
    Native,
}

/// What decides about a registration beside its own text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegistrationRules<'a> {
    /// Schemes of `[authz] private_schemes`.
    pub(crate) private_schemes: &'a [String],
    /// Whether the client may act for itself: only if somebody invited it.
    pub(crate) allows_client_credentials: bool,
}

/// The metadata of a client, with every default filled in. Members we do not know are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClientMetadata {
    redirect_uris: Vec<String>,
    #[serde(with = "method_name")]
    token_endpoint_auth_method: TokenEndpointAuthMethod,
    #[serde(with = "grant_names")]
    grant_types: Vec<GrantType>,
    response_types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<ApplicationType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<String>,
    // Never fetched and never shown as a picture: whoever registers could make us, or the browser
    // of whoever consents, call any place.
    #[serde(skip_serializing_if = "Option::is_none")]
    logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contacts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<String>,
}

impl ClientMetadata {
    /// Reads what a client sent, and refuses what breaks a rule. Unknown members are passed over
    /// (RFC 7591 §2).
    pub(crate) fn parse(
        members: &Map<String, Value>,
        rules: RegistrationRules<'_>,
    ) -> Result<Self, MetadataError> {
        let members = Members(members);
        members.refuse_software_statement()?;
        let method = method(members)?;
        let grant_types = grant_types(members, method)?;
        check_grants(&grant_types, method, rules.allows_client_credentials)?;
        let application_type = application_type(members)?;
        let redirect_uri_rules = RedirectUriRules {
            private_schemes: rules.private_schemes,
            application_type,
            is_public: method == TokenEndpointAuthMethod::None,
        };
        Ok(Self {
            redirect_uris: redirect_uris(members, &grant_types, redirect_uri_rules)?,
            token_endpoint_auth_method: method,
            response_types: response_types(members, &grant_types)?,
            grant_types,
            application_type,
            client_name: members.name()?,
            client_uri: members.link("client_uri")?,
            logo_uri: members.link("logo_uri")?,
            tos_uri: members.link("tos_uri")?,
            policy_uri: members.link("policy_uri")?,
            scope: scope(members)?,
            contacts: members.contacts()?,
            jwks_uri: members.link("jwks_uri")?,
            jwks: members.jwks()?,
            software_id: members.word("software_id")?,
            software_version: members.word("software_version")?,
        })
    }

    /// Whether the client cannot prove who it is.
    pub(crate) fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == TokenEndpointAuthMethod::None
    }

    /// Whether it says how people shall call it.
    pub(crate) const fn has_name(&self) -> bool {
        self.client_name.is_some()
    }

    /// Whether it may act for itself.
    pub(crate) fn is_for_client_credentials(&self) -> bool {
        self.grant_types.contains(&GrantType::ClientCredentials)
    }

    /// By what a public client is recognised: everything, with the ports of loopback hosts left out.
    pub(crate) fn digest(&self) -> MetadataDigest {
        let mut compared = self.clone();
        for uri in &mut compared.redirect_uris {
            *uri = without_loopback_port(uri).into_owned();
        }
        ComparedMetadata::new(compared.to_text()).hash()
    }

    /// The members as they are sent and stored.
    pub(crate) fn to_members(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            // A struct of texts and lists is an object.
            Ok(_) | Err(_) => Map::new(),
        }
    }

    /// [`Self::to_members`] as text.
    pub(crate) fn to_text(&self) -> String {
        Value::Object(self.to_members()).to_string()
    }

    /// The client that registered this; `None` if method and secret contradict each other.
    pub(crate) fn into_client(
        self,
        id: ClientId,
        secret: Option<SecretHash>,
        created_at: Timestamp,
    ) -> Option<Client> {
        let credential = match (self.token_endpoint_auth_method, secret) {
            (TokenEndpointAuthMethod::None, None) => Credential::None,
            (TokenEndpointAuthMethod::ClientSecretBasic, Some(hash)) => {
                Credential::SecretBasic(hash)
            }
            (TokenEndpointAuthMethod::ClientSecretPost, Some(hash)) => Credential::SecretPost(hash),
            _ => return None,
        };
        // What a client registers does not bind it: clients register with the scope of the first
        // challenge and ask for more later, and a person decides each time. Nobody decides about a
        // client that acts for itself, so that one is bound.
        let scope = self
            .scope
            .as_deref()
            .filter(|_| self.is_for_client_credentials())
            .and_then(|text| text.parse().ok());
        Some(Client {
            name: self.client_name.unwrap_or_else(|| id.to_string()),
            id,
            credential,
            grants: self.grant_types,
            redirect_uris: self.redirect_uris,
            scope,
            introspect: Vec::new(),
            created_at,
            origin: ClientOrigin::Registration,
        })
    }
}

/// RFC 7591 §2: without a method it is `client_secret_basic`.
fn method(members: Members<'_>) -> Result<TokenEndpointAuthMethod, MetadataError> {
    match members.word("token_endpoint_auth_method")? {
        None => Ok(TokenEndpointAuthMethod::ClientSecretBasic),
        // Nobody vouches for the subject that a stranger names.
        Some(name) if name == TokenEndpointAuthMethod::TlsClientAuth.name() => {
            Err(MetadataError::Metadata(
                "tls_client_auth is for clients that the operator of this server defines",
            ))
        }
        Some(name) => TokenEndpointAuthMethod::parse(&name).ok_or(MetadataError::Metadata(
            "token_endpoint_auth_method is none, client_secret_basic or client_secret_post; \
             private_key_jwt is not supported",
        )),
    }
}

/// RFC 7591 §2: without a list it is the authorization code; a public client then gets refresh
/// tokens too, because clients in the field expect them without asking.
fn grant_types(
    members: Members<'_>,
    method: TokenEndpointAuthMethod,
) -> Result<Vec<GrantType>, MetadataError> {
    let Some(names) = members.list("grant_types")? else {
        let mut grants = vec![GrantType::AuthorizationCode];
        if method == TokenEndpointAuthMethod::None {
            grants.push(GrantType::RefreshToken);
        }
        return Ok(grants);
    };
    let mut grants = Vec::new();
    for name in names {
        match GrantType::parse(name) {
            Some(grant) if grants.contains(&grant) => {}
            Some(grant) => grants.push(grant),
            // RFC 7591 §2 lets the server register less than was asked for: clients name every
            // extension they know.
            None if name.starts_with("urn:") => {}
            None => {
                return Err(MetadataError::Metadata(
                    "grant_types are authorization_code, refresh_token and client_credentials; \
                     implicit and password are not supported",
                ));
            }
        }
    }
    Ok(grants)
}

fn check_grants(
    grants: &[GrantType],
    method: TokenEndpointAuthMethod,
    allows_client_credentials: bool,
) -> Result<(), MetadataError> {
    let has = |grant| grants.contains(&grant);
    let rule = if grants.is_empty() {
        "grant_types names no grant that this server has"
    } else if has(GrantType::RefreshToken) && !has(GrantType::AuthorizationCode) {
        "refresh_token needs authorization_code beside it"
    } else if has(GrantType::ClientCredentials) && method == TokenEndpointAuthMethod::None {
        // OAuth 2.1 §4.2: for confidential clients only.
        "client_credentials is not for public clients"
    } else if has(GrantType::ClientCredentials) && !allows_client_credentials {
        "client_credentials needs an initial access token"
    } else {
        return Ok(());
    };
    Err(MetadataError::Metadata(rule))
}

/// RFC 7591 §2.1: `code` goes with the authorization code, and with nothing else.
fn response_types(
    members: Members<'_>,
    grants: &[GrantType],
) -> Result<Vec<String>, MetadataError> {
    let has_code_grant = grants.contains(&GrantType::AuthorizationCode);
    let fitting = if has_code_grant {
        vec!["code"]
    } else {
        Vec::new()
    };
    if let Some(mut named) = members.list("response_types")? {
        named.dedup();
        if named != fitting {
            return Err(MetadataError::Metadata(
                "response_types is code where grant_types has authorization_code, and empty \
                 elsewhere",
            ));
        }
    }
    Ok(fitting.into_iter().map(str::to_owned).collect())
}

fn application_type(members: Members<'_>) -> Result<Option<ApplicationType>, MetadataError> {
    match members.word("application_type")?.as_deref() {
        None => Ok(None),
        Some("web") => Ok(Some(ApplicationType::Web)),
        Some("native") => Ok(Some(ApplicationType::Native)),
        Some(_) => Err(MetadataError::Metadata("application_type is web or native")),
    }
}

fn redirect_uris(
    members: Members<'_>,
    grants: &[GrantType],
    rules: RedirectUriRules<'_>,
) -> Result<Vec<String>, MetadataError> {
    const SHAPE: MetadataError =
        MetadataError::RedirectUri("redirect_uris is a list of 1 to 32 texts");
    let uris = members
        .list("redirect_uris")
        .map_err(|_| SHAPE)?
        .unwrap_or_default();
    let is_needed = grants.contains(&GrantType::AuthorizationCode);
    if uris.len() > MAX_REDIRECT_URIS || (is_needed && uris.is_empty()) {
        return Err(SHAPE);
    }
    for uri in &uris {
        rules.check(uri)?;
    }
    Ok(uris.into_iter().map(str::to_owned).collect())
}

/// Kept as it was sent; it has to be one (OAuth 2.1 §3.3).
fn scope(members: Members<'_>) -> Result<Option<String>, MetadataError> {
    let text = members.text(
        "scope",
        1000,
        "scope is a text of scopes with spaces between",
    )?;
    match text {
        Some(text) if text.parse::<Scope>().is_err() => Err(MetadataError::Metadata(
            "scope is a text of scopes with spaces between",
        )),
        text => Ok(text.map(str::to_owned)),
    }
}

/// A method by its registered name.
mod method_name {
    use portcullis_common::config::TokenEndpointAuthMethod;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the shape that serde calls"
    )]
    pub(super) fn serialize<S: Serializer>(
        method: &TokenEndpointAuthMethod,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(method.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TokenEndpointAuthMethod, D::Error> {
        let name = String::deserialize(deserializer)?;
        TokenEndpointAuthMethod::parse(&name).ok_or_else(|| D::Error::custom("unknown method"))
    }
}

/// Grants by their registered names.
mod grant_names {
    use portcullis_common::config::GrantType;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        grants: &[GrantType],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(grants.iter().map(|grant| grant.name()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<GrantType>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names
            .iter()
            .map(|name| GrantType::parse(name).ok_or_else(|| D::Error::custom("unknown grant")))
            .collect()
    }
}
