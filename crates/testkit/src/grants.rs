//! Grants without the pages: people who approved, and the clients they approved.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use portcullis_common::clock::Clock as _;
use portcullis_common::config::{
    Authentication, ClientConfig, Config, GrantType, TokenEndpointAuthMethod,
};
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;
use portcullis_common::secret::{ClientSecret, SecretHash};

use crate::authz::{Answer, Authz, FORM, MCP, basic_header};
use crate::database::TestDatabase;
use crate::entropy::SeededEntropy;

/// A public client with code and refresh token.
pub const NATIVE: &str = "native";
/// Another one.
pub const OTHER_NATIVE: &str = "other-native";
/// A confidential client with code and refresh token.
pub const SITE: (&str, &str) = ("site", "site-secret");
/// Another one.
pub const OTHER_SITE: (&str, &str) = ("other-site", "other-site-secret");
/// A confidential client with code alone.
pub const ONCE: (&str, &str) = ("once", "once-secret");
/// A confidential client that the operator bound to `mcp:read`.
pub const READER: (&str, &str) = ("reader", "reader-secret");
/// A client of the resource [`MCP`] that may ask about its tokens.
pub const GATE: (&str, &str) = ("gate", "gate-secret");
/// Where answers of authorization requests go.
pub const CALLBACK: &str = "http://127.0.0.1:4711/cb";
/// The one account.
pub const ALICE: &str = "Zx81aliceaccount00000w";

/// Adds the clients of this file to a configuration.
pub fn with_clients(mut config: Config) -> Config {
    use GrantType::{AuthorizationCode, ClientCredentials, RefreshToken};
    let client = |(id, secret): (&str, &str), grants| ClientConfig {
        id: id.to_owned(),
        name: id.to_owned(),
        authentication: Authentication::Secret(
            TokenEndpointAuthMethod::ClientSecretBasic,
            ClientSecret::new(secret),
        ),
        grants,
        redirect_uris: vec![CALLBACK.to_owned()],
        scope: None,
        introspect: Vec::new(),
    };
    let both = || vec![AuthorizationCode, RefreshToken];
    let public = |id| ClientConfig {
        authentication: Authentication::Public,
        ..client((id, ""), both())
    };
    config.authz.clients.extend([
        public(NATIVE),
        public(OTHER_NATIVE),
        client(SITE, both()),
        client(OTHER_SITE, both()),
        client(ONCE, vec![AuthorizationCode]),
        ClientConfig {
            scope: Some("mcp:read".parse().unwrap()),
            ..client(READER, both())
        },
        ClientConfig {
            introspect: vec![ResourceIndicator::parse(MCP).unwrap()],
            ..client(GATE, vec![ClientCredentials])
        },
    ]);
    config
}

/// What a person approves.
#[derive(Clone, Copy, Debug)]
pub struct Approve<'a> {
    /// The client.
    pub client_id: &'a str,
    /// What was ticked.
    pub scope: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The nonce of the request.
    pub nonce: Option<&'a str>,
    /// False when offline access was unticked.
    pub allows_refresh: bool,
}

impl Default for Approve<'_> {
    fn default() -> Self {
        Self {
            client_id: NATIVE,
            scope: "mcp:read mcp:write openid profile email offline_access",
            resource: MCP,
            nonce: None,
            allows_refresh: true,
        }
    }
}

/// A code as its client got it.
#[derive(Clone, Debug)]
pub struct Code {
    /// The grant behind it.
    pub grant_id: String,
    /// The code.
    pub code: String,
    /// What the client kept to itself.
    pub verifier: String,
}

/// An authorization server with people who approve.
#[derive(Debug)]
pub struct People {
    /// The server.
    pub authz: Authz,
    database: TestDatabase,
    secrets: std::sync::Arc<SeededEntropy>,
}

impl People {
    /// Starts a server with one account.
    pub async fn start(database: TestDatabase) -> Self {
        let config = crate::authz::config(database.config());
        Self::start_with(database, config).await
    }

    /// Starts a server with another configuration and one account.
    pub async fn start_with(database: TestDatabase, config: Config) -> Self {
        let authz = Authz::start_with(with_clients(config)).await;
        database
            .execute(&format!(
                "INSERT INTO accounts (account_id, username, email, email_verified, role, state,
                     password_hash, created_at, password_changed_at)
                 VALUES ('{ALICE}', 'alice', 'alice@example.com', 1, 'admin', 'enabled', '-', 1, 1)
                 ON CONFLICT DO NOTHING"
            ))
            .await;
        Self {
            authz,
            database,
            secrets: SeededEntropy::new(99),
        }
    }

    /// Another server on the same database, with the same clock: a replica, or the server after a
    /// restart.
    pub async fn another(&self, seed: u64) -> Authz {
        let config = self.authz.state.config().clone();
        let clock = std::sync::Arc::clone(&self.authz.clock);
        Authz::start_seeded(config, clock, seed).await
    }

    /// The database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Moves the clock.
    pub fn pass(&self, seconds: u64) {
        self.authz.clock.advance(Duration::from_secs(seconds));
    }

    /// The account approves, as the consent page would have it; the client gets a code.
    pub async fn approve(&self, what: Approve<'_>) -> Code {
        use portcullis_common::entropy::random_text;
        let secret = || random_text::<32>(self.secrets.as_ref()).unwrap();
        let (grant_id, code, verifier) = (secret(), secret(), secret());
        let challenge = URL_SAFE_NO_PAD.encode(SecretHash::of(&verifier).as_bytes());
        let now = self.authz.clock.now().seconds();
        let authz = &self.authz.state.config().authz;
        let in_seconds = |ttl: Duration| now + i64::try_from(ttl.as_secs()).unwrap();
        let grant_end = in_seconds(authz.refresh_token_ttl);
        let code_end = in_seconds(authz.code_ttl);
        let Approve {
            client_id,
            scope,
            resource,
            nonce,
            allows_refresh,
        } = what;
        // As the server writes it: sorted.
        let scope: Scope = scope.parse().unwrap();
        let nonce = nonce.map_or("NULL".to_owned(), |nonce| format!("'{nonce}'"));
        let grant = format!(
            "INSERT INTO grants (grant_id, account_id, client_id, resource, scope, auth_time,
                 created_at, expires_at, era)
             VALUES ('{grant_id}', '{ALICE}', '{client_id}', '{resource}', '{scope}', {}, {now},
                 {grant_end}, (SELECT COALESCE(MAX(era), 0) FROM restores))",
            now - 60
        );
        self.database.execute(&grant).await;
        let hash = SecretHash::of(&code).to_hex();
        let insert = format!(
            "INSERT INTO authorization_codes (code_hash, grant_id, client_id, redirect_uri,
                 code_challenge, nonce, allows_refresh, created_at, expires_at, wrong_verifiers,
                 forgotten_at)
             VALUES ('{hash}', '{grant_id}', '{client_id}', '{CALLBACK}', '{challenge}', {nonce},
                 {}, {now}, {code_end}, 0, {})",
            i32::from(allows_refresh),
            now + 600
        );
        self.database.execute(&insert).await;
        Code {
            grant_id,
            code,
            verifier,
        }
    }

    /// Redeems a code as [`NATIVE`] does.
    pub async fn redeem(&self, code: &Code) -> Answer {
        let body = format!("client_id={NATIVE}&{}", code.body());
        self.authz.token(None, &body).await
    }

    /// Approves and redeems.
    pub async fn log_in(&self, what: Approve<'_>) -> Tokens {
        let code = self.approve(what).await;
        let body = format!("client_id={}&{}", what.client_id, code.body());
        let answer = self.authz.token(None, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Tokens::read(&answer)
    }

    /// Refreshes as [`NATIVE`] does, with more parameters.
    pub async fn refresh_with(&self, refresh_token: &str, more: &str) -> Answer {
        let body = refresh_body(refresh_token) + more;
        self.authz.token(None, &body).await
    }

    /// Refreshes as [`NATIVE`] does.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.refresh_with(refresh_token, "").await
    }

    /// Posts a form to an endpoint.
    pub async fn post(&self, path: &str, basic: Option<(&str, &str)>, body: &str) -> Answer {
        let mut request = Request::post(path).header(CONTENT_TYPE, FORM);
        if let Some((id, secret)) = basic {
            request = request.header(AUTHORIZATION, basic_header(id, secret));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.authz.send(request).await
    }

    /// What introspection tells [`GATE`] about a token.
    pub async fn introspect(&self, token: &str) -> serde_json::Value {
        let body = format!("token={token}");
        let answer = self.post("/introspect", Some(GATE), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Whether introspection calls a token active.
    pub async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await["active"] == true
    }

    /// Asks for user info with a token.
    pub async fn userinfo(&self, token: &str) -> Answer {
        let request = Request::get("/userinfo").header(AUTHORIZATION, format!("Bearer {token}"));
        self.authz.send(request.body(Body::empty()).unwrap()).await
    }
}

impl Code {
    /// The body of a token request with everything right, without the client.
    pub fn body(&self) -> String {
        format!(
            "grant_type=authorization_code&code={}&code_verifier={}",
            self.code, self.verifier
        )
    }
}

/// The body of a refresh as [`NATIVE`] sends it.
pub fn refresh_body(refresh_token: &str) -> String {
    format!("grant_type=refresh_token&client_id={NATIVE}&refresh_token={refresh_token}")
}

/// How many rounds a race takes: what the environment says, else what fits into a normal run.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever wants a longer race says so in the environment"
)]
pub fn race_rounds(default: u32) -> u32 {
    match std::env::var("PORTCULLIS_TEST_RACE_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("the number of rounds is a number"),
        Err(_) => default,
    }
}

/// What a token request was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// `access_token`
    pub access: String,
    /// `refresh_token`; empty if there is none.
    pub refresh: String,
    /// `scope`
    pub scope: String,
    /// `id_token`; empty if there is none.
    pub id: String,
    /// `expires_in`
    pub expires_in: i64,
}

impl Tokens {
    /// Reads an answer, which must be a success.
    pub fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            scope: text("scope"),
            id: text("id_token"),
            expires_in: body["expires_in"].as_i64().unwrap(),
        }
    }
}
