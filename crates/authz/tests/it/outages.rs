//! A store that is away: 503 for what needs it, and back without a restart.

use std::time::Duration;

use portcullis_testkit::authz::{self, Authz, BASIC};
use portcullis_testkit::clock::within;
use portcullis_testkit::database::{FaultyLink, ForeignLock, Link, TestDatabase};

const TWO_SECONDS: Duration = Duration::from_secs(2);
const GRANT: &str = "grant_type=client_credentials";

#[tokio::test]
async fn without_postgresql_tokens_are_503_within_two_seconds_and_then_come_back() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let link = FaultyLink::to(&database).await;
    let authz = Authz::start_with(authz::config(link.database().config())).await;
    for outage in [Link::Frozen, Link::Down] {
        assert_eq!(authz.token(Some(BASIC), GRANT).await.status, 200);
        authz.state.ready().await.unwrap();
        link.set(outage).await;

        within(TWO_SECONDS, authz.state.refresh())
            .await
            .unwrap_err();
        let refused = authz.token(Some(BASIC), GRANT).await;
        refused.expect_error(503, "temporarily_unavailable");
        assert_eq!(refused.header("retry-after"), "1");
        within(TWO_SECONDS, authz.state.ready()).await.unwrap_err();
        // Published keys and metadata do not change, and verifiers need them now more than ever.
        assert_eq!(authz.get("/jwks").await.status, 200);

        link.set(Link::Up).await;
        let healed = async { while authz.state.refresh().await.is_err() {} };
        within(Duration::from_secs(4), healed).await;
        assert_eq!(authz.token(Some(BASIC), GRANT).await.status, 200);
    }
}

#[tokio::test]
async fn a_locked_sqlite_file_does_not_keep_tokens_from_being_issued() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let lock = ForeignLock::take(&database.file().unwrap()).await;
    authz.state.refresh().await.unwrap();
    authz.state.ready().await.unwrap();
    assert_eq!(authz.token(Some(BASIC), GRANT).await.status, 200);
    lock.release().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_503_and_bad_input_is_still_told_so() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    database
        .execute("ALTER TABLE change_counters RENAME TO gone")
        .await;
    authz.state.refresh().await.unwrap_err();
    authz
        .token(Some(BASIC), GRANT)
        .await
        .expect_error(503, "temporarily_unavailable");
    authz
        .token(Some(BASIC), "%")
        .await
        .expect_error(400, "invalid_request");
    database
        .execute("ALTER TABLE gone RENAME TO change_counters")
        .await;
    authz.state.refresh().await.unwrap();
    assert_eq!(authz.token(Some(BASIC), GRANT).await.status, 200);
}
