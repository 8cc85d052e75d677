//! The audit trail of the authorization server: what is recorded, and what goes on without it.

use std::task::{Context, Waker};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use portcullis_authz::keys::admin;
use portcullis_common::audit::AuditUnavailable;
use portcullis_common::config::SigningAlgorithm;
use portcullis_common::correlation::{CORRELATION_HEADER, CorrelationIds};
use portcullis_common::entropy::SystemEntropy;
use portcullis_testkit::audit::{AuditFile, brief};
use portcullis_testkit::authz::{
    Answer, Authz, BASIC, MCP, SPA, SPA_CALLBACKS, WEB, WEB_CALLBACK, config, json_request,
    token_request,
};
use portcullis_testkit::browser::{Ask, Browser};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{ALICE, Approve, GATE, NATIVE, People, SITE, Tokens};
use serde_json::{Value, json};

const PASSWORD: &str = "a long enough password";
const MACHINE: &str = "grant_type=client_credentials";

/// A server that records, and where.
async fn start() -> (People, AuditFile) {
    let (database, file) = (TestDatabase::sqlite(), AuditFile::new());
    let config = file.turned_on(config(database.config()));
    (People::start_with(database, config).await, file)
}

/// What was recorded since the last look.
struct Look(AuditFile, usize);

impl Look {
    fn records(&mut self, authz: &Authz) -> Vec<Value> {
        let all = self.0.records(&authz.audit);
        let new = all[self.1..].to_vec();
        self.1 = all.len();
        new
    }

    /// Who did what since the last look, and how it ended.
    fn said(&mut self, authz: &Authz) -> Vec<String> {
        let names = ["event", "result", "reason", "actor", "client", "subject"];
        let records = self.records(authz);
        records.iter().map(|record| brief(record, &names)).collect()
    }
}

#[tokio::test]
async fn a_login_a_lock_a_decision_and_a_logout_are_one_record_each() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let id = authz.add_user("ann", PASSWORD).await.id;
    let id = id.as_str();
    let mut browser = Browser::at(authz, "198.51.100.7");
    let ask = Ask::of(WEB.0, WEB_CALLBACK);
    let page = browser.opens(&ask.path()).await;
    browser
        .logs_in(&page, "nobody-of-this-name", PASSWORD)
        .await;
    browser.logs_in(&page, "ann", "a wrong password").await;
    let consent = browser.logs_in(&page, "ann", PASSWORD).await;
    assert_eq!(
        look.said(authz),
        [
            "login refused unknown_account nobody - -",
            &format!("login refused wrong_password nobody - {id}"),
            &format!("login ok - user:{id} - {id}"),
        ]
    );
    browser.denies(&consent).await;
    let consent = browser.opens(&ask.path()).await;
    browser.approves(&consent).await;
    browser.opens(&ask.path()).await;
    let records = look.records(authz);
    let names = [
        "event", "result", "reason", "actor", "username", "client", "target", "scope",
    ];
    let said: Vec<_> = records.iter().map(|record| brief(record, &names)).collect();
    let who = format!("user:{id} ann web {MCP}");
    assert_eq!(
        said,
        [
            format!("consent refused denied {who} -"),
            format!("code_issued ok - {who} mcp:read"),
            format!("consent ok - {who} mcp:read"),
            // Allowed before, and not asked again.
            format!("code_issued ok - {who} mcp:read"),
        ]
    );
    assert_eq!(records[1]["grant"], records[2]["grant"]);
    assert_ne!(records[1]["grant"], records[3]["grant"]);
    assert!(
        records
            .iter()
            .all(|record| record["source"] == "198.51.100.7")
    );
    assert!(
        records
            .iter()
            .all(|record| record["issuer"] == "http://localhost:8080")
    );
    assert!(records.iter().all(|record| record["role"] == "authz"));
    assert!(
        records
            .iter()
            .all(|record| record["time"] == "2027-01-15T08:00:00.000Z")
    );

    let form = browser.get("/logout").await.form();
    browser.submits(&form).await;
    assert_eq!(look.said(authz), [format!("logout ok - user:{id} - {id}")]);
    let page = browser.get("/login").await;
    for _ in 0..6 {
        browser.logs_in(&page, "ann", "a wrong password").await;
    }
    let said = look.said(authz);
    assert_eq!(
        said[..5],
        vec![format!("login refused wrong_password nobody - {id}"); 5]
    );
    assert_eq!(said[5..], ["login_locked refused locked nobody - -"]);
}

#[tokio::test]
async fn whatever_becomes_of_a_token_request_is_one_record() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let code = people.approve(Approve::default()).await;
    let body = format!("client_id={NATIVE}&{}", code.body());
    let wrong = body.replace(&code.verifier, &"w".repeat(43));
    authz
        .token(None, &wrong)
        .await
        .expect_error(400, "invalid_grant");
    let first = Tokens::read(&authz.token(None, &body).await);
    let second = Tokens::read(&people.refresh(&first.refresh).await);
    Tokens::read(&people.refresh(&second.refresh).await);
    people.pass(31);
    people
        .refresh(&first.refresh)
        .await
        .expect_error(400, "invalid_grant");
    people
        .refresh(&second.refresh)
        .await
        .expect_error(400, "invalid_grant");
    let records = look.records(authz);
    let names = [
        "event",
        "result",
        "reason",
        "grant_type",
        "actor",
        "subject",
        "target",
        "grant",
    ];
    let said: Vec<_> = records.iter().map(|record| brief(record, &names)).collect();
    let (code_type, refresh_type) = ("authorization_code", "refresh_token");
    let about = format!("{ALICE} {MCP} {}", code.grant_id);
    let client = format!("client:{NATIVE}");
    assert_eq!(
        said,
        [
            format!("token refused verifier_mismatch {code_type} nobody {about}"),
            format!("token ok - {code_type} {client} {about}"),
            format!("token ok - {refresh_type} {client} {about}"),
            format!("token ok - {refresh_type} {client} {about}"),
            format!("token_reuse refused refresh_token_replayed {refresh_type} nobody {about}"),
            format!("token refused grant_ended {refresh_type} nobody {about}"),
        ]
    );
}

#[tokio::test]
async fn a_replayed_code_and_a_clients_own_requests_are_one_record_each() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let again = people.approve(Approve::default()).await;
    people.redeem(&again).await;
    people
        .redeem(&again)
        .await
        .expect_error(400, "invalid_grant");
    authz.issue().await;
    let more = format!("{MACHINE}&scope=admin");
    authz
        .token(Some(BASIC), &more)
        .await
        .expect_error(400, "invalid_scope");
    authz
        .token(Some(BASIC), "grant_type=x")
        .await
        .expect_error(400, "unsupported_grant_type");
    assert_eq!(
        look.said(authz),
        [
            format!("token ok - client:{NATIVE} {NATIVE} {ALICE}"),
            format!("token_reuse refused code_replayed nobody {NATIVE} {ALICE}"),
            "token ok - client:svc-basic svc-basic -".to_owned(),
            "token refused invalid_scope client:svc-basic svc-basic -".to_owned(),
            "token refused unsupported_grant_type client:svc-basic svc-basic -".to_owned(),
        ]
    );
}

#[tokio::test]
async fn refused_clients_revocations_and_introspection_are_one_record_each() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let tokens = people.log_in(Approve::default()).await;
    look.said(authz);
    authz
        .token(Some((BASIC.0, "wrong")), MACHINE)
        .await
        .expect_error(401, "invalid_client");
    // Id and secret the wrong way round: nothing of it is recorded.
    authz
        .token(Some((BASIC.1, BASIC.0)), MACHINE)
        .await
        .expect_error(401, "invalid_client");
    people.introspect(&tokens.access).await;
    let asks = format!("token={}", tokens.access);
    people
        .post("/introspect", Some(SITE), &asks)
        .await
        .expect_error(401, "invalid_client");
    people
        .post("/introspect", None, &asks)
        .await
        .expect_error(401, "invalid_client");
    for token in [&tokens.access, &tokens.refresh, "unknown"] {
        let body = format!("client_id={NATIVE}&token={token}");
        assert_eq!(
            people.post("/revoke", None, &body).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(
        look.said(authz),
        [
            "client_authentication refused wrong_secret nobody svc-basic -".to_owned(),
            "client_authentication refused unknown_client nobody - -".to_owned(),
            "introspection refused not_allowed nobody site -".to_owned(),
            "client_authentication refused no_client_id nobody - -".to_owned(),
            format!("revocation ok - client:native native {ALICE}"),
            format!("revocation ok - client:native native {ALICE}"),
            "revocation refused unknown_token client:native native -".to_owned(),
        ]
    );
    let text = std::fs::read_to_string(look.0.path()).unwrap();
    for secret in [
        BASIC.1,
        GATE.1,
        &tokens.refresh,
        &tokens.access,
        "unknown\"",
    ] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// The registration of a client that has a secret.
fn metadata(name: &str) -> Value {
    json!({ "client_name": name, "redirect_uris": [WEB_CALLBACK] })
}

#[tokio::test]
async fn a_registration_its_change_its_end_and_a_new_key_are_one_record_each() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let registered = authz.register(&metadata("App")).await.json();
    let text = |name: &str| registered[name].as_str().unwrap().to_owned();
    let (id, token) = (text("client_id"), text("registration_access_token"));
    let path = format!("/register/{id}");
    let mut body = metadata("New");
    body["client_id"] = json!(id);
    authz
        .register(&json!({ "redirect_uris": ["javascript:x"] }))
        .await;
    for (method, bearer) in [
        (Method::PUT, "wrong"),
        (Method::PUT, &token),
        (Method::GET, &token),
        (Method::DELETE, "wrong"),
        (Method::DELETE, &token),
    ] {
        authz
            .send(json_request(method, &path, Some(bearer), &body))
            .await;
    }
    authz.clock.advance(Duration::from_hours(24 * 90));
    portcullis_authz::jobs::tick(&authz.state).await;
    portcullis_authz::jobs::tick(&authz.state).await;
    let names = ["event", "result", "reason", "actor", "target"];
    let records = look.records(authz);
    let said: Vec<_> = records.iter().map(|record| brief(record, &names)).collect();
    let active = admin::list(authz.state.store()).await.unwrap();
    assert_eq!(
        said,
        [
            format!("client_registered ok - nobody {id}"),
            "client_registered refused invalid_redirect_uri nobody -".to_owned(),
            "client_changed refused invalid_token nobody -".to_owned(),
            format!("client_changed ok - client:{id} {id}"),
            "client_removed refused invalid_token nobody -".to_owned(),
            format!("client_removed ok - client:{id} {id}"),
            format!("key_rotated ok - server {}", active[0].kid),
        ]
    );
}

/// A 503 that says when to come back.
fn is_away(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn without_room_for_records_nothing_is_issued_or_changed_and_nothing_is_lost() {
    let (people, file) = start().await;
    let authz = &people.authz;
    authz.add_user("ann", PASSWORD).await;
    let tokens = people.log_in(Approve::default()).await;
    let waiting = people.approve(Approve::default()).await;
    let mut browser = Browser::new(authz);
    let login = browser.opens(&Ask::of(SPA, SPA_CALLBACKS[0]).path()).await;
    let consent = browser.logs_in(&login, "ann", PASSWORD).await;
    browser
        .allows(&Ask::of(WEB.0, WEB_CALLBACK), "ann", PASSWORD)
        .await;
    authz.audit.flush().unwrap();
    file.fill_disk();
    // Whoever comes first finds out, and is recorded later.
    authz.issue().await;
    assert_eq!(authz.audit.flush(), Err(AuditUnavailable));

    let redeem = format!("client_id={NATIVE}&{}", waiting.body());
    for answer in [
        authz.token(None, &redeem).await,
        people.refresh(&tokens.refresh).await,
        authz.token(Some(BASIC), MACHINE).await,
        authz.register(&metadata("App")).await,
    ] {
        is_away(&answer);
        answer.expect_error(503, "temporarily_unavailable");
    }
    // Pages for people: login, decision, and the answer without a question.
    let form = login
        .form()
        .with("username", "ann")
        .with("password", PASSWORD);
    is_away(&browser.clone().submits(&form).await);
    is_away(&browser.approves(&consent).await);
    is_away(&browser.opens(&Ask::of(WEB.0, WEB_CALLBACK).path()).await);

    // Reads go on, and so does what only takes away.
    assert!(people.is_active(&tokens.access).await);
    for path in ["/jwks", "/.well-known/oauth-authorization-server", "/login"] {
        assert_eq!(authz.get(path).await.status, StatusCode::OK, "{path}");
    }
    let body = format!("client_id={NATIVE}&token=unknown");
    assert_eq!(
        people.post("/revoke", None, &body).await.status,
        StatusCode::OK
    );

    file.make_room();
    authz.audit.flush().unwrap();
    Tokens::read(&people.redeem(&waiting).await);
    Tokens::read(&people.refresh(&tokens.refresh).await);
    authz.issue().await;
    assert_eq!(
        authz.register(&metadata("App")).await.status,
        StatusCode::CREATED
    );
    assert!(browser.approves(&consent).await.parameter("code").is_some());
    let names = ["event", "result", "reason"];
    let records = file.records(&authz.audit);
    let said: Vec<_> = records.iter().map(|record| brief(record, &names)).collect();
    assert_eq!(
        said,
        [
            "token ok -",
            "revocation refused unknown_token",
            "token ok -",
            "token ok -",
            "token ok -",
            "client_registered ok -",
            "code_issued ok -",
            "consent ok -",
        ]
    );
}

#[tokio::test]
async fn hostile_names_give_one_line_each_and_are_not_repeated() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let hostile = "ann\r\n{\"event\":\"login\",\"result\":\"ok\"}\u{1b}[2J\u{2028}\"\\";
    let mut browser = Browser::new(authz);
    let page = browser.get("/login").await;
    for name in [hostile, &"x".repeat(100_000), PASSWORD] {
        browser.logs_in(&page, name, PASSWORD).await;
        authz.token(Some((name, "wrong")), MACHINE).await;
    }
    let name = format!("App\u{2028}{}", "y".repeat(150));
    authz.register(&metadata(&name)).await;
    let request = Request::get("/authorize?client_id=%0d%0a%1b&state=%0a")
        .header("user-agent", "x\u{e9}".repeat(1000))
        .body(Body::empty())
        .unwrap();
    authz.send(request).await;
    let said = look.said(authz);
    let login = "login refused unknown_account nobody - -";
    let client = "client_authentication refused unknown_client nobody - -";
    assert_eq!(said[..2], [login, client], "{said:?}");
    assert!(
        said[2..]
            .iter()
            .all(|line| !line.contains("ok") || line.starts_with("client_registered")),
        "{said:?}"
    );
    let text = std::fs::read(look.0.path()).unwrap();
    assert!(
        text.iter()
            .all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte))
    );
    let text = String::from_utf8(text).unwrap();
    for told in [PASSWORD, "ann", "xxx", "yyy", "[2J"] {
        assert!(!text.contains(told), "{told}: {text}");
    }
}

#[tokio::test]
async fn a_request_whose_peer_goes_away_is_a_record_too() {
    let (people, file) = start().await;
    let (authz, mut look) = (&people.authz, Look(file, 0));
    let code = people.approve(Approve::default()).await;
    let body = format!("client_id={NATIVE}&{}", code.body());
    let mut request = Box::pin(authz.token(None, &body));
    let mut context = Context::from_waker(Waker::noop());
    // The store is asked, and its answer is not waited for.
    assert!(request.as_mut().poll(&mut context).is_pending());
    drop(request);
    let said = look.said(authz);
    assert_eq!(said.len(), 1, "{said:?}");
    let begin = format!("token failed unfinished nobody {NATIVE} ");
    assert!(said[0].starts_with(&begin), "{said:?}");
}

#[tokio::test]
async fn a_start_with_another_algorithm_is_a_new_key_and_one_record() {
    let (people, file) = start().await;
    let mut config = people.authz.state.config().clone();
    people.authz.audit.flush().unwrap();
    config.authz.signing_alg = SigningAlgorithm::EdDsa;
    let second = Authz::start_with(config.clone()).await;
    second.audit.flush().unwrap();
    let third = Authz::start_with(config).await;
    let records = file.records(&third.audit);
    let said: Vec<_> = records
        .iter()
        .map(|record| brief(record, &["event", "actor", "target"]))
        .collect();
    let keys = admin::list(third.state.store()).await.unwrap();
    assert_eq!(said, [format!("key_rotated server {}", keys[0].kid)]);
}

#[tokio::test]
async fn a_record_has_the_id_under_which_its_request_stands_in_the_log() {
    let (people, file) = start().await;
    let authz = &people.authz;
    let mut request = token_request(Some(BASIC), MACHINE);
    let headers = request.headers_mut();
    headers.insert(CORRELATION_HEADER, "c-7".parse().unwrap());
    let id = CorrelationIds::new(&SystemEntropy).of(headers);
    request.extensions_mut().insert(id);
    assert_eq!(authz.send(request).await.status, StatusCode::OK);
    assert_eq!(file.records(&authz.audit)[0]["correlation_id"], "c-7");
}
