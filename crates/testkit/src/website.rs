//! Web sites of strangers, on this machine: an authority of their own, and every kind of answer.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An authority that signs certificates for the web sites of a test.
#[derive(Debug)]
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The certificate of a web site, and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// Certificate and key as files hold them.
    pem: (String, String),
}

impl TestAuthority {
    /// A new authority that nobody knows.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Its certificate, as `[outbound] ca_file` wants it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names and addresses.
    pub fn certify(&self, names: &[&str]) -> Identity {
        self.sign(names, (4000, 1, 1))
    }

    /// A certificate that ends on this day.
    pub fn certify_until(&self, names: &[&str], day: (i32, u8, u8)) -> Identity {
        self.sign(names, day)
    }

    /// A certificate that has ended.
    pub fn certify_in_the_past(&self, names: &[&str]) -> Identity {
        self.sign(names, (2020, 1, 1))
    }

    /// A certificate for a client, whose subject is `CN=name,O=organization`.
    pub fn certify_client(&self, name: &str, organization: &str) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::OrganizationName, organization);
        subject.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign_with(params, (4000, 1, 1))
    }

    fn sign(&self, names: &[&str], day: (i32, u8, u8)) -> Identity {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        self.sign_with(CertificateParams::new(names).unwrap(), day)
    }

    fn sign_with(
        &self,
        mut params: CertificateParams,
        (year, month, day): (i32, u8, u8),
    ) -> Identity {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            pem: (certificate.pem(), key.serialize_pem()),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}

impl Identity {
    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem.0
    }

    /// The private key in PEM.
    pub fn key_pem(&self) -> &str {
        &self.pem.1
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// What answers handshakes with this certificate.
    fn acceptor(self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], self.key)
            .unwrap();
        TlsAcceptor::from(Arc::new(tls))
    }

    /// Puts TLS before a router that is served on this listener.
    pub fn listen(self, listener: TcpListener) -> TlsListener {
        TlsListener {
            listener,
            acceptor: self.acceptor(),
        }
    }
}

/// Accepts connections over TLS, one handshake after the other.
pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A peer that does not like the certificate is not served.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// An answer, byte for byte.
#[derive(Clone, Debug)]
pub struct Page {
    head: String,
    body: Vec<u8>,
    is_endless: bool,
}

impl Page {
    /// A 200 with this document.
    pub fn json(document: &Value) -> Self {
        Self::new(200, "application/json", document.to_string().as_bytes())
    }

    /// An answer with this body and its right length.
    pub fn new(status: u16, content_type: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n"
        );
        Self {
            head,
            body: body.to_vec(),
            is_endless: false,
        }
    }

    /// An answer that announces this length, whatever the body is.
    pub fn announcing(length: usize, body: &[u8]) -> Self {
        Self {
            head: format!(
                "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
            ),
            body: body.to_vec(),
            is_endless: false,
        }
    }

    /// A 200 whose body has no length and goes on for as long as somebody reads.
    pub fn endless() -> Self {
        Self {
            head: "HTTP/1.1 200 X\r\ncontent-type: application/json\r\n".to_owned(),
            body: vec![b' '; 1024],
            is_endless: true,
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }
}

#[derive(Debug)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// What was read of endless pages, in bytes.
    sent: Mutex<usize>,
    is_held: watch::Sender<bool>,
}

/// A web site over TLS. It answers for every name.
#[derive(Clone, Debug)]
pub struct Website {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Website {
    /// Starts one on a free port of this machine.
    pub async fn start(identity: Identity) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), identity).await
    }

    /// Starts one at an address of this machine.
    pub async fn start_at(address: SocketAddr, identity: Identity) -> Self {
        let acceptor = identity.acceptor();
        let listener = TcpListener::bind(address).await.unwrap();
        let site = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared {
                pages: Mutex::default(),
                requests: Mutex::default(),
                connections: AtomicUsize::default(),
                sent: Mutex::default(),
                is_held: watch::Sender::new(false),
            }),
        };
        let shared = Arc::clone(&site.shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move { shared.answer(acceptor, stream).await });
            }
        });
        site
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a page at a target (path and query).
    pub fn publish(&self, target: &str, page: Page) {
        let mut pages = self.shared.pages.lock().unwrap();
        pages.insert(target.to_owned(), page);
    }

    /// The targets that were asked for, each with the host before it, in order.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many connections were opened, whatever came of them.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes of endless pages were sent.
    pub fn sent(&self) -> usize {
        *self.shared.sent.lock().unwrap()
    }

    /// Lets every answer wait until [`Self::release`].
    pub fn hold(&self) {
        self.shared.is_held.send_replace(true);
    }

    /// Lets the answers go.
    pub fn release(&self) {
        self.shared.is_held.send_replace(false);
    }
}

impl Shared {
    /// Answers one request and hangs up; a peer that goes away is its own affair.
    async fn answer(&self, acceptor: TlsAcceptor, stream: TcpStream) -> Option<()> {
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let host = head.lines().find_map(|line| line.strip_prefix("host: "));
        let request = format!("{}{target}", host.unwrap());
        self.requests.lock().unwrap().push(request);
        let mut is_held = self.is_held.subscribe();
        is_held.wait_for(|is_held| !is_held).await.unwrap();
        let page = self.pages.lock().unwrap().get(&target).cloned();
        let page = page.unwrap_or_else(|| Page::new(404, "text/plain", b"no"));
        let head = format!("{}connection: close\r\n\r\n", page.head);
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&page.body).await.ok()?;
        if page.is_endless {
            loop {
                stream.write_all(&page.body).await.ok()?;
                *self.sent.lock().unwrap() += page.body.len();
            }
        }
        stream.shutdown().await.ok()
    }
}

/// A server that answers every handshake with TLS 1.1.
pub async fn tls_1_1() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 1024];
            let _read = stream.read(&mut hello).await;
            // A record with one message: a server hello of version 3.2 (RFC 4346 §7.4.1.3).
            let mut answer = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
            answer.extend([7; 32]);
            answer.extend([0, 0, 0x2f, 0]);
            let _sent = stream.write_all(&answer).await;
            // The peer hangs up first, or the end of the test does.
            let _alert =
                tokio::time::timeout(Duration::from_secs(5), stream.read(&mut hello)).await;
        }
    });
    address
}
