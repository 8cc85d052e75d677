//! RFC 7009: a client gives back its own tokens.

use axum::body::Body;
use http::Request;
use portcullis_testkit::authz::{Answer, BASIC, MCP};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{Approve, NATIVE, OTHER_NATIVE, People, SITE, Tokens};
use portcullis_testkit::on_both_engines;

async fn start() -> People {
    People::start(TestDatabase::sqlite()).await
}

async fn revoke_with(people: &People, token: &str, more: &str) -> Answer {
    let body = format!("client_id={NATIVE}&token={token}{more}");
    people.post("/revoke", None, &body).await
}

async fn revoke(people: &People, token: &str) {
    let answer = revoke_with(people, token, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.len(), 0);
    assert_eq!(answer.header("cache-control"), "no-store");
}

on_both_engines! {
    async fn a_revoked_refresh_token_takes_the_grant_along(database) {
        let people = People::start(database).await;
        let replica = people.another(2).await;
        let first = people.log_in(Approve::default()).await;
        let second = Tokens::read(&people.refresh(&first.refresh).await);
        let other = people.log_in(Approve::default()).await;
        revoke(&people, &second.refresh).await;
        for access in [&first.access, &second.access] {
            assert!(!people.is_active(access).await);
            assert_eq!(people.userinfo(access).await.status, 401);
        }
        for refresh in [&first.refresh, &second.refresh] {
            people.refresh(refresh).await.expect_error(400, "invalid_grant");
        }
        let body = portcullis_testkit::grants::refresh_body(&second.refresh);
        replica.token(None, &body).await.expect_error(400, "invalid_grant");
        assert!(people.is_active(&other.access).await, "another login of the same person");
    }

    async fn a_refresh_token_that_was_rotated_can_be_given_back_too(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let second = Tokens::read(&people.refresh(&first.refresh).await);
        revoke(&people, &first.refresh).await;
        people.refresh(&second.refresh).await.expect_error(400, "invalid_grant");
    }

    async fn a_revoked_access_token_goes_alone_and_is_forgotten_when_it_would_have_ended(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let second = people.log_in(Approve::default()).await;
        revoke(&people, &first.access).await;
        revoke(&people, &first.access).await;
        assert!(!people.is_active(&first.access).await);
        assert_eq!(people.userinfo(&first.access).await.status, 401);
        assert!(people.is_active(&second.access).await);
        let next = Tokens::read(&people.refresh(&first.refresh).await);
        assert!(people.is_active(&next.access).await);
        let revoked = "SELECT COUNT(*) FROM revoked_tokens";
        people.authz.state.sweep_grants().await.unwrap();
        assert_eq!(people.database().count(revoked).await, 1);
        people.pass(600);
        assert!(!people.is_active(&first.access).await);
        people.authz.state.sweep_grants().await.unwrap();
        assert_eq!(people.database().count(revoked).await, 0);
    }

    async fn what_is_revoked_on_one_server_is_inactive_on_another(database) {
        let people = People::start(database).await;
        let mut elsewhere = People::start(TestDatabase::sqlite()).await;
        elsewhere.authz = people.another(2).await;
        let tokens = people.log_in(Approve::default()).await;
        let client = people.authz.issue().await;
        for token in [&tokens.access, &client] {
            assert!(elsewhere.is_active(token).await);
        }
        revoke(&people, &tokens.access).await;
        let body = format!("token={client}");
        assert_eq!(people.post("/revoke", Some(BASIC), &body).await.status, 200);
        for token in [&tokens.access, &client] {
            assert!(!elsewhere.is_active(token).await);
        }
    }
}

#[tokio::test]
async fn the_hint_is_only_a_hint() {
    let people = start().await;
    for hint in ["access_token", "refresh_token", "pct", ""] {
        let tokens = people.log_in(Approve::default()).await;
        let hint = format!("&token_type_hint={hint}");
        let answer = revoke_with(&people, &tokens.access, &hint).await;
        assert_eq!(answer.status, 200);
        assert!(!people.is_active(&tokens.access).await);
        Tokens::read(&people.refresh(&tokens.refresh).await);
        let answer = revoke_with(&people, &tokens.refresh, &hint).await;
        assert_eq!(answer.status, 200);
        people
            .refresh(&tokens.refresh)
            .await
            .expect_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn tokens_of_others_and_unknown_ones_are_answered_alike_and_left_alone() {
    let people = start().await;
    let tokens = people.log_in(Approve::default()).await;
    let own = revoke_with(&people, "unheard-of", "").await;
    for token in [&tokens.access, &tokens.refresh, &tokens.id] {
        let body = format!("client_id={OTHER_NATIVE}&token={token}");
        let by_native = people.post("/revoke", None, &body).await;
        let by_site = people
            .post("/revoke", Some(SITE), &format!("token={token}"))
            .await;
        for answer in [by_native, by_site] {
            assert_eq!((answer.status, &answer.body), (own.status, &own.body));
            assert_eq!(answer.headers, own.headers);
        }
    }
    assert_eq!(own.status, 200);
    assert!(people.is_active(&tokens.access).await);
    Tokens::read(&people.refresh(&tokens.refresh).await);
}

#[tokio::test]
async fn a_revocation_needs_a_client_and_a_token() {
    let people = start().await;
    let tokens = people.log_in(Approve::default()).await;
    let token = format!("token={}", tokens.refresh);
    let nobody = people.post("/revoke", None, &token).await;
    nobody.expect_error(401, "invalid_client");
    let unknown = format!("client_id=nobody&{token}");
    let unknown = people.post("/revoke", None, &unknown).await;
    unknown.expect_error(401, "invalid_client");
    let wrong = people.post("/revoke", Some((SITE.0, "x")), &token).await;
    wrong.expect_error(401, "invalid_client");
    assert!(wrong.header("www-authenticate").starts_with("Basic "));
    let without = people.post("/revoke", Some(SITE), "token=").await;
    without.expect_error(400, "invalid_request");
    let twice = format!("{token}&{token}&client_id={NATIVE}");
    let twice = people.post("/revoke", None, &twice).await;
    twice.expect_error(400, "invalid_request");
    let in_query = people
        .post(
            &format!("/revoke?{token}"),
            None,
            &format!("client_id={NATIVE}"),
        )
        .await;
    in_query.expect_error(400, "invalid_request");
    Tokens::read(&people.refresh(&tokens.refresh).await);
}

#[tokio::test]
async fn revocation_and_introspection_have_one_method() {
    let people = start().await;
    for path in ["/revoke", "/introspect"] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let request = Request::builder().method(method).uri(path);
            let answer = people
                .authz
                .send(request.body(Body::empty()).unwrap())
                .await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), "POST", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_public_client_may_give_back_both_tokens_at_a_new_login() {
    let people = start().await;
    // What claude-code does, the access token being a JWT.
    let tokens = people.log_in(Approve::default()).await;
    let refresh = format!("&token_type_hint=refresh_token&resource={MCP}");
    let answers = [
        revoke_with(&people, &tokens.access, "&token_type_hint=access_token").await,
        revoke_with(&people, &tokens.refresh, &refresh).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 200);
    }
}
