//! OAuth 2.1 §4.1.3, RFC 7636: a code is redeemed once, by whom it was given to.

use std::collections::HashSet;

use portcullis_common::clock::Clock as _;
use portcullis_testkit::authz::{BASIC, FILES, ISSUER, MCP};
use portcullis_testkit::clock::START;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{
    ALICE, Approve, CALLBACK, Code, NATIVE, ONCE, OTHER_NATIVE, OTHER_SITE, People, READER, SITE,
    Tokens, race_rounds,
};
use portcullis_testkit::on_both_engines;
use serde_json::json;

use crate::verify;

async fn start() -> People {
    People::start(TestDatabase::sqlite()).await
}

/// Redeems with another body than the right one.
async fn redeem_as(people: &People, client: &str, body: &str) -> portcullis_testkit::authz::Answer {
    let body = format!("client_id={client}&{body}");
    people.authz.token(None, &body).await
}

on_both_engines! {
    async fn a_code_gives_tokens_that_say_who_allowed_what(database) {
        let people = People::start(database).await;
        let code = people.approve(Approve { nonce: Some("n-1"), ..Approve::default() }).await;
        people.pass(5);
        let answer = people.redeem(&code).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("set-cookie"), "");
        let tokens = Tokens::read(&answer);
        let scope = "email mcp:read mcp:write offline_access openid profile";
        assert_eq!((tokens.scope.as_str(), tokens.expires_in), (scope, 600));
        assert_eq!(answer.json()["token_type"], "Bearer");
        assert_eq!(tokens.refresh.len(), 43, "256 bits as base64url");

        let claims = verify::claims(&people.authz, &tokens.access).await.unwrap();
        assert_eq!(claims, json!({
            "iss": ISSUER,
            "sub": ALICE,
            "aud": MCP,
            "exp": START.seconds() + 605,
            "iat": START.seconds() + 5,
            "jti": claims["jti"],
            "client_id": NATIVE,
            "scope": scope,
            "roles": ["admin"],
            "grant_id": code.grant_id,
            "preferred_username": "alice",
            "email": "alice@example.com",
            "email_verified": true,
        }));
        assert_eq!(verify::header(&tokens.access)["typ"], "at+jwt");
        let id = verify::claims(&people.authz, &tokens.id).await.unwrap();
        assert_eq!(id, json!({
            "iss": ISSUER,
            "sub": ALICE,
            "aud": NATIVE,
            "exp": START.seconds() + 605,
            "iat": START.seconds() + 5,
            "auth_time": START.seconds() - 60,
            "nonce": "n-1",
        }));
        assert_eq!(verify::header(&tokens.id)["typ"], "JWT");
    }

    async fn a_replayed_code_is_refused_and_ends_what_came_of_it(database) {
        let people = People::start(database).await;
        for seconds in [1, 30] {
            let code = people.approve(Approve::default()).await;
            let tokens = Tokens::read(&people.redeem(&code).await);
            assert!(people.is_active(&tokens.access).await);
            people.pass(seconds);
            people.redeem(&code).await.expect_error(400, "invalid_grant");
            assert!(!people.is_active(&tokens.access).await);
            people.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
        }
    }

    async fn a_replay_that_would_have_been_wrong_changes_nothing(database) {
        let people = People::start(database).await;
        let code = people.approve(Approve::default()).await;
        let tokens = Tokens::read(&people.redeem(&code).await);
        let wrong_verifier = Code { verifier: "x".repeat(43), ..code.clone() };
        people.redeem(&wrong_verifier).await.expect_error(400, "invalid_grant");
        redeem_as(&people, OTHER_NATIVE, &code.body()).await.expect_error(400, "invalid_grant");
        let body = format!("{}&redirect_uri=https://evil.example", code.body());
        redeem_as(&people, NATIVE, &body).await.expect_error(400, "invalid_grant");
        let body = format!("{}&resource={FILES}", code.body());
        redeem_as(&people, NATIVE, &body).await.expect_error(400, "invalid_target");
        people.pass(600);
        people.redeem(&code).await.expect_error(400, "invalid_grant");
        Tokens::read(&people.refresh(&tokens.refresh).await);
    }

    async fn wrong_verifiers_burn_nothing_until_the_fifth(database) {
        let people = People::start(database).await;
        for (tries, expected) in [(4, 200), (5, 400)] {
            let code = people.approve(Approve::default()).await;
            for number in 0..tries {
                let verifier = match number {
                    0 => "short".to_owned(),
                    _ => format!("{number}").repeat(43),
                };
                let wrong = Code { verifier, ..code.clone() };
                people.redeem(&wrong).await.expect_error(400, "invalid_grant");
            }
            assert_eq!(people.redeem(&code).await.status, expected, "after {tries}");
        }
    }

    async fn of_many_redemptions_on_two_servers_at_the_same_moment_one_succeeds(database) {
        let people = People::start(database).await;
        let replica = people.another(2).await;
        for _ in 0..rounds(&people) {
            let code = people.approve(Approve::default()).await;
            let calls: Vec<_> = (0..50)
                .map(|number| {
                    let server = if number % 2 == 0 { &people.authz } else { &replica }.clone();
                    let body = format!("client_id={NATIVE}&{}", code.body());
                    tokio::spawn(async move { server.token(None, &body).await })
                })
                .collect();
            let mut won = 0;
            for call in calls {
                let answer = call.await.unwrap();
                match answer.status.as_u16() {
                    200 => won += 1,
                    _ => answer.expect_error(400, "invalid_grant"),
                }
            }
            assert_eq!(won, 1);
        }
    }

    async fn no_code_no_refresh_token_and_no_answer_lies_readable_in_the_database(database) {
        let people = People::start(database).await;
        let code = people.approve(Approve::default()).await;
        let first = Tokens::read(&people.redeem(&code).await);
        let second = Tokens::read(&people.refresh(&first.refresh).await);
        let dump = String::from_utf8_lossy(&people.database().dump().await).into_owned();
        assert!(dump.contains(&code.grant_id), "the dump is read right");
        let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
        let secrets = [
            &code.code, &code.verifier, &first.refresh, &second.refresh,
            &signature(&first.access), &signature(&second.access), &signature(&second.id),
        ];
        for secret in secrets {
            assert!(!dump.contains(secret.as_str()), "{secret}");
        }
    }
}

/// A race needs many rounds to be worth something; a slower engine gets fewer.
fn rounds(people: &People) -> u32 {
    race_rounds(match people.database().file() {
        Some(_) => 200,
        None => 60,
    })
}

#[tokio::test]
async fn a_code_belongs_to_one_client_whatever_the_other_proves() {
    let people = start().await;
    let code = people.approve(Approve::default()).await;
    redeem_as(&people, OTHER_NATIVE, &code.body())
        .await
        .expect_error(400, "invalid_grant");
    for thief in [SITE, OTHER_SITE] {
        let answer = people.authz.token(Some(thief), &code.body()).await;
        answer.expect_error(400, "invalid_grant");
    }
    let posing = format!(
        "client_id={NATIVE}&client_secret={}&{}",
        SITE.1,
        code.body()
    );
    people
        .authz
        .token(None, &posing)
        .await
        .expect_error(401, "invalid_client");
    assert_eq!(people.redeem(&code).await.status, 200);

    let what = Approve {
        client_id: SITE.0,
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let stolen = people.authz.token(Some(OTHER_SITE), &code.body()).await;
    stolen.expect_error(400, "invalid_grant");
    let own = people.authz.token(Some(SITE), &code.body()).await;
    assert_eq!(own.status, 200, "{own:?}");
}

#[tokio::test]
async fn a_failed_client_authentication_does_not_consume_the_code() {
    let people = start().await;
    let code = people.approve(Approve::default()).await;
    // What go-oauth2 does: Basic with an empty secret first, then the id in the body.
    let basic = people.authz.token(Some((NATIVE, "")), &code.body()).await;
    basic.expect_error(401, "invalid_client");
    assert_eq!(people.redeem(&code).await.status, 200);

    let what = Approve {
        client_id: SITE.0,
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let wrong = people.authz.token(Some((SITE.0, "x")), &code.body()).await;
    wrong.expect_error(401, "invalid_client");
    redeem_as(&people, SITE.0, &code.body())
        .await
        .expect_error(401, "invalid_client");
    let right = people.authz.token(Some(SITE), &code.body()).await;
    assert_eq!(right.status, 200, "{right:?}");
}

#[tokio::test]
async fn a_matching_client_id_beside_the_header_is_fine() {
    let people = start().await;
    // What the Python SDK sends with a registration that names no method.
    let what = Approve {
        client_id: SITE.0,
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let body = format!("{}&client_id={}", code.body(), SITE.0);
    let answer = people.authz.token(Some(SITE), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_redirect_uri_is_compared_if_it_is_sent() {
    let people = start().await;
    let code = people.approve(Approve::default()).await;
    for wrong in ["http://127.0.0.1:4712/cb", "http://127.0.0.1:4711/cb/", "x"] {
        let body = format!("{}&redirect_uri={wrong}", code.body());
        redeem_as(&people, NATIVE, &body)
            .await
            .expect_error(400, "invalid_grant");
    }
    let body = format!("{}&redirect_uri={CALLBACK}", code.body());
    assert_eq!(redeem_as(&people, NATIVE, &body).await.status, 200);
}

#[tokio::test]
async fn a_code_needs_its_verifier() {
    let people = start().await;
    let code = people.approve(Approve::default()).await;
    let without = format!("grant_type=authorization_code&code={}", code.code);
    redeem_as(&people, NATIVE, &without)
        .await
        .expect_error(400, "invalid_request");
    let without = format!(
        "grant_type=authorization_code&code_verifier={}",
        code.verifier
    );
    redeem_as(&people, NATIVE, &without)
        .await
        .expect_error(400, "invalid_request");
    assert_eq!(people.redeem(&code).await.status, 200);
}

#[tokio::test]
async fn a_code_ends_by_our_clock() {
    let people = start().await;
    for (seconds, expected) in [(59, 200), (60, 400), (3600, 400)] {
        let code = people.approve(Approve::default()).await;
        people.pass(seconds);
        let answer = people.redeem(&code).await;
        assert_eq!(answer.status, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn an_unknown_code_is_an_invalid_grant() {
    let people = start().await;
    let invented = Code {
        grant_id: String::new(),
        code: "x".repeat(43),
        verifier: "x".repeat(43),
    };
    people
        .redeem(&invented)
        .await
        .expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_audience_is_the_resource_that_was_granted_and_no_other_can_be_had() {
    let people = start().await;
    for resource in [MCP, FILES] {
        let what = Approve {
            resource,
            scope: "mcp:read",
            ..Approve::default()
        };
        let code = people.approve(what).await;
        let other = if resource == MCP { FILES } else { MCP };
        for wrong in [
            format!("&resource={other}"),
            format!("&resource={resource}&resource={other}"),
            "&resource=https://unheard.example".to_owned(),
            "&resource=x".to_owned(),
        ] {
            let body = code.body() + &wrong;
            redeem_as(&people, NATIVE, &body)
                .await
                .expect_error(400, "invalid_target");
        }
        let upper = resource.replace("http", "HTTP");
        let body = format!("{}&resource={upper}", code.body());
        let tokens = Tokens::read(&redeem_as(&people, NATIVE, &body).await);
        let claims = verify::claims(&people.authz, &tokens.access).await.unwrap();
        assert_eq!(claims["aud"], resource);
    }
}

#[tokio::test]
async fn a_client_without_the_grant_is_refused_before_the_code_is_looked_at() {
    let people = start().await;
    let code = people.approve(Approve::default()).await;
    let answer = people.authz.token(Some(BASIC), &code.body()).await;
    answer.expect_error(400, "unauthorized_client");
    let answer = people
        .authz
        .token(Some(ONCE), "grant_type=refresh_token&refresh_token=x")
        .await;
    answer.expect_error(400, "unauthorized_client");
}

#[tokio::test]
async fn a_refresh_token_comes_with_the_grant_type_unless_offline_access_was_unticked() {
    let people = start().await;
    let plain = people
        .log_in(Approve {
            scope: "mcp:read",
            ..Approve::default()
        })
        .await;
    assert_eq!(plain.refresh.len(), 43);
    assert_eq!((plain.scope.as_str(), plain.id.as_str()), ("mcp:read", ""));
    let unticked = people
        .log_in(Approve {
            allows_refresh: false,
            ..Approve::default()
        })
        .await;
    assert_eq!(unticked.refresh, "");
    let what = Approve {
        client_id: ONCE.0,
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let once = Tokens::read(&people.authz.token(Some(ONCE), &code.body()).await);
    assert_eq!(once.refresh, "");
}

#[tokio::test]
async fn nothing_is_said_about_the_person_without_its_scope() {
    let people = start().await;
    for (scope, has_name, has_email) in [
        ("mcp:read", false, false),
        ("mcp:read openid", false, false),
        ("mcp:read profile", true, false),
        ("mcp:read email", false, true),
    ] {
        let tokens = people
            .log_in(Approve {
                scope,
                ..Approve::default()
            })
            .await;
        let claims = verify::claims(&people.authz, &tokens.access).await.unwrap();
        assert_eq!(claims.get("preferred_username").is_some(), has_name);
        assert_eq!(claims.get("email").is_some(), has_email);
        assert_eq!(claims.get("email_verified").is_some(), has_email);
        assert_eq!(claims["roles"], json!(["admin"]));
    }
}

#[tokio::test]
async fn what_the_operator_took_from_a_client_is_not_in_its_tokens() {
    let people = start().await;
    let what = Approve {
        client_id: READER.0,
        scope: "mcp:read mcp:write openid",
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let tokens = Tokens::read(&people.authz.token(Some(READER), &code.body()).await);
    assert_eq!(tokens.scope, "mcp:read openid");
}

#[tokio::test]
async fn a_disabled_account_or_an_ended_grant_gives_nothing_for_a_code() {
    let people = start().await;
    let code = people.approve(Approve::default()).await;
    people
        .database()
        .execute("UPDATE accounts SET state = 'disabled'")
        .await;
    people
        .redeem(&code)
        .await
        .expect_error(400, "invalid_grant");
    people
        .database()
        .execute("UPDATE accounts SET state = 'enabled'")
        .await;
    people
        .database()
        .execute("UPDATE grants SET ended_at = 1, end_reason = 'x'")
        .await;
    people
        .redeem(&code)
        .await
        .expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn two_thousand_refresh_tokens_are_all_different() {
    let people = start().await;
    let mut seen = HashSet::new();
    let mut tokens = people.log_in(Approve::default()).await;
    for _ in 0..2_000 {
        assert!(seen.insert(tokens.refresh.clone()));
        tokens = Tokens::read(&people.refresh(&tokens.refresh).await);
    }
    assert_eq!(people.authz.clock.now(), START);
}
