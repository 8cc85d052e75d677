//! RFC 7662: a resource server asks about tokens of its own resource.

use portcullis_authz::clients::admin;
use portcullis_common::clock::Clock as _;
use portcullis_testkit::authz::{BASIC, FILES, ISSUER, MCP};
use portcullis_testkit::clock::START;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::entropy::SeededEntropy;
use portcullis_testkit::grants::{ALICE, Approve, GATE, NATIVE, People, SITE, Tokens};
use portcullis_testkit::on_both_engines;
use serde_json::json;

use crate::verify;

async fn start() -> People {
    People::start(TestDatabase::sqlite()).await
}

on_both_engines! {
    async fn an_active_token_is_told_with_its_claims(database) {
        let people = People::start(database).await;
        let tokens = people.log_in(Approve::default()).await;
        let claims = verify::claims(&people.authz, &tokens.access).await.unwrap();
        assert_eq!(people.introspect(&tokens.access).await, json!({
            "active": true,
            "iss": ISSUER,
            "sub": ALICE,
            "aud": MCP,
            "exp": START.seconds() + 600,
            "iat": START.seconds(),
            "jti": claims["jti"],
            "client_id": NATIVE,
            "scope": "email mcp:read mcp:write offline_access openid profile",
            "token_type": "Bearer",
            "roles": ["admin"],
            "username": "alice",
        }));
        let own = people.authz.issue().await;
        let told = people.introspect(&own).await;
        assert_eq!(told["sub"], "client:svc-basic");
        assert_eq!((told.get("username"), told.get("roles")), (None, None));
    }

    async fn whatever_is_not_an_active_token_of_the_resource_is_inactive_and_nothing_else(database) {
        let people = People::start(database).await;
        let tokens = people.log_in(Approve::default()).await;
        let elsewhere = people.log_in(Approve { resource: FILES, scope: "mcp:read", ..Approve::default() }).await;
        let (head, signature) = tokens.access.rsplit_once('.').unwrap();
        let payload = head.split('.').nth(1).unwrap();
        let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
        // {"alg":"none","typ":"at+jwt"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.");
        for inactive in [
            "x", "a.b.c", "..", "%00", &tokens.refresh, &tokens.id, &elsewhere.access, &forged, &unsigned,
        ] {
            assert_eq!(people.introspect(inactive).await, json!({ "active": false }), "{inactive}");
        }
        people.pass(599);
        assert!(people.is_active(&tokens.access).await);
        people.pass(1);
        assert_eq!(people.introspect(&tokens.access).await, json!({ "active": false }));
    }

    async fn a_removed_client_takes_its_tokens_and_grants_along(database) {
        let people = People::start(database).await;
        let config = people.authz.state.config().clone();
        let store = people.authz.state.store();
        let new = |id: &str, grants| admin::NewClient {
            name: id.to_owned(),
            id: Some(id.to_owned()),
            redirect_uris: vec!["https://agent.example/cb".to_owned()],
            grants,
            ..admin::NewClient::default()
        };
        use portcullis_common::config::GrantType::{AuthorizationCode, ClientCredentials, RefreshToken};
        let grants = vec![AuthorizationCode, RefreshToken, ClientCredentials];
        let clock = people.authz.clock.as_ref();
        let added = admin::add(store, &config, clock, SeededEntropy::new(5).as_ref(), new("agent", grants))
            .await
            .unwrap();
        people.authz.state.refresh().await.unwrap();
        let secret = added.secret.unwrap();
        let basic = Some(("agent", secret.expose()));
        let code = people.approve(Approve { client_id: "agent", ..Approve::default() }).await;
        let tokens = Tokens::read(&people.authz.token(basic, &code.body()).await);
        let own = people.authz.token(basic, "grant_type=client_credentials").await;
        let own = Tokens::read(&own).access;
        for token in [&own, &tokens.access] {
            assert!(people.is_active(token).await);
        }
        admin::remove(store, &config.authz, clock, "agent").await.unwrap();
        assert!(!people.is_active(&tokens.access).await, "at once: the grant has ended");
        people.authz.state.refresh().await.unwrap();
        assert!(!people.is_active(&own).await);
        let body = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
        people.authz.token(basic, &body).await.expect_error(401, "invalid_client");
        let ended = format!("SELECT COUNT(*) FROM grants WHERE ended_at = {} AND end_reason = 'client_removed'", clock.now().seconds());
        assert_eq!(people.database().count(&ended).await, 1);
    }
}

#[tokio::test]
async fn only_a_client_bound_to_a_resource_that_proves_itself_may_ask() {
    let people = start().await;
    let tokens = people.log_in(Approve::default()).await;
    let token = format!("token={}", tokens.access);
    let bound = people.post("/introspect", Some(GATE), &token).await;
    assert_eq!(bound.status, 200);
    assert_eq!(bound.header("cache-control"), "no-store");
    assert_eq!(bound.header("content-type"), "application/json");
    for other in [BASIC, SITE, (GATE.0, "x"), ("nobody", "x")] {
        let refused = people.post("/introspect", Some(other), &token).await;
        refused.expect_error(401, "invalid_client");
    }
    for body in [
        token.clone(),
        format!("{token}&client_id={NATIVE}"),
        format!("{token}&client_id={}", GATE.0),
    ] {
        let refused = people.post("/introspect", None, &body).await;
        refused.expect_error(401, "invalid_client");
    }
    let without = people.post("/introspect", Some(GATE), "").await;
    without.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn a_disabled_account_has_no_active_token() {
    let people = start().await;
    let tokens = people.log_in(Approve::default()).await;
    let disable = "UPDATE accounts SET state = 'disabled'";
    people.database().execute(disable).await;
    assert_eq!(
        people.introspect(&tokens.access).await,
        json!({ "active": false })
    );
    assert_eq!(people.userinfo(&tokens.access).await.status, 401);
}

#[tokio::test]
async fn grants_and_codes_that_ended_are_swept_and_living_ones_stay() {
    const DAY: u64 = 24 * 3600;
    let people = start().await;
    let ended = people.log_in(Approve::default()).await;
    let body = format!("client_id={NATIVE}&token={}", ended.refresh);
    people.post("/revoke", None, &body).await;
    let living = people.log_in(Approve::default()).await;
    let count = async |table: &str| {
        let question = format!("SELECT COUNT(*) FROM {table}");
        people.database().count(&question).await
    };
    people.authz.state.sweep_grants().await.unwrap();
    assert_eq!(count("grants").await, 2, "an ended grant is kept for a day");
    assert_eq!(count("authorization_codes").await, 2);
    people.pass(DAY);
    people.authz.state.sweep_grants().await.unwrap();
    assert_eq!(count("grants").await, 1);
    assert_eq!(count("authorization_codes").await, 0);
    Tokens::read(&people.refresh(&living.refresh).await);
    people.pass(31 * DAY);
    people.authz.state.sweep_grants().await.unwrap();
    assert_eq!(count("refresh_tokens").await, 0, "idle for too long");
    people.pass(150 * DAY);
    people.authz.state.sweep_grants().await.unwrap();
    assert_eq!(count("grants").await, 0);
}
