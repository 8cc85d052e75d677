//! RFC 7592: a confidential client reads, replaces and removes its own registration.

use axum::body::Body;
use http::{Method, Request};
use portcullis_testkit::authz::{Answer, Authz, json_request};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::on_both_engines;
use serde_json::{Value, json};

use crate::registration::{
    confidential, count, invitation, public, register_invited, registered, with,
};

const GRANT: &str = "grant_type=client_credentials";

/// A registered client, as it is told about itself.
struct Registered(Value);

impl Registered {
    async fn new(authz: &Authz) -> Self {
        Self(registered(authz, &confidential()).await)
    }

    fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap()
    }

    fn token(&self) -> &str {
        self.text("registration_access_token")
    }

    fn basic(&self) -> (&str, &str) {
        (self.text("client_id"), self.text("client_secret"))
    }

    async fn send(
        &self,
        authz: &Authz,
        method: Method,
        token: Option<&str>,
        body: &Value,
    ) -> Answer {
        let path = format!("/register/{}", self.text("client_id"));
        authz.send(json_request(method, &path, token, body)).await
    }

    async fn read(&self, authz: &Authz) -> Answer {
        self.send(authz, Method::GET, Some(self.token()), &json!(null))
            .await
    }

    async fn replace(&self, authz: &Authz, others: &Value) -> Answer {
        let own = json!({ "client_id": self.text("client_id") });
        let body = with(with(confidential(), &own), others);
        self.send(authz, Method::PUT, Some(self.token()), &body)
            .await
    }
}

on_both_engines! {
    async fn a_client_reads_what_it_registered_without_the_secret(database) {
        let authz = Authz::start(&database).await;
        let client = Registered::new(&authz).await;
        let answer = client.read(&authz).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
        let mut expected = client.0.clone();
        for member in ["client_secret", "client_secret_expires_at"] {
            expected.as_object_mut().unwrap().remove(member);
        }
        assert_eq!(answer.json(), expected);
    }

    async fn a_client_replaces_its_metadata_and_keeps_id_and_secret(database) {
        let authz = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        let client = Registered::new(&authz).await;
        for authz in [&authz, &elsewhere] {
            authz.token(Some(client.basic()), GRANT).await.expect_error(400, "unauthorized_client");
        }
        let others = json!({
            "client_secret": client.text("client_secret"),
            "token_endpoint_auth_method": "client_secret_post",
            "client_name": null,
            "scope": "mcp:read",
        });
        let answer = client.replace(&authz, &others).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["client_id"], client.0["client_id"]);
        assert_eq!(answer["registration_access_token"], client.0["registration_access_token"]);
        assert_eq!(answer["token_endpoint_auth_method"], "client_secret_post");
        assert_eq!((answer.get("client_name"), answer.get("client_secret")), (None, None));
        assert_eq!(client.read(&authz).await.json(), answer);
        elsewhere.state.refresh().await.unwrap();
        let (id, secret) = client.basic();
        let body = format!("{GRANT}&client_id={id}&client_secret={secret}");
        for authz in [&authz, &elsewhere] {
            authz.token(Some(client.basic()), GRANT).await.expect_error(401, "invalid_client");
            authz.token(None, &body).await.expect_error(400, "unauthorized_client");
        }
    }

    async fn a_removed_client_is_dead_with_everything_it_was_allowed(database) {
        let authz = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        let client = Registered::new(&authz).await;
        elsewhere.token(Some(client.basic()), GRANT).await.expect_error(400, "unauthorized_client");
        database.execute(
            "INSERT INTO accounts (account_id, username, email_verified, role, state, password_hash,
                                   created_at, password_changed_at)
             VALUES ('a', 'ada', 0, 'user', 'enabled', 'x', 1, 1)").await;
        database.execute(
            "INSERT INTO grants (grant_id, account_id, client_id, resource, scope, auth_time,
                                 created_at, expires_at)
             SELECT 'g', 'a', client_id, 'http://localhost:8080/mcp', 'mcp:read', 1, 1, 2000000000
               FROM registered_clients").await;
        let before = authz.state.store().load_change_counters().await.unwrap();

        let answer = client.send(&authz, Method::DELETE, Some(client.token()), &json!(null)).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (204, "no-store"));
        assert!(answer.body.is_empty());
        authz.token(Some(client.basic()), GRANT).await.expect_error(401, "invalid_client");
        elsewhere.state.refresh().await.unwrap();
        elsewhere.token(Some(client.basic()), GRANT).await.expect_error(401, "invalid_client");
        client.read(&authz).await.expect_error(401, "invalid_token");
        assert_eq!(count(&authz).await, 0);
        let stored = database.dump().await;
        assert!(stored.windows(14).any(|window| window == b"client_removed"));
        let after = authz.state.store().load_change_counters().await.unwrap();
        assert_eq!(after.registrations, before.registrations + 1);
    }
}

#[tokio::test]
async fn without_its_own_token_nobody_touches_a_registration_nor_learns_that_it_exists() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let client = Registered::new(&authz).await;
    let other = Registered::new(&authz).await;
    let shared = registered(&authz, &public()).await;
    let invitation = invitation(&authz, 1).await;
    let tokens = [
        None,
        Some(""),
        Some("wrong"),
        Some(other.token()),
        Some(client.text("client_secret")),
        Some(&invitation),
    ];
    let own = json!({ "client_id": client.text("client_id") });
    let unknown = Registered(json!({ "client_id": "nobody" }));
    let unreadable = Registered(json!({ "client_id": "%ff" }));
    let answers = [Method::GET, Method::PUT, Method::DELETE]
        .into_iter()
        .flat_map(|method| tokens.map(|token| (method.clone(), token)));
    let mut bodies = Vec::new();
    for (method, token) in answers {
        for target in [&client, &Registered(shared.clone()), &unknown, &unreadable] {
            let body = with(confidential(), &own);
            let answer = target.send(&authz, method.clone(), token, &body).await;
            answer.expect_error(401, "invalid_token");
            bodies.push((answer.headers, answer.body));
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "all of them look alike");
    assert_eq!(client.read(&authz).await.status, 200);
    assert_eq!(count(&authz).await, 3);
}

#[tokio::test]
async fn a_replacement_that_breaks_a_rule_changes_nothing() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let client = Registered::new(&authz).await;
    let before = client.read(&authz).await.json();
    for (others, code) in [
        (json!({ "client_id": null }), "invalid_client_metadata"),
        (json!({ "client_id": "other" }), "invalid_client_metadata"),
        (
            json!({ "client_secret": "chosen" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "token_endpoint_auth_method": "none" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "grant_types": ["implicit"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": ["javascript:x"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "software_statement": "a.b.c" }),
            "invalid_software_statement",
        ),
    ] {
        client
            .replace(&authz, &others)
            .await
            .expect_error(400, code);
        assert_eq!(client.read(&authz).await.json(), before);
    }
}

#[tokio::test]
async fn an_invited_client_that_acts_for_itself_may_go_on_doing_so() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let token = invitation(&authz, 1).await;
    let machine = json!({ "grant_types": ["client_credentials"] });
    let client = Registered(register_invited(&authz, &token, &machine).await.json());
    let others = json!({ "grant_types": ["client_credentials"], "client_name": "Renamed" });
    let answer = client.replace(&authz, &others).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["client_name"]),
        (200, &json!("Renamed"))
    );
    assert_eq!(authz.token(Some(client.basic()), GRANT).await.status, 200);
}

#[tokio::test]
async fn a_web_page_may_register_and_manage_its_registration() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    for (path, method, allowed) in [
        ("/register", "POST", "GET,POST"),
        ("/register/x", "PUT", "GET,PUT,DELETE"),
    ] {
        let preflight = Request::options(path)
            .header("origin", "https://app.example")
            .header("access-control-request-method", method)
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            )
            .body(Body::empty())
            .unwrap();
        let answer = authz.send(preflight).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), allowed);
    }
    let answer = authz.register(&json!({})).await;
    assert_eq!(answer.status, 400);
    let wrong_method = json_request(Method::POST, "/register/x", None, &json!({}));
    authz
        .send(wrong_method)
        .await
        .expect_error(405, "invalid_request");
}
