//! OpenID Connect Core 1.0 §5.3: what a token says about its person.

use axum::body::Body;
use http::{Method, Request};
use portcullis_testkit::authz::{Answer, FILES};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{ALICE, Approve, People};
use portcullis_testkit::on_both_engines;
use serde_json::json;

async fn start() -> People {
    People::start(TestDatabase::sqlite()).await
}

async fn ask(people: &People, authorization: &[&str]) -> Answer {
    let request = authorization
        .iter()
        .fold(Request::get("/userinfo"), |request, line| {
            request.header("authorization", *line)
        });
    people
        .authz
        .send(request.body(Body::empty()).unwrap())
        .await
}

on_both_engines! {
    async fn claims_follow_the_scope_and_the_account_as_it_is_now(database) {
        let people = People::start(database).await;
        let name = json!("alice");
        for (scope, expected) in [
            ("openid", json!({ "sub": ALICE })),
            ("openid profile", json!({ "sub": ALICE, "preferred_username": name })),
            ("openid email mcp:read", json!({
                "sub": ALICE, "email": "alice@example.com", "email_verified": true
            })),
        ] {
            let tokens = people.log_in(Approve { scope, ..Approve::default() }).await;
            let answer = people.userinfo(&tokens.access).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json(), expected);
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        let tokens = people.log_in(Approve { scope: "openid email", ..Approve::default() }).await;
        people.database().execute("UPDATE accounts SET email = NULL").await;
        assert_eq!(people.userinfo(&tokens.access).await.json(), json!({ "sub": ALICE }));
    }
}

#[tokio::test]
async fn any_audience_and_both_methods_are_answered() {
    let people = start().await;
    let what = Approve {
        resource: FILES,
        scope: "openid mcp:read",
        ..Approve::default()
    };
    let tokens = people.log_in(what).await;
    for method in [Method::GET, Method::POST] {
        let request = Request::builder()
            .method(method)
            .uri("/userinfo")
            .header("authorization", format!("bEARER  {}", tokens.access))
            .header("origin", "https://app.example");
        let answer = people
            .authz
            .send(request.body(Body::empty()).unwrap())
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["sub"], ALICE);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    let put = Request::put("/userinfo").body(Body::empty()).unwrap();
    assert_eq!(people.authz.send(put).await.status, 405);
}

#[tokio::test]
async fn without_a_good_token_there_is_a_challenge_and_nothing_else() {
    let people = start().await;
    let tokens = people.log_in(Approve::default()).await;
    let bearer = format!("Bearer {}", tokens.access);
    for nothing in [
        &[][..],
        &["Basic x"],
        &["Bearer"],
        &["Bearer "],
        &[&bearer, &bearer],
    ] {
        let answer = ask(&people, nothing).await;
        answer.expect_error(401, "invalid_token");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"portcullis\""
        );
    }
    let own = people.authz.issue().await;
    for wrong in [&tokens.id, &tokens.refresh, "x", "a.b.c"] {
        let answer = people.userinfo(wrong).await;
        answer.expect_error(401, "invalid_token");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"portcullis\", error=\"invalid_token\""
        );
    }
    let plain = people
        .log_in(Approve {
            scope: "mcp:read",
            ..Approve::default()
        })
        .await;
    for narrow in [&own, &plain.access] {
        let answer = people.userinfo(narrow).await;
        answer.expect_error(403, "insufficient_scope");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"openid\""
        );
    }
    people.pass(600);
    let late = people.userinfo(&tokens.access).await;
    late.expect_error(401, "invalid_token");
}
