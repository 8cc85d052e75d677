//! The tables that may stand several times: scopes, resources, clients, issuers.

use std::collections::BTreeSet;

use toml::{Table, Value};
use url::Url;

use super::raw::Raw;
use super::sections::{
    Authentication, ClientConfig, GrantType, IssuerConfig, ResourceDeclaration,
    TokenEndpointAuthMethod,
};
use super::values::{self, Parsed};
use crate::issuer::{Issuer, is_loopback_host};
use crate::scope::{Scope, ScopeDeclaration, ScopeHierarchy, ScopeToken};
use crate::secret::ClientSecret;

/// The key of the subject that a client certificate must have.
const SUBJECT: &str = "tls_client_auth_subject_dn";

/// Reads one table; problems go to the whole list under the table's name.
struct Entry<'r, 'a> {
    raw: &'r mut Raw<'a>,
    table: Table,
    place: String,
}

impl Entry<'_, '_> {
    fn optional<T>(&mut self, key: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Option<T> {
        match parse(self.table.get(key)?) {
            Ok(parsed) => Some(parsed),
            Err(text) => {
                self.problem(key, text);
                None
            }
        }
    }

    fn required<T>(&mut self, key: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Option<T> {
        if !self.table.contains_key(key) {
            self.problem(key, "it is missing".to_owned());
        }
        self.optional(key, parse)
    }

    fn problem(&mut self, key: &str, text: String) {
        self.raw.problem(format!("{} {key}", self.place), text);
    }
}

/// Runs `read` over every table of one kind; what it cannot read is left out and was reported.
fn each<T>(
    raw: &mut Raw<'_>,
    section: &str,
    read: impl Fn(&mut Entry<'_, '_>) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    for (position, table) in raw.tables(section).into_iter().enumerate() {
        let place = format!("[[{section}]] number {}", position + 1);
        found.extend(read(&mut Entry { raw, table, place }));
    }
    found
}

/// `[[scopes]]`, or the three that stand for MCP's usual operations.
pub(super) fn scopes(raw: &mut Raw<'_>) -> ScopeHierarchy {
    let name =
        |value: &Value| ScopeToken::parse(&values::text(value)?).map_err(|error| error.to_string());
    let declared = each(raw, "scopes", |entry| {
        Some(ScopeDeclaration {
            name: entry.required("name", name)?,
            text: entry.required("text", values::text)?,
            implies: entry.optional("implies", values::scope).unwrap_or_default(),
        })
    });
    let declared = if declared.is_empty() {
        default_scopes()
    } else {
        declared
    };
    let hierarchy = ScopeHierarchy::new(declared);
    let names = hierarchy.names();
    if names.len() < hierarchy.declarations().len() {
        raw.problem(
            "[[scopes]] name",
            "a scope is declared twice; remove one of them",
        );
    }
    for entry in hierarchy.declarations() {
        let unknown = entry.implies.difference(&names);
        if !unknown.is_empty() {
            let text = format!("{unknown} is implied by {} but not declared", entry.name);
            raw.problem("[[scopes]] implies", text);
        }
    }
    hierarchy
}

fn default_scopes() -> Vec<ScopeDeclaration> {
    let declare = |name: &str, text: &str, implies: &str| {
        Some(ScopeDeclaration {
            name: ScopeToken::parse(name).ok()?,
            text: text.to_owned(),
            implies: implies.parse().ok()?,
        })
    };
    [
        declare("mcp:read", "Use tools that read, and see what is there", ""),
        declare(
            "mcp:write",
            "Use tools that calculate, write or change something",
            "mcp:read",
        ),
        declare("mcp:infer", "Use tools that run a model", ""),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `[[authz.resources]]`
pub(super) fn resources(raw: &mut Raw<'_>, declared: &Scope) -> Vec<ResourceDeclaration> {
    each(raw, "authz.resources", |entry| {
        let identifier = entry.required("identifier", values::resource)?;
        let scopes = entry.optional("scopes", values::scope);
        Some(ResourceDeclaration {
            name: entry
                .optional("name", values::text)
                .unwrap_or_else(|| identifier.to_string()),
            identifier,
            scopes: scopes.unwrap_or_else(|| declared.clone()),
        })
    })
}

/// `[[resource.issuers]]`
pub(super) fn issuers(raw: &mut Raw<'_>) -> Vec<IssuerConfig> {
    each(raw, "resource.issuers", |entry| {
        let issuer = entry.required("issuer", values::issuer)?;
        let mut config = default_issuer(issuer);
        config.internal_url = entry.optional("internal_url", values::internal_url);
        if let Some(algorithms) = entry.optional("algorithms", algorithms) {
            config.algorithms = algorithms;
        }
        if let Some(types) = entry.optional("token_types", values::list) {
            config.token_types = types.iter().map(|text| text.to_ascii_lowercase()).collect();
        }
        if let Some(path) = entry.optional("roles_claim", values::text) {
            config.roles_claim = path.split('.').map(str::to_owned).collect();
        }
        Some(config)
    })
}

/// What holds for an issuer about which nothing else is said.
pub(super) fn default_issuer(issuer: Issuer) -> IssuerConfig {
    IssuerConfig {
        issuer,
        internal_url: None,
        algorithms: ALGORITHMS.iter().map(ToString::to_string).collect(),
        token_types: vec!["at+jwt".to_owned()],
        roles_claim: vec!["roles".to_owned()],
    }
}

const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];

fn algorithms(value: &Value) -> Parsed<Vec<String>> {
    let list = values::list(value)?;
    match list
        .iter()
        .find(|name| !ALGORITHMS.contains(&name.as_str()))
    {
        Some(name) => Err(format!(
            "{name} is not accepted; use {}",
            ALGORITHMS.join(", ")
        )),
        None => Ok(list),
    }
}

/// `[[authz.clients]]`
pub(super) fn clients(raw: &mut Raw<'_>, private_schemes: &[String]) -> Vec<ClientConfig> {
    let clients = each(raw, "authz.clients", |entry| client(entry, private_schemes));
    let mut seen = BTreeSet::new();
    for client in clients
        .iter()
        .filter(|client| !seen.insert(client.id.clone()))
    {
        raw.problem(
            "[[authz.clients]] id",
            format!("{} stands twice", client.id),
        );
    }
    clients
}

fn client(entry: &mut Entry<'_, '_>, private_schemes: &[String]) -> Option<ClientConfig> {
    let id = entry.required("id", client_id)?;
    let redirect_uris = entry
        .optional("redirect_uris", values::list)
        .unwrap_or_default();
    for uri in &redirect_uris {
        if let Err(text) = check_redirect_uri(uri, private_schemes) {
            entry.problem("redirect_uris", format!("{uri}: {text}"));
        }
    }
    let authentication = authentication(entry)?;
    let grants = entry
        .optional("grants", grants)
        .unwrap_or_else(|| default_grants(&redirect_uris));
    let is_public = matches!(authentication, Authentication::Public);
    // OAuth 2.1 §4.2: client credentials are for confidential clients only.
    if is_public && grants.contains(&GrantType::ClientCredentials) {
        entry.problem(
            "grants",
            "a public client cannot use client_credentials".to_owned(),
        );
    }
    Some(ClientConfig {
        name: entry
            .optional("name", values::text)
            .unwrap_or_else(|| id.clone()),
        authentication,
        grants,
        redirect_uris,
        scope: entry.optional("scope", values::scope),
        introspect: entry
            .optional("introspect", values::resources)
            .unwrap_or_default(),
        id,
    })
}

/// The grants of a client about which nothing is said.
pub fn default_grants(redirect_uris: &[String]) -> Vec<GrantType> {
    if redirect_uris.is_empty() {
        vec![GrantType::ClientCredentials]
    } else {
        vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
    }
}

/// Client ids are printable ASCII (RFC 6749 appendix A.1); those that begin with `https://` are
/// kept for metadata documents.
fn client_id(value: &Value) -> Parsed<String> {
    let id = values::text(value)?;
    let is_printable = !id.is_empty() && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !is_printable || id.len() > 256 || id.starts_with("https://") {
        return Err("write printable ASCII without spaces that is not a URL".to_owned());
    }
    Ok(id)
}

fn authentication(entry: &mut Entry<'_, '_>) -> Option<Authentication> {
    let method = auth_method(entry);
    take_secret_file(entry);
    if method != TokenEndpointAuthMethod::TlsClientAuth && entry.table.contains_key(SUBJECT) {
        let text = "it is for auth_method = \"tls_client_auth\"; remove it, or set that";
        entry.problem(SUBJECT, text.to_owned());
    }
    let without_secret = match method {
        TokenEndpointAuthMethod::None => "a public client has no secret; remove it",
        TokenEndpointAuthMethod::TlsClientAuth => {
            "a client with a certificate has no secret; remove it"
        }
        TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost => {
            let secret = entry.required("secret", values::secret)?;
            return Some(Authentication::Secret(method, ClientSecret::new(secret)));
        }
    };
    if entry.table.contains_key("secret") {
        entry.problem("secret", without_secret.to_owned());
    }
    if method == TokenEndpointAuthMethod::None {
        return Some(Authentication::Public);
    }
    let subject = entry.required(SUBJECT, values::distinguished_name)?;
    Some(Authentication::Certificate(subject))
}

fn auth_method(entry: &mut Entry<'_, '_>) -> TokenEndpointAuthMethod {
    let method = |value: &Value| {
        let name = values::text(value)?;
        TokenEndpointAuthMethod::parse(&name).ok_or_else(|| {
            "write none, client_secret_basic, client_secret_post or tls_client_auth".to_owned()
        })
    };
    let is_public = entry
        .optional("public", values::boolean)
        .unwrap_or_default();
    let default = if is_public {
        TokenEndpointAuthMethod::None
    } else {
        TokenEndpointAuthMethod::ClientSecretBasic
    };
    entry.optional("auth_method", method).unwrap_or(default)
}

/// Puts what `secret_file` holds where `secret` would stand.
fn take_secret_file(entry: &mut Entry<'_, '_>) {
    let from_file = entry
        .optional("secret_file", values::text)
        .and_then(|path| match entry.raw.read_secret(&path) {
            Ok(text) => Some(Value::String(text)),
            Err(text) => {
                entry.problem("secret_file", text);
                None
            }
        });
    if let Some(secret) = from_file {
        if entry.table.contains_key("secret") {
            entry.problem(
                "secret",
                "secret_file is set too; remove one of them".to_owned(),
            );
        }
        entry.table.insert("secret".to_owned(), secret);
    }
}

fn grants(value: &Value) -> Parsed<Vec<GrantType>> {
    let grant = |name: String| {
        let known = "authorization_code, refresh_token, client_credentials";
        GrantType::parse(&name).ok_or_else(|| format!("{name} is not one of: {known}"))
    };
    values::list(value)?.into_iter().map(grant).collect()
}

/// Whether an operator may register this redirect URI (OAuth 2.1 §2.3.1, RFC 8252 §7): absolute,
/// no fragment, no user, https, or http on loopback, or a private-use scheme from the list.
pub fn check_redirect_uri(text: &str, private_schemes: &[String]) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| "write an absolute URL".to_owned())?;
    if url.fragment().is_some() || text.contains('#') {
        return Err("a redirect URI has no fragment".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('*') {
        return Err("a redirect URI has no user and no wildcard".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback_host(&url) => Ok(()),
        scheme if private_schemes.iter().any(|known| known == scheme) => Ok(()),
        _ => Err("use https, http on loopback, or a scheme of [authz] private_schemes".to_owned()),
    }
}
