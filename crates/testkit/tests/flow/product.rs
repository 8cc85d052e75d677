//! The product as `portcullis serve` runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, Scope, TokenResponse as _, TokenUrl};
use portcullis::{Ambient, App, StartError, Tls};
use portcullis_authz::state::AppState;
use portcullis_common::config::{Config, Role, Sources, load};
use portcullis_common::fetch::HttpFetcher;
use portcullis_testkit::website::{Identity, TestAuthority};
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
    /// More of the configuration.
    more: String,
    /// The file with the authority of its own certificate, where it speaks HTTPS.
    https: Option<PathBuf>,
    /// The file with the authority of client certificates.
    client_ca: Option<PathBuf>,
    header_timeout: &'static str,
    /// Keys of `[server]` about what stands before it.
    front: String,
}

/// A running product.
pub(crate) struct Product {
    pub(crate) address: SocketAddr,
    pub(crate) config: Arc<Config>,
    pub(crate) authz: AppState,
    pub(crate) tls: Option<Tls>,
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

    /// Over HTTPS, with a certificate of this authority.
    pub(crate) fn over_https(mut self, authority: &TestAuthority) -> Self {
        let file = self.folder.path().join("https.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        self.https = Some(file);
        self.renews(&authority.certify(&["127.0.0.1", "localhost"]));
        self
    }

    /// Asking clients for certificates of this authority.
    pub(crate) fn asking_for_certificates(mut self, authority: &TestAuthority) -> Self {
        let file = self.file("client-ca.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        self.client_ca = Some(file);
        self
    }

    /// Replaces certificate and key.
    pub(crate) fn renews(&self, identity: &Identity) {
        std::fs::write(self.file("tls.crt"), identity.certificate_pem()).unwrap();
        std::fs::write(self.file("tls.key"), identity.key_pem()).unwrap();
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where peers must send a request head in this time.
    pub(crate) fn hurrying(mut self, header_timeout: &'static str) -> Self {
        self.header_timeout = header_timeout;
        self
    }

    /// With these sections of the configuration too.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.more.push_str(more);
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
            more: String::new(),
            https: None,
            client_ca: None,
            header_timeout: "10s",
            front: String::new(),
        }
    }

    /// Behind a proxy on this machine.
    pub(crate) fn behind_a_proxy(self) -> Self {
        self.behind("127.0.0.1")
    }

    /// Behind a proxy with this address.
    pub(crate) fn behind(mut self, proxy: &str) -> Self {
        self.front = format!("trusted_proxies = ['{proxy}']\n");
        self
    }

    /// Believing the proxy about certificates in these two headers.
    pub(crate) fn believing(mut self, [verdict, subject]: [&str; 2]) -> Self {
        let _ = writeln!(
            self.front,
            "client_certificate_headers = ['{verdict}', '{subject}']"
        );
        self
    }

    fn config(&self) -> Config {
        let Self {
            folder,
            port,
            algorithm,
            access_token_ttl,
            authority,
            more,
            https,
            client_ca,
            header_timeout,
            front,
        } = self;
        let (scheme, tls) = match https {
            None => ("http", String::new()),
            Some(_) => {
                let (cert, key) = (self.file("tls.crt"), self.file("tls.key"));
                let (cert, key) = (cert.display(), key.display());
                let mut files = format!("tls_cert = \"{cert}\"\ntls_key = \"{key}\"");
                if let Some(file) = client_ca {
                    let _ = write!(files, "\ntls_client_ca = \"{}\"", file.display());
                }
                ("https", files)
            }
        };
        let database = folder.path().join("portcullis.db");
        let (id, secret) = AGENT;
        let (registration, ca_file) = match authority {
            Some(file) => ("off", format!("ca_file = \"{}\"", file.display())),
            None => ("open", String::new()),
        };
        let text = format!(
            "[server]\n\
             public_url = \"{scheme}://127.0.0.1:{port}\"\n\
             header_timeout = \"{header_timeout}\"\n\
             {front}\
             {tls}\n\
             listen = \"127.0.0.1:{port}\"\n\
             [store]\n\
             url = \"sqlite://{}\"\n\
             [authz]\n\
             signing_alg = \"{algorithm}\"\n\
             access_token_ttl = \"{access_token_ttl}\"\n\
             registration = \"{registration}\"\n\
             [outbound]\n\
             {ca_file}\n\
             {more}\n\
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
        self.try_to_start().await.unwrap()
    }

    pub(crate) async fn try_to_start(&self) -> Result<Product, StartError> {
        let config = self.config();
        let ambient = Ambient::system(Role::Both, &config).unwrap();
        let app = App::open(Role::Both, config.clone(), ambient).await?;
        let tls = app.tls().cloned();
        let stop = CancellationToken::new();
        let (address, authz) = (app.address(), app.authz().unwrap().clone());
        let stopped = stop.clone().cancelled_owned();
        Ok(Product {
            address,
            authz,
            tls,
            stop,
            running: tokio::spawn(app.run(stopped)),
            fetcher: HttpFetcher::new(self.https.as_deref()).unwrap(),
            config: Arc::new(config),
        })
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
        let url = format!("{}{path}", self.config.server.public_url);
        let request = Request::get(url).body(Vec::new()).unwrap();
        serde_json::from_slice(self.send(request).await.body()).unwrap()
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        let sent = self.fetcher.send(request, TIMEOUT, 64 * 1024);
        sent.await.unwrap()
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
        self.send(request).await.status().as_u16()
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
