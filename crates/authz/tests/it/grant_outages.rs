//! A store that is away while codes and refresh tokens are exchanged: 503, nothing half done, and
//! the same request works afterwards.

use std::time::Duration;

use portcullis_testkit::authz::{self, Answer, Authz};
use portcullis_testkit::clock::within;
use portcullis_testkit::database::{FaultyLink, ForeignLock, Link, TestDatabase};
use portcullis_testkit::grants::{
    Approve, GATE, NATIVE, People, Tokens, refresh_body, with_clients,
};
use portcullis_testkit::on_both_engines;

fn expect_away(answer: &Answer) {
    answer.expect_error(503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

on_both_engines! {
    async fn a_write_that_fails_in_the_middle_leaves_nothing_behind(database) {
        let people = People::start(database).await;
        let code = people.approve(Approve::default()).await;
        // The code can be marked, and the refresh token cannot be written.
        let in_the_way = "INSERT INTO refresh_tokens
                (token_hash, grant_id, generation, created_at, expires_at, rotated_at)
            SELECT 'in the way', grant_id, 0, 1, 9999999999, 1 FROM grants";
        people.database().execute(in_the_way).await;
        expect_away(&people.redeem(&code).await);
        people.database().execute("DELETE FROM refresh_tokens").await;
        let first = Tokens::read(&people.redeem(&code).await);

        // The token can be rotated, and its successor cannot be written.
        let in_the_way = in_the_way.replace("grant_id, 0,", "grant_id, 1,");
        people.database().execute(&in_the_way).await;
        expect_away(&people.refresh(&first.refresh).await);
        people.database().execute("DELETE FROM refresh_tokens WHERE token_hash = 'in the way'").await;
        let second = Tokens::read(&people.refresh(&first.refresh).await);

        // The grant can be ended, and the change cannot be counted.
        people.database().execute("ALTER TABLE change_counters RENAME TO gone").await;
        let body = format!("client_id={NATIVE}&token={}", second.refresh);
        expect_away(&people.post("/revoke", None, &body).await);
        people.database().execute("ALTER TABLE gone RENAME TO change_counters").await;
        Tokens::read(&people.refresh(&second.refresh).await);
    }

    async fn a_store_that_cannot_be_read_is_no_invalid_grant(database) {
        let people = People::start(database).await;
        let code = people.approve(Approve::default()).await;
        let tokens = people.log_in(Approve::default()).await;
        people.database().execute("ALTER TABLE grants RENAME TO gone").await;
        expect_away(&people.redeem(&code).await);
        expect_away(&people.refresh(&tokens.refresh).await);
        expect_away(&people.userinfo(&tokens.access).await);
        let token = format!("token={}", tokens.access);
        expect_away(&people.post("/introspect", Some(GATE), &token).await);
        let token = format!("client_id={NATIVE}&token={}", tokens.refresh);
        expect_away(&people.post("/revoke", None, &token).await);
        people.database().execute("ALTER TABLE gone RENAME TO grants").await;
        assert_eq!(people.redeem(&code).await.status, 200);
        Tokens::read(&people.refresh(&tokens.refresh).await);
        assert!(people.is_active(&tokens.access).await);
    }
}

#[tokio::test]
async fn a_locked_file_is_503_for_a_code_and_a_refresh_and_both_work_afterwards() {
    let people = People::start(TestDatabase::sqlite()).await;
    let code = people.approve(Approve::default()).await;
    let tokens = people.log_in(Approve::default()).await;
    let lock = ForeignLock::take(&people.database().file().unwrap()).await;
    let both = async { tokio::join!(people.redeem(&code), people.refresh(&tokens.refresh)) };
    let (redeemed, refreshed) = within(Duration::from_secs(7), Box::pin(both)).await;
    expect_away(&redeemed);
    expect_away(&refreshed);
    lock.release().await;
    assert_eq!(people.redeem(&code).await.status, 200);
    Tokens::read(&people.refresh(&tokens.refresh).await);
}

#[tokio::test]
async fn a_postgresql_server_that_is_away_is_503_within_two_seconds_and_loses_no_session() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let link = FaultyLink::to(&database).await;
    let mut people = People::start(database).await;
    let config = with_clients(authz::config(link.database().config()));
    let clock = std::sync::Arc::clone(&people.authz.clock);
    people.authz = Authz::start_seeded(config, clock, 2).await;
    for outage in [Link::Frozen, Link::Down] {
        let code = people.approve(Approve::default()).await;
        let tokens = people.log_in(Approve::default()).await;
        link.set(outage).await;
        let body = refresh_body(&tokens.refresh);
        let all = async {
            let introspection = format!("token={}", tokens.access);
            tokio::join!(
                people.redeem(&code),
                people.authz.token(None, &body),
                people.post("/introspect", Some(GATE), &introspection),
                people.userinfo(&tokens.access),
            )
        };
        let (redeemed, refreshed, introspected, told) =
            within(Duration::from_secs(2), Box::pin(all)).await;
        for answer in [redeemed, refreshed, introspected, told] {
            expect_away(&answer);
        }
        link.set(Link::Up).await;
        let healed = async { while people.authz.state.refresh().await.is_err() {} };
        within(Duration::from_secs(4), healed).await;
        assert_eq!(people.redeem(&code).await.status, 200);
        Tokens::read(&people.refresh(&tokens.refresh).await);
    }
}
