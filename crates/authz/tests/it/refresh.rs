//! OAuth 2.1 §4.3: every use rotates, a replay ends the family, and no session is lost.

use std::sync::Arc;

use portcullis_common::clock::Clock as _;
use portcullis_testkit::answer::Answer;
use portcullis_testkit::authz::{Authz, BASIC, FILES, MCP};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{
    Approve, NATIVE, OTHER_NATIVE, OTHER_SITE, People, READER, SITE, Tokens, race_rounds,
    refresh_body,
};
use portcullis_testkit::on_both_engines;
use serde_json::json;

use crate::verify;

async fn start() -> People {
    People::start(TestDatabase::sqlite()).await
}

async fn rotate(people: &People, tokens: &Tokens) -> Tokens {
    Tokens::read(&people.refresh(&tokens.refresh).await)
}

async fn leaves(people: &People) -> i64 {
    let question = "SELECT COUNT(*) FROM refresh_tokens WHERE rotated_at IS NULL";
    people.database().count(question).await
}

on_both_engines! {
    async fn every_refresh_gives_another_refresh_token(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let answer = people.refresh(&first.refresh).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let second = Tokens::read(&answer);
        let third = rotate(&people, &second).await;
        assert_ne!(first.refresh, second.refresh);
        assert_ne!(second.refresh, third.refresh);
        assert_ne!(first.access, second.access);
        for tokens in [&first, &second, &third] {
            assert!(people.is_active(&tokens.access).await);
        }
        assert_eq!(leaves(&people).await, 1);
    }

    async fn a_lost_answer_is_given_again_for_as_long_as_its_successor_is_unused(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let lost = rotate(&people, &first).await;
        people.pass(100);
        let again = rotate(&people, &first).await;
        assert_eq!((&again.access, &again.refresh), (&lost.access, &lost.refresh));
        assert_eq!((&again.id, &again.scope), (&lost.id, &lost.scope));
        assert_eq!(again.expires_in, 500, "the same token has less time left");
        people.pass(7 * 24 * 3600);
        let late = rotate(&people, &first).await;
        assert_eq!(late.refresh, lost.refresh);
        assert_ne!(late.access, lost.access, "the old one has ended");
        assert_eq!(late.expires_in, 600);
        assert!(people.is_active(&late.access).await);
        assert_eq!(leaves(&people).await, 1);
        rotate(&people, &late).await;
    }

    async fn within_the_grace_the_predecessor_still_answers_although_its_successor_was_used(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let second = rotate(&people, &first).await;
        let third = rotate(&people, &second).await;
        people.pass(29);
        assert_eq!(rotate(&people, &first).await.refresh, second.refresh);
        assert_eq!(rotate(&people, &second).await.refresh, third.refresh);
        rotate(&people, &third).await;
    }

    async fn a_replay_ends_the_family_and_its_access_tokens(database) {
        let people = People::start(database).await;
        for generations in [2, 3] {
            let first = people.log_in(Approve::default()).await;
            let mut newest = first.clone();
            for _ in 0..generations {
                newest = rotate(&people, &newest).await;
            }
            assert!(people.is_active(&newest.access).await);
            people.pass(30);
            people.refresh(&first.refresh).await.expect_error(400, "invalid_grant");
            people.refresh(&newest.refresh).await.expect_error(400, "invalid_grant");
            assert!(!people.is_active(&newest.access).await);
            let ended = "SELECT COUNT(*) FROM grants WHERE end_reason = 'refresh_token_replayed'";
            assert_eq!(people.database().count(ended).await, generations - 1);
        }
    }

    async fn an_answer_is_erased_when_it_must_not_be_given_again(database) {
        let people = People::start(database).await;
        let sealed = "SELECT COUNT(*) FROM refresh_tokens WHERE sealed_answer IS NOT NULL";
        let first = people.log_in(Approve::default()).await;
        let second = rotate(&people, &first).await;
        people.pass(30);
        people.authz.state.sweep_grants().await.unwrap();
        assert_eq!(people.database().count(sealed).await, 1, "the successor is unused");
        let third = rotate(&people, &second).await;
        assert_eq!(people.database().count(sealed).await, 1, "the grace is over at once");
        rotate(&people, &third).await;
        assert_eq!(people.database().count(sealed).await, 2, "the grace is not over");
        people.pass(30);
        people.authz.state.sweep_grants().await.unwrap();
        assert_eq!(people.database().count(sealed).await, 1, "the sweep erases");
        people.refresh(&first.refresh).await.expect_error(400, "invalid_grant");
        assert_eq!(people.database().count(sealed).await, 0, "with the family goes all of it");
    }

    async fn parallel_refreshes_on_two_servers_lose_no_session_and_leave_one_leaf(database) {
        let people = Arc::new(People::start(database).await);
        let replica = people.another(2).await;
        let default = if people.database().file().is_some() { 100 } else { 50 };
        let mut tokens = people.log_in(Approve::default()).await;
        for round in 0..race_rounds(default) {
            let calls: Vec<_> = (0..20)
                .map(|number| {
                    let server = if number % 2 == 0 { people.authz.clone() } else { replica.clone() };
                    let body = refresh_body(&tokens.refresh);
                    tokio::spawn(async move { patiently(&server, &body).await })
                })
                .collect();
            let mut answers = Vec::new();
            for call in calls {
                answers.push(Tokens::read(&call.await.unwrap()));
            }
            let first = answers.remove(0);
            for answer in answers {
                assert_eq!(answer, first, "round {round}");
            }
            assert_eq!(leaves(&people).await, 1, "round {round}");
            if round % 10 == 0 {
                assert!(people.is_active(&first.access).await);
                // Somebody did not get the answer, and asks once more.
                assert_eq!(rotate(&people, &tokens).await, first);
            }
            people.pass(1);
            tokens = Tokens { expires_in: 600, ..first };
        }
        assert_eq!(people.database().count("SELECT COUNT(*) FROM grants WHERE ended_at IS NOT NULL").await, 0);
    }

    async fn agents_that_share_a_token_without_order_lose_no_session(database) {
        let people = Arc::new(People::start(database).await);
        let tokens = people.log_in(Approve::default()).await;
        let shared = Arc::new(std::sync::Mutex::new(tokens.refresh));
        let rounds = race_rounds(20);
        let agents: Vec<_> = (0..20)
            .map(|_| {
                let (people, shared) = (Arc::clone(&people), Arc::clone(&shared));
                tokio::spawn(async move {
                    for _ in 0..rounds {
                        let mine = shared.lock().unwrap().clone();
                        let answer = patiently(&people.authz, &refresh_body(&mine)).await;
                        let answer = Tokens::read(&answer);
                        *shared.lock().unwrap() = answer.refresh;
                    }
                })
            })
            .collect();
        for agent in agents {
            agent.await.unwrap();
        }
        assert_eq!(leaves(&people).await, 1);
        let last = shared.lock().unwrap().clone();
        Tokens::read(&people.refresh(&last).await);
    }

    async fn a_session_survives_a_restart(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let restarted = people.another(3).await;
        let second = Tokens::read(&restarted.token(None, &refresh_body(&first.refresh)).await);
        let again = Tokens::read(&people.another(4).await.token(None, &refresh_body(&first.refresh)).await);
        assert_eq!(again, second);
    }
}

/// Asks again while the server says that it is too busy, as its `Retry-After` invites to: a machine
/// under load must not look like a lost session, and a lost session never looks like that.
async fn patiently(server: &Authz, body: &str) -> Answer {
    for _ in 0..20 {
        let answer = server.token(None, body).await;
        if answer.status != 503 {
            return answer;
        }
    }
    server.token(None, body).await
}

#[tokio::test]
async fn a_refresh_token_of_another_client_is_refused_and_its_owner_unharmed() {
    let people = start().await;
    let first = people.log_in(Approve::default()).await;
    let stolen = format!("grant_type=refresh_token&refresh_token={}", first.refresh);
    let native = format!("{stolen}&client_id={OTHER_NATIVE}");
    people
        .authz
        .token(None, &native)
        .await
        .expect_error(400, "invalid_grant");
    let site = people.authz.token(Some(SITE), &stolen).await;
    site.expect_error(400, "invalid_grant");
    let second = rotate(&people, &first).await;
    rotate(&people, &second).await;
    people.pass(31);
    // Not even a replay by a stranger touches the family.
    people
        .authz
        .token(None, &native)
        .await
        .expect_error(400, "invalid_grant");
    let again = people.refresh(&second.refresh).await;
    Tokens::read(&again);
}

#[tokio::test]
async fn a_confidential_client_authenticates_to_refresh() {
    let people = start().await;
    let what = Approve {
        client_id: SITE.0,
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let first = Tokens::read(&people.authz.token(Some(SITE), &code.body()).await);
    let body = format!("grant_type=refresh_token&refresh_token={}", first.refresh);
    let named = format!("{body}&client_id={}", SITE.0);
    people
        .authz
        .token(None, &named)
        .await
        .expect_error(401, "invalid_client");
    let wrong = people.authz.token(Some((SITE.0, "x")), &body).await;
    wrong.expect_error(401, "invalid_client");
    let other = people.authz.token(Some(OTHER_SITE), &body).await;
    other.expect_error(400, "invalid_grant");
    Tokens::read(&people.authz.token(Some(SITE), &body).await);
}

#[tokio::test]
async fn a_scope_beyond_the_grant_consumes_nothing_and_a_narrower_one_narrows_the_access_token() {
    let people = start().await;
    let first = people
        .log_in(Approve {
            scope: "mcp:write openid",
            ..Approve::default()
        })
        .await;
    for beyond in [
        "mcp:infer",
        "mcp:write+mcp:infer",
        "admin",
        "profile",
        "mcp:write+x",
    ] {
        let answer = people
            .refresh_with(&first.refresh, &format!("&scope={beyond}"))
            .await;
        answer.expect_error(400, "invalid_scope");
    }
    let malformed = people.refresh_with(&first.refresh, "&scope=a%22b").await;
    malformed.expect_error(400, "invalid_scope");
    let narrow = people.refresh_with(&first.refresh, "&scope=mcp:read").await;
    let narrow = Tokens::read(&narrow);
    assert_eq!(
        (narrow.scope.as_str(), narrow.id.as_str()),
        ("mcp:read", "")
    );
    let claims = verify::claims(&people.authz, &narrow.access).await.unwrap();
    assert_eq!(claims["scope"], "mcp:read");
    // Somebody else with the same token asks for everything: same successor, wider access token.
    let wide = rotate(&people, &first).await;
    assert_eq!(wide.refresh, narrow.refresh);
    assert_eq!(wide.scope, "mcp:write openid");
    let full = rotate(&people, &narrow).await;
    assert_eq!(full.scope, "mcp:write openid");
}

#[tokio::test]
async fn offline_access_in_a_refresh_is_ignored_granted_or_not() {
    let people = start().await;
    for (granted, asked, expected) in [
        ("mcp:read", "mcp:read+offline_access", "mcp:read"),
        ("mcp:read", "offline_access", "mcp:read"),
        ("mcp:read mcp:write", "offline_access+mcp:read", "mcp:read"),
        (
            "mcp:read offline_access",
            "mcp:read",
            "mcp:read offline_access",
        ),
        (
            "mcp:read offline_access",
            "offline_access",
            "mcp:read offline_access",
        ),
    ] {
        let tokens = people
            .log_in(Approve {
                scope: granted,
                ..Approve::default()
            })
            .await;
        let answer = people
            .refresh_with(&tokens.refresh, &format!("&scope={asked}"))
            .await;
        assert_eq!(Tokens::read(&answer).scope, expected, "{asked}");
    }
}

#[tokio::test]
async fn a_resource_outside_the_grant_consumes_nothing_and_without_one_the_audience_stays() {
    let people = start().await;
    let first = people
        .log_in(Approve {
            resource: FILES,
            scope: "mcp:read",
            ..Approve::default()
        })
        .await;
    for wrong in [
        format!("&resource={MCP}"),
        format!("&resource={FILES}&resource={MCP}"),
        "&resource=https://unheard.example".to_owned(),
        "&resource=%23".to_owned(),
    ] {
        let answer = people.refresh_with(&first.refresh, &wrong).await;
        answer.expect_error(400, "invalid_target");
    }
    let kept = rotate(&people, &first).await;
    let named = people
        .refresh_with(&kept.refresh, &format!("&resource={FILES}"))
        .await;
    for tokens in [kept, Tokens::read(&named)] {
        let claims = verify::claims(&people.authz, &tokens.access).await.unwrap();
        assert_eq!(claims["aud"], FILES);
    }
}

#[tokio::test]
async fn unknown_parameters_of_a_refresh_are_ignored() {
    let people = start().await;
    let first = people.log_in(Approve::default()).await;
    // requests-oauthlib sends the arguments of the failed call along.
    let more = "&json=%7B%22jsonrpc%22%3A%222.0%22%7D&code=x&code_verifier=y&redirect_uri=z";
    Tokens::read(&people.refresh_with(&first.refresh, more).await);
}

#[tokio::test]
async fn a_refresh_without_a_usable_token_is_told_so() {
    let people = start().await;
    let body = format!("grant_type=refresh_token&client_id={NATIVE}");
    people
        .authz
        .token(None, &body)
        .await
        .expect_error(400, "invalid_request");
    for unknown in ["x", "%00", &"x".repeat(5_000)] {
        people
            .refresh(unknown)
            .await
            .expect_error(400, "invalid_grant");
    }
    let not_for_it = people.authz.token(Some(BASIC), &refresh_body("x")).await;
    not_for_it.expect_error(400, "invalid_request");
    let not_for_it = "grant_type=refresh_token&refresh_token=x";
    let not_for_it = people.authz.token(Some(BASIC), not_for_it).await;
    not_for_it.expect_error(400, "unauthorized_client");
}

#[tokio::test]
async fn a_refresh_token_ends_unused_and_with_the_grant() {
    const DAY: u64 = 24 * 3600;
    let people = start().await;
    let idle = people.log_in(Approve::default()).await;
    people.pass(30 * DAY - 1);
    let used = rotate(&people, &idle).await;
    people.pass(30 * DAY);
    people
        .refresh(&used.refresh)
        .await
        .expect_error(400, "invalid_grant");

    let mut kept = people.log_in(Approve::default()).await;
    for _ in 0..8 {
        people.pass(20 * DAY);
        kept = rotate(&people, &kept).await;
    }
    people.pass(20 * DAY - 1);
    kept = rotate(&people, &kept).await;
    people.pass(1);
    people
        .refresh(&kept.refresh)
        .await
        .expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn claims_are_read_again_at_every_refresh() {
    let people = start().await;
    let first = people.log_in(Approve::default()).await;
    people
        .database()
        .execute("UPDATE accounts SET role = 'user', email = 'new@example.com', email_verified = 0")
        .await;
    let second = rotate(&people, &first).await;
    let claims = verify::claims(&people.authz, &second.access).await.unwrap();
    assert_eq!(claims["roles"], json!(["user"]));
    assert_eq!(claims["email"], "new@example.com");
    assert_eq!(claims["email_verified"], false);
    let id = verify::claims(&people.authz, &second.id).await.unwrap();
    assert_eq!(id.get("nonce"), None);
    let now = people.authz.clock.now().seconds();
    assert_eq!(
        id["auth_time"],
        now - 60,
        "of the login, not of the refresh"
    );
}

#[tokio::test]
async fn a_disabled_or_removed_account_ends_the_session() {
    let people = start().await;
    let first = people.log_in(Approve::default()).await;
    let second = rotate(&people, &first).await;
    let disable = "UPDATE accounts SET state = 'disabled'";
    people.database().execute(disable).await;
    for token in [&first.refresh, &second.refresh] {
        people
            .refresh(token)
            .await
            .expect_error(400, "invalid_grant");
    }
    assert!(!people.is_active(&second.access).await);
    people
        .database()
        .execute("PRAGMA foreign_keys = ON; DELETE FROM accounts")
        .await;
    people
        .refresh(&second.refresh)
        .await
        .expect_error(400, "invalid_grant");
    assert!(!people.is_active(&second.access).await);
}

#[tokio::test]
async fn a_scope_that_the_operator_took_from_the_client_is_gone_at_the_next_refresh() {
    let people = start().await;
    let what = Approve {
        client_id: READER.0,
        scope: "mcp:read mcp:write",
        ..Approve::default()
    };
    let code = people.approve(what).await;
    let first = Tokens::read(&people.authz.token(Some(READER), &code.body()).await);
    let body = format!("grant_type=refresh_token&refresh_token={}", first.refresh);
    let all = format!("{body}&scope=mcp:read+mcp:write");
    let second = Tokens::read(&people.authz.token(Some(READER), &all).await);
    assert_eq!(second.scope, "mcp:read");
    let body = format!("grant_type=refresh_token&refresh_token={}", second.refresh);
    let gone = format!("{body}&scope=mcp:write");
    let answer = people.authz.token(Some(READER), &gone).await;
    answer.expect_error(400, "invalid_scope");
}

#[tokio::test]
async fn a_kept_answer_whose_access_token_was_revoked_gives_another() {
    let people = start().await;
    let first = people.log_in(Approve::default()).await;
    let second = rotate(&people, &first).await;
    let body = format!("client_id={NATIVE}&token={}", second.access);
    assert_eq!(people.post("/revoke", None, &body).await.status, 200);
    let again = rotate(&people, &first).await;
    assert_eq!(again.refresh, second.refresh);
    assert_ne!(again.access, second.access);
    assert!(people.is_active(&again.access).await);
}
