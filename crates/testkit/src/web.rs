//! The web as the product reaches it in a test: names in a table, and one web site behind every
//! address. No packet leaves the machine.

use std::collections::HashMap;
use std::io;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use ipnet::IpNet;
use portcullis_common::outbound::{AddressGuard, Dialler, GuardedFetcher, GuardedParts, Resolver};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;

use crate::website::{Identity, TestAuthority, Website};

/// The address of every name that is not in the table of a test.
pub const PUBLIC: &str = "93.184.216.34";
/// The names for which the web site of a test has a certificate.
pub const NAMES: [&str; 3] = ["client.test", "other.test", PUBLIC];

/// A web with one site, which answers for every name and address.
#[derive(Clone, Debug)]
pub struct TestWeb {
    /// The site.
    pub site: Website,
    trace: Trace,
    target: SocketAddr,
    authority: Arc<NamedTempFile>,
}

/// What was looked up and dialled, and what is answered to look-ups.
#[derive(Clone, Debug, Default)]
struct Trace {
    names: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl TestWeb {
    /// A web whose site has a good certificate.
    pub async fn start() -> Self {
        let authority = TestAuthority::new("test authority");
        let identity = authority.certify(&NAMES);
        Self::start_with(&authority, identity).await
    }

    /// A web whose site has this certificate, while the product trusts this authority.
    pub async fn start_with(authority: &TestAuthority, identity: Identity) -> Self {
        let site = Website::start(identity).await;
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(authority.pem().as_bytes()).unwrap();
        Self {
            target: site.address(),
            site,
            trace: Trace::default(),
            authority: Arc::new(file),
        }
    }

    /// The same with another server behind every address.
    #[must_use]
    pub fn leading_to(mut self, target: SocketAddr) -> Self {
        self.target = target;
        self
    }

    /// Puts a name into the table.
    pub fn name(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut names = self.trace.names.lock().unwrap();
        names.insert(name.to_owned(), addresses);
    }

    /// The addresses that were dialled, in order.
    pub fn dialled(&self) -> Vec<String> {
        let dialled = self.trace.dialled.lock().unwrap();
        dialled.iter().map(ToString::to_string).collect()
    }

    /// The names that were looked up, in order.
    pub fn asked(&self) -> Vec<String> {
        self.trace.asked.lock().unwrap().clone()
    }

    /// The production fetcher on this web, as it is where our public URL is not on loopback.
    pub fn fetcher(&self) -> GuardedFetcher {
        self.fetcher_with(Vec::new())
    }

    /// The same where the operator opened networks.
    pub fn fetcher_with(&self, allowed: Vec<IpNet>) -> GuardedFetcher {
        let parts = GuardedParts {
            guard: AddressGuard::new(allowed, false),
            resolver: Box::new(self.trace.clone()),
            dialler: Box::new(RecordingDialler {
                trace: self.trace.clone(),
                target: Some(self.target),
            }),
        };
        GuardedFetcher::new(parts, Some(self.authority.path())).unwrap()
    }
}

#[async_trait]
impl Resolver for Trace {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let known = self.names.lock().unwrap().get(name).cloned();
        Ok(known.unwrap_or_else(|| vec![PUBLIC.parse().unwrap()]))
    }
}

/// Records every address, and connects to the target on this machine, if there is one.
#[derive(Debug)]
struct RecordingDialler {
    trace: Trace,
    target: Option<SocketAddr>,
}

#[async_trait]
impl Dialler for RecordingDialler {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.trace.dialled.lock().unwrap().push(address);
        match self.target {
            Some(target) => TcpStream::connect(target).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// The fetcher of tests that have no web: nothing can be reached. It is made once, because reading
/// the authorities of the system takes its time.
pub fn no_web() -> GuardedFetcher {
    static NO_WEB: LazyLock<GuardedFetcher> = LazyLock::new(|| {
        let trace = Trace::default();
        let parts = GuardedParts {
            guard: AddressGuard::default(),
            resolver: Box::new(trace.clone()),
            dialler: Box::new(RecordingDialler {
                trace,
                target: None,
            }),
        };
        GuardedFetcher::new(parts, None).unwrap()
    });
    NO_WEB.clone()
}
