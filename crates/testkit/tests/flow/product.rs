//! The product as `portcullis serve` runs it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, Scope, TokenResponse as _, TokenUrl};
use portcullis::{Ambient, App};
use portcullis_authz::state::AppState;
use portcullis_common::config::{Config, Role, Sources, load};
use portcullis_common::fetch::HttpFetcher;
use portcullis_testkit::website::TestAuthority;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A client that authenticates with a form, and its secret.
pub(crate) const AGENT: (&str, &str) = ("agent", "Nn3vTz0qkM8sYb5wJx1cRh7dLf9aGu2e");
const TIMEOUT: Duration = Duration::from_secs(10);

/// A folder and a port, which outlive the process that uses them.
pub(crate) struct Place {
    folder: TempDir,
    port: u16,
    algorithm: &'static str,
    access_token_ttl: &'static str,
    authority: Option<PathBuf>,
}

/// A running product.
pub(crate) struct Product {
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<Config>,
    pub(crate) authz: AppState,
    stop: CancellationToken,
    running: JoinHandle<()>,
    fetcher: HttpFetcher,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::signing_with("ES256")
    }

    /// With access tokens that live this long.
    pub(crate) fn with_tokens_of(access_token_ttl: &'static str) -> Self {
        Self {
            access_token_ttl,
            ..Self::new()
        }
    }

    /// Where nobody registers, and documents are fetched from sites that this authority vouches for.
    pub(crate) fn fetching_documents(mut self, authority: &TestAuthority) -> Self {
        let file = self.folder.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        self.authority = Some(file);
        self
    }

    pub(crate) fn signing_with(algorithm: &'static str) -> Self {
        // The public URL must be known before the server binds its port.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            folder: TempDir::new().unwrap(),
            port: free.local_addr().unwrap().port(),
            algorithm,
            access_token_ttl: "10m",
            authority: None,
        }
    }

    fn config(&self) -> Config {
        let Self {
            folder,
            port,
            algorithm,
            access_token_ttl,
            authority,
        } = self;
        let database = folder.path().join("portcullis.db");
        let (id, secret) = AGENT;
        let (registration, ca_file) = match authority {
            Some(file) => ("off", format!("ca_file = \"{}\"", file.display())),
            None => ("open", String::new()),
        };
        let text = format!(
            "[server]\n\
             public_url = \"http://127.0.0.1:{port}\"\n\
             listen = \"127.0.0.1:{port}\"\n\
             [store]\n\
             url = \"sqlite://{}\"\n\
             [authz]\n\
             signing_alg = \"{algorithm}\"\n\
             access_token_ttl = \"{access_token_ttl}\"\n\
             registration = \"{registration}\"\n\
             [outbound]\n\
             {ca_file}\n\
             [[authz.clients]]\n\
             id = \"{id}\"\n\
             secret = \"{secret}\"\n\
             auth_method = \"client_secret_post\"\n",
            database.display()
        );
        let sources = Sources {
            file: Some((Path::new("test.toml"), &text)),
            environment: &BTreeMap::new(),
            read_secret: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        load(Role::Both, sources).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// Starts the product here.
    pub(crate) async fn start(&self) -> Product {
        let config = self.config();
        let ambient = Ambient::system(Role::Both, &config).unwrap();
        let app = App::open(Role::Both, config.clone(), ambient)
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let (address, authz) = (app.address(), app.authz().unwrap().clone());
        let stopped = stop.clone().cancelled_owned();
        Product {
            address,
            authz,
            stop,
            running: tokio::spawn(app.run(stopped)),
            fetcher: HttpFetcher::new(None).unwrap(),
            config: Arc::new(config),
        }
    }
}

impl Product {
    /// The URL of the MCP endpoint.
    pub(crate) fn mcp(&self) -> String {
        self.config.resource.identifier.to_string()
    }

    /// Gets a token as the `oauth2` crate does it.
    pub(crate) async fn token(&self, scope: &str) -> String {
        let endpoint = self.config.authz.issuer.endpoint("/token");
        let client = BasicClient::new(ClientId::new(AGENT.0.to_owned()))
            .set_client_secret(ClientSecret::new(AGENT.1.to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(TokenUrl::new(endpoint).unwrap());
        let send = async |request: oauth2::HttpRequest| {
            self.fetcher.send(request, TIMEOUT, 64 * 1024).await
        };
        let answer = client
            .exchange_client_credentials()
            .add_extra_param("resource", self.mcp())
            .add_scopes(scope.split(' ').map(|scope| Scope::new(scope.to_owned())))
            .request_async(&|request| send(request))
            .await
            .unwrap();
        answer.access_token().secret().clone()
    }

    /// Gets a document.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let url = format!("http://{}{path}", self.address);
        let request = Request::get(url).body(Vec::new()).unwrap();
        let answer = self
            .fetcher
            .send(request, TIMEOUT, 64 * 1024)
            .await
            .unwrap();
        serde_json::from_slice(answer.body()).unwrap()
    }

    /// Calls `echo` with this token over one plain request; answers the status.
    pub(crate) async fn echo(&self, token: &str) -> u16 {
        let body = echo_body();
        let request = Request::post(self.mcp())
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "echo")
            .body(body.into_bytes())
            .unwrap();
        let answer = self
            .fetcher
            .send(request, TIMEOUT, 64 * 1024)
            .await
            .unwrap();
        answer.status().as_u16()
    }

    /// Stops as a signal does, and comes back when everything has ended.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    /// Asks for the stop and goes on.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }
}

/// The call of `echo` in revision 2026-07-28.
pub(crate) fn echo_body() -> String {
    let params = json!({
        "name": "echo",
        "arguments": { "message": "hi" },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}
