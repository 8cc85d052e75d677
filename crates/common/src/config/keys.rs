//! Every key, once: the reader, the environment, the documentation and `config show` follow it.

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The section, such as `resource.jwks`.
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// The default, as it would be written; in brackets where it is derived.
    pub default: &'static str,
    /// What it means, in a sentence.
    pub text: &'static str,
    /// Whether its value must never be shown; such a key has a `…_FILE` twin in the environment.
    pub secret: bool,
}

impl Key {
    /// The variable that overrides it, such as `PORTCULLIS_RESOURCE_JWKS_TTL`.
    pub fn variable(&self) -> String {
        let section = self.section.replace('.', "_");
        format!("PORTCULLIS_{section}_{}", self.name).to_ascii_uppercase()
    }
}

const fn key(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    text: &'static str,
) -> Key {
    Key {
        section,
        name,
        default,
        text,
        secret: false,
    }
}

const fn secret(
    section: &'static str,
    name: &'static str,
    default: &'static str,
    text: &'static str,
) -> Key {
    Key {
        section,
        name,
        default,
        text,
        secret: true,
    }
}

/// The keys of the sections that stand once, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key(
        "server",
        "public_url",
        "(http://localhost and the port)",
        "Where people and clients reach this server.",
    ),
    key(
        "server",
        "listen",
        "127.0.0.1:8080",
        "The address to bind; `authz` alone takes port 9000, `resource` alone port 9100.",
    ),
    key(
        "server",
        "trusted_proxies",
        "",
        "Addresses or networks whose forwarded headers count.",
    ),
    key(
        "server",
        "client_certificate_headers",
        "",
        "Two headers in which `trusted_proxies` say whose certificate came: one with `SUCCESS`, one with the subject.",
    ),
    key(
        "server",
        "tls_cert",
        "",
        "PEM file with the certificate and the intermediate ones after it; makes the listener speak HTTPS.",
    ),
    key(
        "server",
        "tls_key",
        "",
        "PEM file with the private key of that certificate.",
    ),
    key(
        "server",
        "tls_client_ca",
        "",
        "PEM file with the authorities of client certificates; a client may then show one of theirs.",
    ),
    key(
        "server",
        "shutdown_grace",
        "30s",
        "How long a stop waits for requests under way.",
    ),
    key(
        "server",
        "header_timeout",
        "10s",
        "How long a peer may take to send a request head.",
    ),
    key(
        "server",
        "body_timeout",
        "30s",
        "How long a peer may take to send a request body.",
    ),
    secret(
        "store",
        "url",
        "sqlite://portcullis-data/portcullis.db",
        "The database: `sqlite://relative.db`, `sqlite:///absolute.db` or `postgres://…`.",
    ),
    key(
        "store",
        "migrate",
        "auto",
        "`auto` brings the schema up to date at start, under a lock; `off` refuses to start on an old schema.",
    ),
    secret(
        "redis",
        "url",
        "",
        "Redis for what replicas share: `redis://…`, or `rediss://…` for TLS.",
    ),
    key(
        "redis",
        "when_away",
        "local",
        "While Redis is away: `local` limits in each process alone, `refuse` answers 503.",
    ),
    key(
        "authz",
        "issuer",
        "(public_url)",
        "The issuer identifier; it may have a path.",
    ),
    key(
        "authz",
        "default_resource",
        "(the first resource)",
        "The audience of a token asked for without `resource`.",
    ),
    key(
        "authz",
        "default_scopes",
        "mcp:read",
        "The scope of a request without `scope`.",
    ),
    key(
        "authz",
        "access_token_ttl",
        "10m",
        "Life of an access token, at most 1h.",
    ),
    key(
        "authz",
        "code_ttl",
        "60s",
        "Life of an authorization code, at most 10m.",
    ),
    key(
        "authz",
        "refresh_token_idle_ttl",
        "30d",
        "A refresh token ends when unused for this long.",
    ),
    key(
        "authz",
        "refresh_token_ttl",
        "180d",
        "A family of refresh tokens ends this long after the login.",
    ),
    key(
        "authz",
        "refresh_grace",
        "30s",
        "How long after a rotation the predecessor still gives the same successor.",
    ),
    key(
        "authz",
        "session_ttl",
        "12h",
        "Absolute life of a browser session.",
    ),
    key(
        "authz",
        "session_idle_ttl",
        "1h",
        "A browser session ends when unused for this long.",
    ),
    key(
        "authz",
        "signing_alg",
        "ES256",
        "The algorithm of new signatures: `ES256`, `EdDSA` or `RS256`.",
    ),
    key(
        "authz",
        "key_rotation",
        "90d",
        "Age at which the signing key is replaced.",
    ),
    secret(
        "authz",
        "key_encryption_key",
        "",
        "32 bytes in base64 that encrypt the private keys in the store.",
    ),
    key(
        "authz",
        "registration",
        "open",
        "Who may register clients: `open`, `token` or `off`.",
    ),
    key(
        "authz",
        "registration_per_minute",
        "20",
        "Registrations per minute and source.",
    ),
    key(
        "authz",
        "unused_client_ttl",
        "24h",
        "A registered client that was never used ends after this long.",
    ),
    key(
        "authz",
        "cimd",
        "on",
        "Whether Client ID Metadata Documents are accepted: `on` or `off`.",
    ),
    key(
        "authz",
        "cimd_hosts",
        "",
        "Hosts whose documents are accepted, as `host` or `host:port`; empty means any.",
    ),
    key(
        "authz",
        "cimd_cache_min",
        "30s",
        "Shortest time a document is remembered.",
    ),
    key(
        "authz",
        "cimd_cache_max",
        "24h",
        "Longest time a document is remembered.",
    ),
    key(
        "authz",
        "login_attempts",
        "5",
        "Wrong passwords per window, account and source; wrong secrets per client of the configuration and source.",
    ),
    key(
        "authz",
        "login_window",
        "5m",
        "The window of `login_attempts`.",
    ),
    key(
        "authz",
        "private_schemes",
        "cursor, vscode, vscode-insiders",
        "Private-use schemes that native clients may redirect to.",
    ),
    key(
        "resource",
        "identifier",
        "({public_url}/mcp)",
        "The URL of the MCP endpoint, which tokens must name in `aud`.",
    ),
    key(
        "resource",
        "authorization_servers",
        "(the issuer)",
        "The issuers whose tokens count.",
    ),
    key(
        "resource",
        "scopes",
        "(all declared scopes)",
        "The scopes of the resource metadata.",
    ),
    key(
        "resource",
        "challenge_scopes",
        "mcp:read, mcp:write",
        "The scopes named in the first challenge.",
    ),
    key(
        "resource",
        "allowed_origins",
        "",
        "Web origins that may call, exactly as browsers send them.",
    ),
    key(
        "resource",
        "allowed_hosts",
        "(public_url and, on loopback, its other names)",
        "Hosts under which this server answers, as `host` or `host:port`.",
    ),
    key(
        "resource",
        "leeway",
        "30s",
        "How far clocks may differ, at most 60s.",
    ),
    key(
        "resource",
        "max_body",
        "1048576",
        "Largest request body, in bytes.",
    ),
    key(
        "resource.jwks",
        "ttl",
        "1h",
        "Age at which an issuer's key set is fetched again.",
    ),
    key(
        "resource.jwks",
        "cooldown",
        "10s",
        "Shortest time between two fetches of one key set.",
    ),
    key(
        "resource.jwks",
        "stale_for",
        "24h",
        "How long a key set outlives its age while the issuer is down.",
    ),
    key(
        "resource.jwks",
        "timeout",
        "3s",
        "Longest time of one fetch.",
    ),
    key(
        "outbound",
        "ca_file",
        "",
        "PEM file with authorities to trust beside the system's.",
    ),
    key(
        "outbound",
        "dns_server",
        "",
        "The DNS server, as `IP:PORT`, that every guarded fetch asks.",
    ),
    key(
        "outbound",
        "allow",
        "",
        "Networks that guarded fetches may reach though they are not public.",
    ),
    key(
        "log",
        "format",
        "(text on a terminal, else json)",
        "The form of the log: `text` or `json`.",
    ),
    key(
        "log",
        "level",
        "info",
        "The log filter, such as `info` or `info,portcullis_authz=debug`.",
    ),
    key(
        "log",
        "file",
        "",
        "The log file; without it the log goes to standard error.",
    ),
    key(
        "metrics",
        "listen",
        "(off)",
        "The address of the metrics listener.",
    ),
    key(
        "otlp",
        "endpoint",
        "",
        "The collector that spans are sent to, over OTLP/HTTP.",
    ),
    secret(
        "otlp",
        "headers",
        "",
        "Headers for the collector, as `name=value`.",
    ),
    key(
        "otlp",
        "sample_ratio",
        "1.0",
        "Which part of the traces that begin here is sent.",
    ),
    key(
        "audit",
        "file",
        "(off)",
        "Where the audit trail is appended: a file, or `stdout`.",
    ),
];

/// The keys of the tables that may stand several times; they stand in the file only.
pub const TABLE_KEYS: &[(&str, &[&str])] = &[
    ("scopes", &["name", "text", "implies"]),
    ("authz.resources", &["identifier", "name", "scopes"]),
    (
        "authz.clients",
        &[
            "id",
            "name",
            "public",
            "auth_method",
            "secret",
            "secret_file",
            "tls_client_auth_subject_dn",
            "grants",
            "redirect_uris",
            "scope",
            "introspect",
        ],
    ),
    (
        "resource.issuers",
        &[
            "issuer",
            "internal_url",
            "algorithms",
            "token_types",
            "roles_claim",
        ],
    ),
];

/// The sections whose variables are ours: an unknown key there is an error.
pub(super) const SECTIONS: &[&str] = &[
    "server", "store", "redis", "authz", "resource", "outbound", "limits", "log", "metrics",
    "otlp", "audit",
];

/// The key of this name.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}
