//! What an operator does with clients, beside a running server or without one.

use portcullis_common::clock::Clock;
use portcullis_common::config::{AuthzConfig, Config, GrantType, TokenEndpointAuthMethod};
use portcullis_common::distinguished_name::DistinguishedName;
use portcullis_common::entropy::{Entropy, EntropyError};
use portcullis_common::issuer::is_https_or_loopback;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;
use portcullis_common::secret::ClientSecret;
use url::Url;

use super::{Client, ClientId, ClientIdError, ClientOrigin, Credential};
use crate::store::{InsertClient, RemoveClient, Store, StoreError};

/// What an operator says about a new client.
#[derive(Clone, Debug, Default)]
pub struct NewClient {
    /// Its name for people.
    pub name: String,
    /// Its id; `None` lets one be made.
    pub id: Option<String>,
    /// Whether it is a public client, which has no secret.
    pub is_public: bool,
    /// How it authenticates; `None` means `client_secret_basic`, `none` for a public client, or
    /// `tls_client_auth` for one with a subject.
    pub auth_method: Option<TokenEndpointAuthMethod>,
    /// The subject of its certificate, for `tls_client_auth` and for no other method.
    pub certificate_subject: Option<DistinguishedName>,
    /// The grants it may use; empty means authorization code and refresh token if there is a
    /// redirect URI, else client credentials.
    pub grants: Vec<GrantType>,
    /// Where its users may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The scopes it may ask for; `None` means all.
    pub scope: Option<Scope>,
    /// The resources about whose tokens it may ask.
    pub introspect: Vec<ResourceIndicator>,
}

/// A client that was just made.
#[derive(Clone, Debug)]
pub struct AddedClient {
    /// The client as it is stored.
    pub client: Client,
    /// Its secret, which is shown this once; a public client has none.
    pub secret: Option<ClientSecret>,
}

/// Why a client was not made or not removed.
#[derive(Debug, thiserror::Error)]
pub enum ClientAdminError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The random source failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The id cannot be one.
    #[error(transparent)]
    Id(#[from] ClientIdError),
    /// The name is empty, too long, or has control characters.
    #[error("the name of a client has 1 to 200 characters and no control characters")]
    Name,
    /// Another client has the id.
    #[error("there is a client {0} already")]
    IdTaken(ClientId),
    /// No client has the id.
    #[error("there is no client {0}")]
    Unknown(String),
    /// The configuration defines this client, so only the configuration can change it.
    #[error("the client {0} is defined in the configuration; change it there")]
    Configured(String),
    /// A certificate of nobody.
    #[error("tls_client_auth needs the subject of the client's certificate")]
    NoSubject,
    /// A subject that nobody would look at.
    #[error("the subject of a certificate is for tls_client_auth, not for {0}")]
    SubjectWithout(&'static str),
    /// A public client with a method that needs a secret.
    #[error("a public client cannot authenticate with {0}")]
    PublicWithSecret(&'static str),
    /// Client credentials for a public client (OAuth 2.1 §4.2).
    #[error("client_credentials is for clients that can authenticate, not for public ones")]
    PublicWithClientCredentials,
    /// A grant that sends people back, and nowhere to send them.
    #[error("authorization_code needs a redirect URI")]
    NoRedirectUri,
    /// Refresh tokens without the grant that yields them.
    #[error("refresh_token needs authorization_code beside it")]
    RefreshAlone,
    /// A redirect URI nobody may be sent to.
    #[error(
        "the redirect URI {0} is not allowed: https, http on a loopback host, or a scheme of \
         [authz] private_schemes, without a fragment"
    )]
    RedirectUri(String),
    /// A scope that is not declared.
    #[error("the scope {0} is not declared in [[scopes]]")]
    Scope(String),
    /// A resource this server knows nothing of.
    #[error("the resource {0} is not one that tokens can be asked for")]
    Resource(ResourceIndicator),
}

/// Makes a client. Running servers know it at once.
pub async fn add(
    store: &Store,
    config: &Config,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    new: NewClient,
) -> Result<AddedClient, ClientAdminError> {
    let id = match &new.id {
        Some(id) => ClientId::parse(id)?,
        None => ClientId::generate(entropy)?,
    };
    if is_configured(&config.authz, id.as_str()) {
        return Err(ClientAdminError::IdTaken(id));
    }
    check_name(&new.name)?;
    let grants = grants_of(&new);
    check_grants(&new, &grants)?;
    for uri in &new.redirect_uris {
        check_redirect_uri(uri, &config.authz.private_schemes)?;
    }
    check_scope_and_resources(&new, config)?;
    let (credential, secret) = make_credential(&new, entropy)?;
    let client = Client {
        id,
        name: new.name,
        credential,
        grants,
        redirect_uris: new.redirect_uris,
        scope: new.scope,
        introspect: new.introspect,
        created_at: clock.now(),
        origin: ClientOrigin::Operator,
    };
    match store.insert_client(&client).await? {
        InsertClient::Created => Ok(AddedClient { client, secret }),
        InsertClient::IdTaken => Err(ClientAdminError::IdTaken(client.id)),
    }
}

/// Lists all clients: those of the configuration, those that operators made, those that registered
/// themselves; the oldest first.
pub async fn list(store: &Store, config: &AuthzConfig) -> Result<Vec<Client>, ClientAdminError> {
    let mut clients = config
        .clients
        .iter()
        .map(Client::from_config)
        .collect::<Result<Vec<_>, _>>()?;
    let stored = store.load_clients().await?;
    clients.extend(
        stored
            .into_iter()
            .filter(|client| !is_configured(config, client.id.as_str())),
    );
    clients.extend(store.load_registered_clients().await?);
    Ok(clients)
}

/// Finds one client.
pub async fn show(
    store: &Store,
    config: &AuthzConfig,
    id: &str,
) -> Result<Client, ClientAdminError> {
    let clients = list(store, config).await?;
    clients
        .into_iter()
        .find(|client| client.id.as_str() == id)
        .ok_or_else(|| ClientAdminError::Unknown(id.to_owned()))
}

/// Removes a client, and ends what people allowed it. Running servers refuse it within a second;
/// access tokens it has live on at resource servers until they expire.
pub async fn remove(
    store: &Store,
    config: &AuthzConfig,
    clock: &dyn Clock,
    id: &str,
) -> Result<(), ClientAdminError> {
    if is_configured(config, id) {
        return Err(ClientAdminError::Configured(id.to_owned()));
    }
    let unknown = || ClientAdminError::Unknown(id.to_owned());
    let parsed = ClientId::parse(id).map_err(|_| unknown())?;
    if store.remove_client(&parsed, clock.now()).await? == RemoveClient::Removed {
        return Ok(());
    }
    match store
        .remove_registration(&parsed, None, clock.now())
        .await?
    {
        RemoveClient::Removed => Ok(()),
        RemoveClient::Unknown => Err(unknown()),
    }
}

fn is_configured(config: &AuthzConfig, id: &str) -> bool {
    config.clients.iter().any(|client| client.id == id)
}

fn check_name(name: &str) -> Result<(), ClientAdminError> {
    let is_right = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    is_right.then_some(()).ok_or(ClientAdminError::Name)
}

fn grants_of(new: &NewClient) -> Vec<GrantType> {
    if !new.grants.is_empty() {
        let mut grants = new.grants.clone();
        let mut seen = Vec::new();
        grants.retain(|grant| {
            let is_first = !seen.contains(grant);
            seen.push(*grant);
            is_first
        });
        return grants;
    }
    if new.redirect_uris.is_empty() {
        vec![GrantType::ClientCredentials]
    } else {
        vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
    }
}

fn check_grants(new: &NewClient, grants: &[GrantType]) -> Result<(), ClientAdminError> {
    let has = |grant| grants.contains(&grant);
    let method = method_of(new);
    if new.is_public && method != TokenEndpointAuthMethod::None {
        return Err(ClientAdminError::PublicWithSecret(method.name()));
    }
    let has_subject = new.certificate_subject.is_some();
    match method {
        TokenEndpointAuthMethod::TlsClientAuth if !has_subject => {
            return Err(ClientAdminError::NoSubject);
        }
        TokenEndpointAuthMethod::TlsClientAuth => {}
        _ if has_subject => return Err(ClientAdminError::SubjectWithout(method.name())),
        _ => {}
    }
    if method == TokenEndpointAuthMethod::None && has(GrantType::ClientCredentials) {
        return Err(ClientAdminError::PublicWithClientCredentials);
    }
    if has(GrantType::AuthorizationCode) && new.redirect_uris.is_empty() {
        return Err(ClientAdminError::NoRedirectUri);
    }
    if has(GrantType::RefreshToken) && !has(GrantType::AuthorizationCode) {
        return Err(ClientAdminError::RefreshAlone);
    }
    Ok(())
}

fn method_of(new: &NewClient) -> TokenEndpointAuthMethod {
    new.auth_method.unwrap_or(if new.is_public {
        TokenEndpointAuthMethod::None
    } else if new.certificate_subject.is_some() {
        TokenEndpointAuthMethod::TlsClientAuth
    } else {
        TokenEndpointAuthMethod::ClientSecretBasic
    })
}

/// OAuth 2.1 §2.3.1 and §8.4: absolute, without a fragment, and nothing that runs script.
fn check_redirect_uri(uri: &str, private_schemes: &[String]) -> Result<(), ClientAdminError> {
    let is_allowed = Url::parse(uri).is_ok_and(|url| {
        let is_web = url.has_host() && is_https_or_loopback(&url);
        let is_private = private_schemes.iter().any(|scheme| scheme == url.scheme());
        url.fragment().is_none() && (is_web || is_private)
    });
    let is_plain = uri.bytes().all(|byte| byte.is_ascii_graphic());
    if is_allowed && is_plain {
        Ok(())
    } else {
        Err(ClientAdminError::RedirectUri(uri.to_owned()))
    }
}

fn check_scope_and_resources(new: &NewClient, config: &Config) -> Result<(), ClientAdminError> {
    let unknown = new
        .scope
        .as_ref()
        .map(|scope| scope.difference(&config.scopes.names()))
        .filter(|unknown| !unknown.is_empty());
    if let Some(unknown) = unknown {
        return Err(ClientAdminError::Scope(unknown.to_string()));
    }
    let is_known = |wanted: &&ResourceIndicator| {
        let resources = &config.authz.resources;
        resources
            .iter()
            .any(|resource| resource.identifier == **wanted)
    };
    match new.introspect.iter().find(|wanted| !is_known(wanted)) {
        Some(unknown) => Err(ClientAdminError::Resource(unknown.clone())),
        None => Ok(()),
    }
}

fn make_credential(
    new: &NewClient,
    entropy: &dyn Entropy,
) -> Result<(Credential, Option<ClientSecret>), ClientAdminError> {
    let with_hash = match method_of(new) {
        TokenEndpointAuthMethod::None => return Ok((Credential::None, None)),
        TokenEndpointAuthMethod::ClientSecretBasic => Credential::SecretBasic,
        TokenEndpointAuthMethod::ClientSecretPost => Credential::SecretPost,
        TokenEndpointAuthMethod::TlsClientAuth => {
            let subject = new.certificate_subject.clone();
            let subject = subject.ok_or(ClientAdminError::NoSubject)?;
            return Ok((Credential::Certificate(subject), None));
        }
    };
    let secret = ClientSecret::generate(entropy)?;
    Ok((with_hash(secret.hash()), Some(secret)))
}
