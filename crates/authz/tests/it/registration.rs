//! RFC 7591: clients register themselves; what is refused, and how many there may be.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use portcullis_authz::clients::admin;
use portcullis_authz::clients::registration::admin::invite;
use portcullis_common::client_address::ClientAddress;
use portcullis_common::config::Registration;
use portcullis_testkit::authz::{self, Answer, Authz, BASIC, json_request};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::entropy::SeededEntropy;
use portcullis_testkit::on_both_engines;
use serde_json::{Value, json};

pub(crate) const CALLBACK: &str = "http://127.0.0.1:41000/callback";

pub(crate) fn public() -> Value {
    json!({
        "client_name": "An app",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

pub(crate) fn confidential() -> Value {
    json!({ "client_name": "A site", "redirect_uris": ["https://site.example/cb"] })
}

fn machine() -> Value {
    json!({ "client_name": "A job", "grant_types": ["client_credentials"], "scope": "mcp:read" })
}

/// The metadata with other members; null takes one away.
pub(crate) fn with(mut metadata: Value, others: &Value) -> Value {
    for (name, value) in others.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    metadata
}

pub(crate) async fn registered(authz: &Authz, metadata: &Value) -> Value {
    let answer = authz.register(metadata).await;
    assert_eq!(answer.status, 201, "{metadata}: {answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

/// How many clients there are that the configuration does not define.
pub(crate) async fn count(authz: &Authz) -> usize {
    let config = &authz.state.config().authz;
    let all = admin::list(authz.state.store(), config).await.unwrap();
    all.iter()
        .filter(|client| client.is_self_registered())
        .count()
}

async fn start() -> (TestDatabase, Authz) {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    (database, authz)
}

async fn start_as(database: &TestDatabase, registration: Registration) -> Authz {
    let mut config = authz::config(database.config());
    config.authz.registration = registration;
    Authz::start_with(config).await
}

pub(crate) async fn invitation(authz: &Authz, uses: u32) -> String {
    let entropy = SeededEntropy::new(7 + u64::from(uses));
    let hour = Duration::from_hours(1);
    let (store, clock) = (authz.state.store(), authz.clock.as_ref());
    let made = invite(store, clock, entropy.as_ref(), uses, hour).await;
    made.unwrap().token.expose().to_owned()
}

pub(crate) async fn register_invited(authz: &Authz, token: &str, metadata: &Value) -> Answer {
    let request = json_request(Method::POST, "/register", Some(token), metadata);
    authz.send(request).await
}

async fn register_from(authz: &Authz, source: [u8; 4], metadata: &Value) -> Answer {
    let mut request = json_request(Method::POST, "/register", None, metadata);
    let address = ClientAddress(IpAddr::from(source));
    request.extensions_mut().insert(address);
    authz.send(request).await
}

#[tokio::test]
async fn a_confidential_client_gets_every_default_a_secret_and_the_means_to_manage_itself() {
    let (_database, authz) = start().await;
    let mut answer = registered(&authz, &confidential()).await;
    let id = answer["client_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 22, "128 bits as base64url, so never a URL");
    for secret in ["client_secret", "registration_access_token"] {
        let text = answer[secret].take();
        assert_eq!(text.as_str().unwrap().len(), 43, "256 bits as base64url");
    }
    let uri = format!("http://localhost:8080/register/{id}");
    assert_eq!(
        answer,
        json!({
            "client_id": id,
            "client_id_issued_at": 1_800_000_000,
            "client_secret": null,
            "client_secret_expires_at": 0,
            "registration_access_token": null,
            "registration_client_uri": uri,
            "redirect_uris": ["https://site.example/cb"],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "client_name": "A site",
        })
    );
}

#[tokio::test]
async fn a_public_client_gets_no_secret_and_may_refresh_without_asking_for_it() {
    let (_database, authz) = start().await;
    let metadata = with(public(), &json!({ "grant_types": null }));
    let answer = registered(&authz, &metadata).await;
    assert_eq!(
        answer["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    for member in [
        "client_secret",
        "client_secret_expires_at",
        "registration_access_token",
        "registration_client_uri",
    ] {
        assert_eq!(answer.get(member), None, "{member}");
    }
}

#[tokio::test]
async fn everything_that_is_registered_is_repeated_and_what_is_unknown_is_not() {
    let (_database, authz) = start().await;
    let known = json!({
        "redirect_uris": [CALLBACK, "https://site.example/cb", "cursor://x/cb"],
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
        "client_name": "<script>alert(1)</script> {{7*7}} \"x\" </title>",
        "client_uri": "https://site.example",
        "logo_uri": "https://site.example/logo.svg",
        "tos_uri": "https://site.example/tos",
        "policy_uri": "https://site.example/policy",
        "scope": "mcp:read offline_access",
        "contacts": ["ops@site.example"],
        "jwks_uri": "https://site.example/jwks",
        "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
        "software_version": "1.0",
    });
    let sent = with(
        known.clone(),
        &json!({ "client_id": "chosen", "client_secret": "chosen", "x-unknown": { "a": [1] } }),
    );
    let answer = registered(&authz, &sent).await;
    for (name, value) in known.as_object().unwrap() {
        assert_eq!(&answer[name], value, "{name}");
    }
    assert_ne!(answer["client_id"], "chosen");
    assert_ne!(answer["client_secret"], "chosen");
    assert_eq!(answer.get("x-unknown"), None);
}

#[tokio::test]
async fn empty_members_count_as_absent_and_unknown_extension_grants_are_left_out() {
    let (_database, authz) = start().await;
    let metadata = with(
        public(),
        &json!({
            "client_uri": "", "logo_uri": null, "scope": "", "jwks": null, "software_statement": null,
            "grant_types": [
                "authorization_code", "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code",
            ],
        }),
    );
    let answer = registered(&authz, &metadata).await;
    assert_eq!(
        answer["client_id"],
        registered(&authz, &public()).await["client_id"]
    );
    assert_eq!(
        answer["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
}

#[tokio::test]
async fn redirect_uris_that_nobody_may_be_sent_to_are_refused() {
    let (_database, authz) = start().await;
    let long = format!("https://site.example/{}", "x".repeat(4096));
    let wrong = [
        json!(["javascript:alert(1)"]),
        json!(["data:text/html,x"]),
        json!(["vbscript:x"]),
        json!(["file:///etc/passwd"]),
        json!(["blob:https://site.example/x"]),
        json!(["about:blank"]),
        json!(["https://site.example/cb#fragment"]),
        json!(["https://user@site.example/cb"]),
        json!(["https://*.site.example/cb"]),
        json!(["/cb"]),
        json!([long]),
        json!(["http://app.test/cb"]),
        json!(["myapp:/cb"]),
        json!(["com.example.app:/cb"]),
        json!([CALLBACK, "http://app.test/cb"]),
        json!([]),
        json!(null),
        json!("https://site.example/cb"),
        json!([["https://site.example/cb"]]),
        json!(vec!["https://site.example/cb"; 33]),
    ];
    for uris in wrong {
        for kind in [json!("web"), json!("native"), json!(null)] {
            let metadata = with(
                public(),
                &json!({ "redirect_uris": uris, "application_type": kind }),
            );
            authz
                .register(&metadata)
                .await
                .expect_error(400, "invalid_redirect_uri");
        }
    }
    for (uri, kind, is_right) in [
        ("cursor://x/cb", json!("native"), true),
        ("cursor://x/cb", json!(null), true),
        ("cursor://x/cb", json!("web"), false),
        (CALLBACK, json!("native"), true),
        (CALLBACK, json!(null), true),
        (CALLBACK, json!("web"), false),
        ("https://site.example/cb", json!("web"), true),
    ] {
        let metadata = with(
            public(),
            &json!({ "redirect_uris": [uri], "application_type": kind }),
        );
        let answer = authz.register(&metadata).await;
        if is_right {
            assert_eq!(answer.status, 201, "{metadata}");
        } else {
            answer.expect_error(400, "invalid_redirect_uri");
        }
    }
}

#[tokio::test]
async fn metadata_that_breaks_a_rule_is_refused_and_nothing_is_stored() {
    let (_database, authz) = start().await;
    let key = json!({ "kty": "RSA", "n": "x", "e": "AQAB" });
    let wrong = [
        json!({ "grant_types": ["implicit"] }),
        json!({ "grant_types": ["authorization_code", "password"] }),
        json!({ "grant_types": [] }),
        json!({ "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"] }),
        json!({ "grant_types": ["refresh_token"] }),
        json!({ "grant_types": "authorization_code" }),
        json!({ "grant_types": ["client_credentials"] }),
        json!({ "response_types": ["token"] }),
        json!({ "response_types": ["code", "id_token"] }),
        json!({ "response_types": [] }),
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "token_endpoint_auth_method": "client_secret_jwt" }),
        json!({ "token_endpoint_auth_method": "tls_client_auth" }),
        json!({ "token_endpoint_auth_method": ["none"] }),
        json!({ "application_type": "service" }),
        json!({ "client_name": "x".repeat(201) }),
        json!({ "client_name": "x\ny" }),
        json!({ "client_name": "x\u{202e}y" }),
        json!({ "client_name": 1 }),
        json!({ "client_uri": "javascript:alert(1)" }),
        json!({ "logo_uri": "data:image/png,x" }),
        json!({ "tos_uri": "x" }),
        json!({ "policy_uri": format!("https://h/{}", "x".repeat(2048)) }),
        json!({ "scope": "a\"b" }),
        json!({ "scope": ["mcp:read"] }),
        json!({ "contacts": "ops@site.example" }),
        json!({ "contacts": ["x".repeat(201)] }),
        json!({ "jwks": { "keys": [with(key.clone(), &json!({ "d": "x" }))] } }),
        json!({ "jwks": { "keys": [{ "kty": "oct", "k": "x" }] } }),
        json!({ "jwks": { "keys": [{ "kty": "EC", "k": "x" }] } }),
        json!({ "jwks": { "keys": [{}] } }),
        json!({ "jwks": { "keys": vec![json!({ "kty": "EC" }); 1000] } }),
        json!({ "jwks": "x" }),
        json!({ "jwks": { "keys": [key] }, "jwks_uri": "https://site.example/jwks" }),
        json!({ "software_id": "x".repeat(201) }),
    ];
    for others in wrong {
        for base in [public(), confidential()] {
            let answer = authz.register(&with(base, &others)).await;
            if answer.status == 413 {
                continue;
            }
            answer.expect_error(400, "invalid_client_metadata");
        }
    }
    let statement = with(public(), &json!({ "software_statement": "a.b.c" }));
    authz
        .register(&statement)
        .await
        .expect_error(400, "invalid_software_statement");
    assert_eq!(count(&authz).await, 0);
}

#[tokio::test]
async fn a_body_that_is_not_one_plain_object_is_refused() {
    let (_database, authz) = start().await;
    let twice = r#"{"redirect_uris":["https://a.example"],"redirect_uris":["https://b.example"]}"#;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for body in ["", "x", "[]", "null", "{}{}", "\u{feff}{}", twice, &deep] {
        let request = Request::post("/register")
            .body(Body::from(body.to_owned()))
            .unwrap();
        authz
            .send(request)
            .await
            .expect_error(400, "invalid_client_metadata");
    }
    let request = Request::post("/register").body(Body::from(vec![0xff; 9]));
    authz
        .send(request.unwrap())
        .await
        .expect_error(400, "invalid_client_metadata");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = authz
            .send(json_request(method, "/register", None, &public()))
            .await;
        answer.expect_error(405, "invalid_request");
        assert_eq!(answer.header("allow"), "POST");
    }
}

/// A body without a length and without an end.
struct Endless(Arc<AtomicUsize>);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0.fetch_add(1024, Ordering::SeqCst);
        let piece = Bytes::from_static(&[b' '; 1024]);
        Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
    }
}

#[tokio::test]
async fn a_body_of_any_size_costs_sixteen_kilobytes() {
    let (_database, authz) = start().await;
    let read = Arc::new(AtomicUsize::new(0));
    let endless = Body::new(Endless(Arc::clone(&read)).boxed());
    let request = Request::post("/register").body(endless).unwrap();
    authz
        .send(request)
        .await
        .expect_error(413, "invalid_client_metadata");
    assert!(read.load(Ordering::SeqCst) <= 18 * 1024);
    for others in [
        json!({ "redirect_uris": vec![CALLBACK; 10_000] }),
        json!({ "client_name": "x".repeat(1024 * 1024) }),
    ] {
        authz
            .register(&with(public(), &others))
            .await
            .expect_error(413, "invalid_client_metadata");
    }
    let padded = with(public(), &json!({ "padding": "x".repeat(16_000) }));
    assert_eq!(authz.register(&padded).await.status, 201);
    assert_eq!(count(&authz).await, 1);
}

#[tokio::test]
async fn no_address_of_a_registration_is_ever_called() {
    let (_database, authz) = start().await;
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let address = format!("http://{}/x", trap.local_addr().unwrap());
    let mut metadata = confidential();
    for member in [
        "jwks_uri",
        "logo_uri",
        "client_uri",
        "tos_uri",
        "policy_uri",
        "sector_identifier_uri",
    ] {
        metadata[member] = json!(address);
    }
    let client = registered(&authz, &metadata).await;
    let id = client["client_id"].as_str().unwrap();
    let secret = client["client_secret"].as_str().unwrap();
    authz
        .token(Some((id, secret)), "grant_type=client_credentials")
        .await;
    authz.get(&format!("/authorize?client_id={id}")).await;
    let nobody = trap.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn registration_that_is_off_is_not_there() {
    let database = TestDatabase::sqlite();
    let authz = start_as(&database, Registration::Off).await;
    authz
        .register(&public())
        .await
        .expect_error(404, "not_found");
    authz
        .get("/register/x")
        .await
        .expect_error(404, "not_found");
    let metadata = authz.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata.json().get("registration_endpoint"), None);
}

#[tokio::test]
async fn where_a_token_is_needed_nobody_registers_without_a_good_one() {
    let database = TestDatabase::sqlite();
    let authz = start_as(&database, Registration::Token).await;
    let missing = authz.register(&public()).await;
    missing.expect_error(401, "invalid_token");
    assert_eq!(
        missing.header("www-authenticate"),
        "Bearer realm=\"portcullis\""
    );

    let token = invitation(&authz, 2).await;
    for wrong in ["", "x", &format!("{token}x"), BASIC.1] {
        // Also a body that would be refused: a stranger is not told how to mend it.
        let refused = register_invited(&authz, wrong, &json!({})).await;
        refused.expect_error(401, "invalid_token");
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"portcullis\", error=\"invalid_token\""
        );
    }
    // What is refused takes no use, and the same client twice takes two.
    register_invited(&authz, &token, &json!({}))
        .await
        .expect_error(400, "invalid_redirect_uri");
    for _ in 0..2 {
        assert_eq!(
            register_invited(&authz, &token, &public()).await.status,
            201
        );
    }
    register_invited(&authz, &token, &public())
        .await
        .expect_error(401, "invalid_token");
    assert_eq!(count(&authz).await, 1);

    let token = invitation(&authz, 1).await;
    authz.clock.advance(Duration::from_hours(1));
    register_invited(&authz, &token, &public())
        .await
        .expect_error(401, "invalid_token");
}

#[tokio::test]
async fn only_an_invited_client_may_act_for_itself_and_its_scope_binds_it() {
    let (_database, authz) = start().await;
    authz
        .register(&machine())
        .await
        .expect_error(400, "invalid_client_metadata");
    let token = invitation(&authz, 2).await;
    let public = with(machine(), &json!({ "token_endpoint_auth_method": "none" }));
    register_invited(&authz, &token, &public)
        .await
        .expect_error(400, "invalid_client_metadata");
    let answer = register_invited(&authz, &token, &machine()).await;
    assert_eq!(answer.status, 201);
    let client = answer.json();
    assert_eq!(client["response_types"], json!([]));
    let id = client["client_id"].as_str().unwrap();
    let basic = Some((id, client["client_secret"].as_str().unwrap()));
    let token = authz.token(basic, "grant_type=client_credentials").await;
    assert_eq!(token.json()["scope"], "mcp:read");
    authz
        .token(basic, "grant_type=client_credentials&scope=mcp:write")
        .await
        .expect_error(400, "invalid_scope");
    // No token of it leaves a trace, so no sweep may take it for unused.
    authz.clock.advance(Duration::from_hours(48));
    portcullis_authz::jobs::tick(&authz.state).await;
    assert_eq!(
        authz
            .token(basic, "grant_type=client_credentials")
            .await
            .status,
        200
    );
}

on_both_engines! {
    async fn of_thirty_parallel_registrations_with_an_invitation_for_ten_ten_succeed(database) {
        let authz = start_as(&database, Registration::Token).await;
        let token = invitation(&authz, 10).await;
        let tasks: Vec<_> = (0..30)
            .map(|number| {
                let (authz, token) = (authz.clone(), token.clone());
                let metadata = if number % 2 == 0 { machine() } else { public() };
                tokio::spawn(async move { register_invited(&authz, &token, &metadata).await.status })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().as_u16());
        }
        answers.sort_unstable();
        assert_eq!(answers, [[201; 10], [401; 10], [401; 10]].concat());
    }

    async fn fifty_parallel_equal_registrations_are_one_client(database) {
        let here = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        // Both draw the same random numbers; from here on they are out of step.
        elsewhere.issue().await;
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let authz = if number % 2 == 0 { here.clone() } else { elsewhere.clone() };
                let uri = format!("http://127.0.0.1:{}/callback", 40_000 + number);
                let metadata = with(public(), &json!({ "redirect_uris": [uri] }));
                tokio::spawn(async move {
                    let answer = registered(&authz, &metadata).await;
                    assert_eq!(answer["redirect_uris"], metadata["redirect_uris"]);
                    answer["client_id"].clone()
                })
            })
            .collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        ids.dedup();
        assert_eq!((ids.len(), count(&here).await), (1, 1));
    }

    async fn a_source_registers_twenty_clients_in_a_minute_and_is_told_when_to_come_back(database) {
        let authz = Authz::start(&database).await;
        let numbered = |number: u32| with(confidential(), &json!({ "client_name": number.to_string() }));
        for number in 0..20 {
            assert_eq!(register_from(&authz, [192, 0, 2, 1], &numbered(number)).await.status, 201);
        }
        authz.clock.advance(Duration::from_secs(20));
        let refused = register_from(&authz, [192, 0, 2, 1], &numbered(20)).await;
        refused.expect_error(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), "40");
        // Others are not harmed, and neither is whatever else this source does.
        assert_eq!(register_from(&authz, [192, 0, 2, 2], &numbered(21)).await.status, 201);
        authz.issue().await;
        // What is refused for another reason stays refused for that reason.
        register_from(&authz, [192, 0, 2, 1], &json!({}))
            .await
            .expect_error(400, "invalid_redirect_uri");
        assert_eq!(count(&authz).await, 21);
        authz.clock.advance(Duration::from_secs(40));
        assert_eq!(register_from(&authz, [192, 0, 2, 1], &numbered(22)).await.status, 201);
    }
}

#[tokio::test]
async fn registering_the_same_client_again_and_again_is_not_counted() {
    let (_database, authz) = start().await;
    let first = registered(&authz, &public()).await;
    for port in 1..100 {
        let uri = format!("http://127.0.0.1:{port}/callback");
        let again = with(public(), &json!({ "redirect_uris": [uri] }));
        let answer = registered(&authz, &again).await;
        assert_eq!(answer["client_id"], first["client_id"]);
        assert_eq!(answer["client_id_issued_at"], first["client_id_issued_at"]);
        assert_eq!(answer["redirect_uris"], json!([uri]));
    }
}

#[tokio::test]
async fn public_clients_that_differ_in_anything_but_a_loopback_port_are_different_clients() {
    let (_database, authz) = start().await;
    let differences = [
        json!({}),
        json!({ "client_name": "Another app" }),
        json!({ "redirect_uris": ["http://localhost:41000/callback"] }),
        json!({ "redirect_uris": ["http://127.0.0.1:41000/other"] }),
        json!({ "redirect_uris": ["https://site.example:1/cb"] }),
        json!({ "redirect_uris": ["https://site.example:2/cb"] }),
        json!({ "scope": "mcp:read" }),
        json!({ "software_version": "2" }),
        json!({ "grant_types": ["authorization_code"] }),
        json!({ "application_type": "native" }),
        json!({ "client_uri": "https://site.example" }),
    ];
    for (index, others) in differences.iter().enumerate() {
        registered(&authz, &with(public(), others)).await;
        assert_eq!(count(&authz).await, index + 1, "{others}");
    }
}

#[tokio::test]
async fn confidential_clients_are_never_merged() {
    let (_database, authz) = start().await;
    let first = registered(&authz, &confidential()).await;
    let second = registered(&authz, &confidential()).await;
    for member in ["client_id", "client_secret", "registration_access_token"] {
        assert_ne!(first[member], second[member], "{member}");
    }
}

#[tokio::test]
async fn neither_secrets_nor_tokens_are_stored_as_they_are() {
    let (database, authz) = start().await;
    let client = registered(&authz, &confidential()).await;
    let token = invitation(&authz, 3).await;
    let stored = database.dump().await;
    let holds = |text: &str| {
        stored
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds(client["client_id"].as_str().unwrap()));
    assert!(!holds(client["client_secret"].as_str().unwrap()));
    assert!(!holds(
        client["registration_access_token"].as_str().unwrap()
    ));
    assert!(!holds(&token));
}
