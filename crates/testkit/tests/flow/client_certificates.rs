//! RFC 8705 §2.1: a client proves who it is by its certificate, to our own listener or to a front.

use std::sync::Arc;

use http::Request;
use portcullis_authz::clients::admin::{self, NewClient};
use portcullis_common::clock::SystemClock;
use portcullis_common::distinguished_name::DistinguishedName;
use portcullis_common::entropy::SystemEntropy;
use portcullis_testkit::website::{Identity, TestAuthority};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::product::{AGENT, Place, Product};

const CLIENT: &str = "[[authz.clients]]\nid = \"robot\"\nauth_method = \"tls_client_auth\"\n\
                      tls_client_auth_subject_dn = \"CN=robot,O=Example\"\n";
const ASKS: &str = "grant_type=client_credentials&scope=mcp:read&client_id=robot";
const VERDICT: &str = "x-client-certificate-verified";
const SUBJECT: &str = "x-client-certificate-subject";

/// What asks for tokens over HTTPS, and whom it trusts.
struct Robot<'a> {
    product: &'a Product,
    server: &'a TestAuthority,
}

impl Robot<'_> {
    /// Status and document of the answer to this form; `None` if the connection is refused.
    async fn asks(&self, shows: Option<&Identity>, form: &str, more: &str) -> Option<(u16, Value)> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.server.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shows {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![CertificateDer::from(identity.der().to_vec())];
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let address = self.product.address;
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        let length = form.len();
        let request = format!(
            "POST /token HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{more}\
             Content-Length: {length}\r\n\r\n{form}"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some((status, serde_json::from_str(body).unwrap()))
    }

    async fn is_refused(&self, shows: Option<&Identity>, form: &str, more: &str) {
        let (status, body) = self.asks(shows, form, more).await.unwrap();
        assert_eq!(
            (status, &body["error"]),
            (401, &Value::from("invalid_client")),
            "{form} {more}"
        );
    }
}

#[tokio::test]
async fn a_certificate_of_our_authority_with_the_right_subject_is_the_client_and_nothing_else_is() {
    let (server, clients) = (TestAuthority::new("server"), TestAuthority::new("clients"));
    let place = Place::new()
        .over_https(&server)
        .asking_for_certificates(&clients)
        .with(CLIENT);
    let product = place.start().await;
    let robot = Robot {
        product: &product,
        server: &server,
    };
    let own = clients.certify_client("robot", "Example");
    let (status, body) = robot.asks(Some(&own), ASKS, "").await.unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        product.echo(body["access_token"].as_str().unwrap()).await,
        200
    );

    robot.is_refused(None, ASKS, "").await;
    let forged = format!("{VERDICT}: SUCCESS\r\n{SUBJECT}: CN=robot,O=Example\r\n");
    robot.is_refused(None, ASKS, &forged).await;
    for (name, organization) in [
        ("robot", "Else"),
        ("Robot", "Example"),
        ("robot ", "Example"),
        ("robot,O=Example", "Example"),
    ] {
        let other = clients.certify_client(name, organization);
        robot.is_refused(Some(&other), ASKS, "").await;
    }
    let stranger = TestAuthority::new("clients").certify_client("robot", "Example");
    assert_eq!(robot.asks(Some(&stranger), ASKS, "").await, None);
    product.stop().await;
}

#[tokio::test]
async fn only_the_registered_method_counts_whatever_stands_behind_the_connection() {
    let (server, clients) = (TestAuthority::new("server"), TestAuthority::new("clients"));
    let place = Place::new()
        .over_https(&server)
        .asking_for_certificates(&clients)
        .with(CLIENT);
    let product = place.start().await;
    let robot = Robot {
        product: &product,
        server: &server,
    };
    let own = clients.certify_client("robot", "Example");
    let with_secret = format!("{ASKS}&client_secret=x");
    robot.is_refused(Some(&own), &with_secret, "").await;
    let basic = "Authorization: Basic cm9ib3Q6\r\n"; // robot:
    robot.is_refused(Some(&own), ASKS, basic).await;
    // RFC 8705 §2: client_id says which client it is.
    let nameless = "grant_type=client_credentials";
    robot.is_refused(Some(&own), nameless, "").await;

    let (id, secret) = AGENT;
    let agent = format!("{nameless}&client_id={id}");
    robot.is_refused(Some(&own), &agent, "").await;
    let agent = format!("{agent}&client_secret={secret}");
    let (status, body) = robot.asks(Some(&own), &agent, "").await.unwrap();
    assert_eq!(status, 200, "{body}");
    product.stop().await;
}

/// The answer over plain HTTP to a request with these headers.
async fn asks_with(product: &Product, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::post(product.config.authz.issuer.endpoint("/token"))
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(ASKS.as_bytes().to_vec()).unwrap();
    product.send(request).await.status().as_u16()
}

/// Whether the metadata say that a certificate can stand for a client.
async fn offers_certificates(product: &Product) -> bool {
    let document = product.get("/.well-known/oauth-authorization-server").await;
    let methods = document["token_endpoint_auth_methods_supported"].as_array();
    methods.unwrap().contains(&"tls_client_auth".into())
}

#[tokio::test]
async fn a_trusted_front_says_whose_certificate_it_saw_and_nobody_else_does() {
    let good = (VERDICT, "SUCCESS");
    let own = (SUBJECT, "CN=robot,O=Example");

    let place = Place::new().behind_a_proxy().believing([VERDICT, SUBJECT]);
    let product = place.with(CLIENT).start().await;
    assert_eq!(asks_with(&product, &[good, own]).await, 200);
    for headers in [
        &[][..],
        &[good],
        &[own],
        &[(VERDICT, "NONE"), own],
        &[(VERDICT, "FAILED:certificate has expired"), own],
        &[good, (SUBJECT, "CN=robot,O=Else")],
        &[good, (SUBJECT, "CN=robot")],
        &[good, (SUBJECT, "CN=robot,O=Example,C=DE")],
        &[good, (SUBJECT, "CN=robot\\,O=Example")],
        &[good, own, own],
    ] {
        assert_eq!(asks_with(&product, headers).await, 401, "{headers:?}");
    }
    assert!(offers_certificates(&product).await);
    product.stop().await;

    // Another one than the proxy writes the same.
    let place = Place::new()
        .behind("10.9.9.9")
        .believing([VERDICT, SUBJECT]);
    let product = place.with(CLIENT).start().await;
    assert_eq!(asks_with(&product, &[good, own]).await, 401);
    product.stop().await;

    // The proxy itself passes on what nobody told it to write.
    let other = ["ssl-client-verify", "ssl-client-subject-dn"];
    let place = Place::new().behind_a_proxy().believing(other);
    let product = place.with(CLIENT).start().await;
    assert_eq!(asks_with(&product, &[good, own]).await, 401);
    product.stop().await;
}

/// Makes the client in the store.
async fn add_robot(product: &Product) {
    let new = NewClient {
        name: "Robot".to_owned(),
        id: Some("robot".to_owned()),
        certificate_subject: Some(DistinguishedName::parse("CN=robot,O=Example").unwrap()),
        ..NewClient::default()
    };
    let (store, config) = (product.authz.store(), &product.config);
    admin::add(store, config, &SystemClock, &SystemEntropy, new)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_front_that_is_trusted_about_addresses_is_not_believed_about_certificates() {
    let claims = [(VERDICT, "SUCCESS"), (SUBJECT, "CN=robot,O=Example")];
    let place = Place::new().behind_a_proxy();
    let product = place.start().await;
    add_robot(&product).await;
    assert_eq!(asks_with(&product, &claims).await, 401);
    assert!(!offers_certificates(&product).await);
    product.stop().await;

    // The same store, and the one key more.
    let product = place.believing([VERDICT, SUBJECT]).start().await;
    assert_eq!(asks_with(&product, &claims).await, 200);
    assert!(offers_certificates(&product).await);
    product.stop().await;
}

#[tokio::test]
async fn authorities_of_clients_that_cannot_be_used_stop_the_start_with_the_mend() {
    let authority = TestAuthority::new("server");
    let place = Place::new()
        .over_https(&authority)
        .asking_for_certificates(&authority);
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\n?"] {
        std::fs::write(place.file("client-ca.pem"), text).unwrap();
        let error = place.try_to_start().await.err().unwrap().to_string();
        assert!(error.contains("can be an authority"), "{error}");
    }
    std::fs::remove_file(place.file("client-ca.pem")).unwrap();
    let error = place.try_to_start().await.err().unwrap().to_string();
    assert!(error.contains("client-ca.pem cannot be read"), "{error}");
}
