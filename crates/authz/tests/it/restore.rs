//! A store that was restored from a backup: what the backup believes live may have been spent since.

use portcullis_testkit::authz::{BASIC, CLI, CLI_CALLBACK};
use portcullis_testkit::browser::{Ask, Browser};
use portcullis_testkit::grants::{Approve, NATIVE, People, Tokens};
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::on_both_engines;

use crate::verify;

/// An operator restores the database that this server has open, and marks it.
async fn restore(people: &People) {
    use portcullis_common::clock::Clock as _;
    let now = people.authz.clock.now();
    people.authz.state.store().mark_restored(now).await.unwrap();
}

on_both_engines! {
    async fn refresh_tokens_of_a_restored_backup_are_refused_and_a_new_login_works(database) {
        let people = People::start(database).await;
        let first = people.log_in(Approve::default()).await;
        let leaf = Tokens::read(&people.refresh(&first.refresh).await);
        restore(&people).await;
        for old in [&first.refresh, &leaf.refresh] {
            let answer = people.refresh(old).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &"invalid_grant".into()));
        }
        let new = people.log_in(Approve::default()).await;
        let again = Tokens::read(&people.refresh(&new.refresh).await);
        assert!(people.is_active(&again.access).await);
    }

    async fn codes_of_a_restored_backup_are_refused(database) {
        let people = People::start(database).await;
        let (spent, unspent) = (
            people.approve(Approve::default()).await,
            people.approve(Approve::default()).await,
        );
        people.redeem(&spent).await;
        restore(&people).await;
        for code in [&spent, &unspent] {
            let answer = people.redeem(code).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &"invalid_grant".into()));
        }
        let fresh = people.approve(Approve::default()).await;
        Tokens::read(&people.redeem(&fresh).await);
    }

    async fn access_tokens_of_a_restored_backup_end_at_the_server_and_their_signature_still_holds(database) {
        let people = People::start(database).await;
        let tokens = people.log_in(Approve::default()).await;
        let of_a_client = people.authz.issue().await;
        restore(&people).await;
        assert!(!people.is_active(&tokens.access).await, "its grant may have been revoked since");
        assert_eq!(people.userinfo(&tokens.access).await.status, 401);
        assert!(people.is_active(&of_a_client).await, "it came from no grant");
        assert!(verify::claims(&people.authz, &tokens.access).await.is_some());
        people.authz.state.refresh().await.unwrap();
        let answer = people.authz.token(Some(BASIC), "grant_type=client_credentials").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn nothing_that_is_redeemed_or_rotated_while_a_restore_is_marked_lives_on(database) {
        let people = People::start(database).await;
        for _ in 0..20 {
            let tokens = people.log_in(Approve::default()).await;
            let code = people.approve(Approve::default()).await;
            let (redeemed, rotated, ()) =
                tokio::join!(people.redeem(&code), people.refresh(&tokens.refresh), restore(&people));
            for answer in [redeemed, rotated] {
                if answer.status == 200 {
                    let given = Tokens::read(&answer);
                    assert_eq!(people.refresh(&given.refresh).await.json()["error"], "invalid_grant");
                    assert!(!people.is_active(&given.access).await);
                } else {
                    assert_eq!(answer.json()["error"], "invalid_grant");
                }
            }
        }
    }

    async fn sessions_requests_and_invitations_of_a_restored_backup_are_gone(database) {
        let people = People::start(database).await;
        people.authz.add_user("bob", "correct horse").await;
        let mut browser = Browser::new(&people.authz);
        browser.is_logged_in_as("bob", "correct horse").await;
        let waiting = browser.opens(&Ask::of(CLI, CLI_CALLBACK).path()).await;
        people
            .database()
            .execute(
                "INSERT INTO initial_access_tokens (token_hash, uses_left, created_at, expires_at)
                 VALUES ('x', 5, 1, 9999999999)",
            )
            .await;
        restore(&people).await;
        for table in ["sessions", "authorization_requests", "initial_access_tokens"] {
            let rows = people.database().count(&format!("SELECT COUNT(*) FROM {table}")).await;
            assert_eq!(rows, 0, "{table}");
        }
        let answer = browser.submits(&waiting.form().with("decision", "allow")).await;
        assert!(answer.parameter("code").is_none(), "{answer:?}");
        let code = browser.allows(&Ask::of(CLI, CLI_CALLBACK), "bob", "correct horse").await;
        assert!(!code.is_empty());
        let consents = "SELECT COUNT(*) FROM consents";
        assert_eq!(people.database().count(consents).await, 1);
    }

    async fn every_restore_ends_what_began_since_the_one_before(database) {
        let people = People::start(database).await;
        restore(&people).await;
        let between = people.log_in(Approve::default()).await;
        Tokens::read(&people.refresh(&between.refresh).await);
        restore(&people).await;
        let answer = people.refresh(&between.refresh).await;
        assert_eq!(answer.json()["error"], "invalid_grant");
        let after = people.log_in(Approve { client_id: NATIVE, ..Approve::default() }).await;
        Tokens::read(&people.refresh(&after.refresh).await);
    }

    async fn the_start_says_when_the_store_was_restored(database) {
        let people = People::start(database).await;
        let log = CapturedLog::begin();
        people.another(2).await;
        assert!(!log.text().contains("restored"), "{}", log.text());
        restore(&people).await;
        people.another(3).await;
        let text = log.text();
        let lines: Vec<_> = text.lines().filter(|line| line.contains("restored_at")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(line["level"], "WARN", "{line}");
        assert!(lines[0].contains(" GMT"), "{line}");
    }
}
