//! Native HTTPS: real handshakes with the product's own listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use portcullis_testkit::clock::within;
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::website::TestAuthority;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::product::{Place, echo_body};

const LIMIT: Duration = Duration::from_secs(10);
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// A handshake as a strict client does it, with one version of TLS.
async fn handshake(
    address: SocketAddr,
    authority: &TestAuthority,
    version: &'static SupportedProtocolVersion,
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.unwrap()
}

/// The certificate that a new connection is shown.
async fn shown(address: SocketAddr, authority: &TestAuthority) -> Vec<u8> {
    let stream = handshake(address, authority, &version::TLS13).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The first bytes of the answer to the first message of a client that speaks version 3.x on the
/// wire: 32 bytes that should be random, no session, one suite, and the extensions without which
/// nothing is agreed.
async fn answer_to(address: SocketAddr, minor: u8) -> [u8; 7] {
    let mut hello = vec![1, 0, 0, 69, 3, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 26]);
    hello.extend([0, 10, 0, 4, 0, 2, 0, 0x17]); // groups: secp256r1
    hello.extend([0, 13, 0, 4, 0, 2, 4, 3]); // signatures: ecdsa_secp256r1_sha256
    hello.extend([0, 11, 0, 2, 1, 0, 0, 23, 0, 0]); // plain points, extended master secret
    let mut record = vec![0x16, 3, 1, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = [0; 7];
    let read = stream.read_exact(&mut answer);
    within(LIMIT, read).await.unwrap();
    answer
}

#[tokio::test]
async fn people_clients_and_tools_are_served_over_https_without_a_front() {
    let authority = TestAuthority::new("native");
    let place = Place::new().over_https(&authority);
    let product = place.start().await;
    let issuer = product.config.authz.issuer.as_str().to_owned();
    assert!(issuer.starts_with("https://127.0.0.1:"), "{issuer}");
    let token = product.token("mcp:read").await;
    assert_eq!(product.echo(&token).await, 200);

    let login = Request::get(format!("{issuer}/login"));
    let page = product.send(login.body(Vec::new()).unwrap()).await;
    assert_eq!(page.status(), 200);
    // RFC 6797 §8.1.1 and our own rule: never for loopback names.
    assert!(!page.headers().contains_key("strict-transport-security"));
    let cookies = page.headers().get_all("set-cookie").iter();
    for cookie in cookies {
        assert!(cookie.to_str().unwrap().contains("Secure"), "{cookie:?}");
    }
    product.stop().await;
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_http_1_1_and_nothing_older_is() {
    let authority = TestAuthority::new("native");
    let place = Place::new().over_https(&authority);
    let product = place.start().await;
    for (wanted, version) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let stream = handshake(product.address, &authority, wanted).await;
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    // The same words with the version of TLS 1.2 are answered with the next step (RFC 5246 §7.4.1.3)
    // and with that of TLS 1.0 or 1.1 with the fatal alert protocol_version (§7.2.2).
    assert_eq!(answer_to(product.address, 3).await[0], 0x16);
    for old in [1, 2] {
        let answer = answer_to(product.address, old).await;
        assert_eq!(
            (answer[0], &answer[5..]),
            (0x15, &[2, 70][..]),
            "{answer:?}"
        );
    }
    product.stop().await;
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_to_use_https() {
    let place = Place::new().over_https(&TestAuthority::new("native"));
    let product = place.start().await;
    let request = format!("POST /token HTTP/1.1\r\nHost: x\r\n\r\n{}", echo_body());
    // The peer does not close; the answer comes all the same.
    let mut stream = TcpStream::connect(product.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    within(LIMIT, read).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.ends_with("write https:// in the address\n"),
        "{answer}"
    );
    drop(stream);
    product.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut_and_holds_nobody_up() {
    let authority = TestAuthority::new("native");
    let place = Place::new().over_https(&authority).hurrying("1s");
    let product = place.start().await;
    let mut slow = Vec::new();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(product.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        slow.push(stream);
    }
    let token = product.token("mcp:read").await;
    assert_eq!(product.echo(&token).await, 200);
    for stream in &mut slow {
        let mut rest = Vec::new();
        // An end or a reset, as long as it comes.
        let _ended = within(LIMIT, stream.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"");
    }
    product.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_and_a_broken_one_changes_nothing() {
    let authority = TestAuthority::new("native");
    let place = Place::new().over_https(&authority);
    let first = authority.certify(&NAMES);
    place.renews(&first);
    let product = place.start().await;
    let (address, tls) = (product.address, product.tls.clone().unwrap());
    assert_eq!(shown(address, &authority).await, first.der());

    let second = authority.certify(&NAMES);
    place.renews(&second);
    tls.reload();
    assert_eq!(shown(address, &authority).await, second.der());

    let log = CapturedLog::begin();
    std::fs::write(place.file("tls.key"), first.key_pem()).unwrap();
    tls.reload();
    tls.reload();
    assert_eq!(shown(address, &authority).await, second.der());
    let said = log.text().matches("the old one stays").count();
    assert_eq!(said, 1, "{}", log.text());
    assert!(!log.text().contains("PRIVATE KEY"));

    let ended = authority.certify_in_the_past(&NAMES);
    place.renews(&ended);
    tls.reload();
    assert!(
        log.text().contains("the certificate has ended"),
        "{}",
        log.text()
    );
    product.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_with_their_names_and_the_mend() {
    let authority = TestAuthority::new("native");
    let place = Place::new().over_https(&authority);
    let other = authority.certify(&NAMES);
    let good = |name: &str| std::fs::read_to_string(place.file(name)).unwrap();
    let (cert, key) = (good("tls.crt"), good("tls.key"));
    for (name, text, mend) in [
        ("tls.key", other.key_pem(), "made together"),
        ("tls.key", cert.as_str(), "holds no private key"),
        ("tls.crt", key.as_str(), "holds no certificate"),
        ("tls.crt", "", "holds no certificate"),
        (
            "tls.crt",
            "-----BEGIN CERTIFICATE-----\n?",
            "holds no certificate",
        ),
    ] {
        std::fs::write(place.file("tls.crt"), &cert).unwrap();
        std::fs::write(place.file("tls.key"), &key).unwrap();
        std::fs::write(place.file(name), text).unwrap();
        let error = place.try_to_start().await.err().unwrap().to_string();
        assert!(error.contains(name) && error.contains(mend), "{error}");
    }
    std::fs::remove_file(place.file("tls.crt")).unwrap();
    let error = place.try_to_start().await.err().unwrap().to_string();
    assert!(error.contains("tls.crt cannot be read"), "{error}");
}
