//! What is limited is limited for all replicas together.

use std::sync::Arc;

use portcullis_testkit::authz::{self, Authz, BASIC, WRITER};
use portcullis_testkit::browser::{Ask, Browser};
use portcullis_testkit::clock::ManualClock;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::on_both_engines;
use portcullis_testkit::redis::TestRedis;
use portcullis_testkit::web::TestWeb;

use super::{ATTACKER, ELSEWHERE, PASSWORD, Replicas, how_many, logs_in, registers, token};

const WRONG: (&str, &str) = (BASIC.0, "wrong");

on_both_engines! {
    async fn wrong_passwords_are_counted_for_all_replicas(database) {
        let Some(redis) = TestRedis::start() else { return };
        let replicas = Replicas::start(&database, redis).await;
        let [first, second] = &replicas.both;
        for replica in [first, second, first, second, first] {
            assert_eq!(logs_in(replica, ATTACKER, "alice", "wrong").await.status, 403);
        }
        replicas.seconds_pass(1);
        for replica in [second, first] {
            let locked = logs_in(replica, ATTACKER, "alice", PASSWORD).await;
            assert_eq!(locked.status, 429);
            assert_eq!(locked.header("retry-after"), "299");
        }
        assert_eq!(logs_in(second, ELSEWHERE, "alice", PASSWORD).await.status, 303);
        assert_eq!(logs_in(second, ATTACKER, "bob", PASSWORD).await.status, 403);
        replicas.seconds_pass(299);
        // A second lock is twice as long, also where nobody saw the first.
        for replica in [second, first, second, first, second] {
            assert_eq!(logs_in(replica, ATTACKER, "alice", "wrong").await.status, 403);
        }
        assert_eq!(logs_in(first, ATTACKER, "alice", "wrong").await.header("retry-after"), "600");
    }

    async fn new_clients_are_counted_for_all_replicas(database) {
        let Some(redis) = TestRedis::start() else { return };
        let replicas = Replicas::start(&database, redis).await;
        let ask = |authz: Authz, number| async move { registers(&authz, ATTACKER, number).await };
        let statuses = replicas.at_once(60, ask).await;
        assert_eq!((how_many(&statuses, 201), how_many(&statuses, 429)), (20, 40));
        let [first, second] = &replicas.both;
        assert_eq!(registers(second, ELSEWHERE, 100).await.status, 201);
        let refused = [registers(first, ATTACKER, 101).await, registers(second, ATTACKER, 104).await];
        for answer in &refused {
            answer.expect_error(429, "too_many_requests");
        }
        // One of the two may have made all twenty, and then its own minute counts for it.
        assert!(refused.iter().any(|answer| answer.header("retry-after") == "3"), "{refused:?}");
        replicas.seconds_pass(3);
        let statuses = [registers(first, ATTACKER, 102).await, registers(second, ATTACKER, 103).await];
        let statuses = statuses.map(|answer| answer.status.as_u16());
        assert_eq!(how_many(&statuses, 201), 1, "a twentieth of the minute is over: {statuses:?}");
    }
}

async fn start() -> Option<(TestDatabase, Replicas)> {
    start_with_attempts(5).await
}

async fn start_with_attempts(attempts: u32) -> Option<(TestDatabase, Replicas)> {
    let redis = TestRedis::start()?;
    let database = TestDatabase::sqlite();
    let replicas = Replicas::start_with(&database, redis, |config| {
        config.authz.login_attempts = attempts;
    });
    let replicas = replicas.await;
    Some((database, replicas))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_at_one_instant_on_two_replicas_do_not_overrun_the_budget() {
    let Some((_database, replicas)) = start_with_attempts(10).await else {
        return;
    };
    let guess = |authz: Authz, _| async move { token(&authz, ATTACKER, WRONG).await };
    let statuses = replicas.at_once(200, guess).await;
    assert_eq!(
        (how_many(&statuses, 401), how_many(&statuses, 429)),
        (10, 190)
    );
    for replica in &replicas.both {
        assert_eq!(token(replica, ATTACKER, BASIC).await.status, 429);
        assert_eq!(token(replica, ELSEWHERE, BASIC).await.status, 200);
        assert_eq!(token(replica, ATTACKER, WRITER).await.status, 200);
    }
    let guess = |authz: Authz, _| async move { logs_in(&authz, ATTACKER, "alice", "x").await };
    let statuses = replicas.at_once(60, guess).await;
    assert_eq!(
        (how_many(&statuses, 403), how_many(&statuses, 429)),
        (10, 50)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn right_passwords_at_one_instant_on_two_replicas_only_wait_for_each_other() {
    let Some((_database, replicas)) = start_with_attempts(2).await else {
        return;
    };
    let enter = |authz: Authz, _| async move { logs_in(&authz, ATTACKER, "alice", PASSWORD).await };
    let statuses = replicas.at_once(16, enter).await;
    assert_eq!(how_many(&statuses, 303), 16, "{statuses:?}");
}

#[tokio::test]
async fn a_right_password_at_one_replica_forgives_what_was_wrong_at_the_other() {
    let Some((_database, replicas)) = start().await else {
        return;
    };
    let [first, second] = &replicas.both;
    for _ in 0..4 {
        assert_eq!(logs_in(first, ATTACKER, "alice", "wrong").await.status, 403);
    }
    assert_eq!(
        logs_in(second, ATTACKER, "alice", PASSWORD).await.status,
        303
    );
    for _ in 0..4 {
        assert_eq!(logs_in(first, ATTACKER, "alice", "wrong").await.status, 403);
    }
    assert_eq!(
        logs_in(second, ATTACKER, "alice", PASSWORD).await.status,
        303
    );
}

#[tokio::test]
async fn whoever_guesses_a_secret_has_one_guess_more_at_each_replica() {
    let Some((_database, replicas)) = start().await else {
        return;
    };
    let [first, second] = &replicas.both;
    for _ in 0..5 {
        assert_eq!(token(first, ATTACKER, WRONG).await.status, 401);
    }
    assert_eq!(token(first, ATTACKER, BASIC).await.status, 429);
    assert_eq!(token(second, ATTACKER, WRONG).await.status, 429);
    let right = token(second, ATTACKER, BASIC).await;
    right.expect_error(429, "too_many_requests");
    assert_eq!(right.header("retry-after"), "300");
    replicas.seconds_pass(300);
    assert_eq!(token(second, ATTACKER, BASIC).await.status, 200);
}

#[tokio::test]
async fn a_right_secret_asks_redis_only_where_one_was_wrong_lately() {
    let Some((_database, replicas)) = start().await else {
        return;
    };
    let [first, second] = &replicas.both;
    let before = replicas.redis.commands().await;
    for _ in 0..20 {
        assert_eq!(token(first, ATTACKER, BASIC).await.status, 200);
    }
    let after = replicas.redis.commands().await;
    assert!(
        after - before <= 2,
        "the two looks of this test: {before} {after}"
    );
    assert_eq!(token(second, ATTACKER, WRONG).await.status, 401);
    let before = replicas.redis.commands().await;
    for _ in 0..20 {
        assert_eq!(token(second, ATTACKER, BASIC).await.status, 200);
    }
    assert!(replicas.redis.commands().await - before >= 20);
    replicas.seconds_pass(300);
    let before = replicas.redis.commands().await;
    assert_eq!(token(second, ATTACKER, BASIC).await.status, 200);
    assert!(replicas.redis.commands().await - before <= 2);
}

#[tokio::test]
async fn redis_learns_no_name_no_address_and_no_secret_and_keeps_deployments_apart() {
    let Some((database, replicas)) = start().await else {
        return;
    };
    let [first, _] = &replicas.both;
    for _ in 0..5 {
        logs_in(first, ATTACKER, "alice", "hunter2").await;
        token(first, ATTACKER, (BASIC.0, "hunter2")).await;
    }
    let keys = replicas.redis.command("KEYS *").await;
    assert!(keys.contains("portcullis:{"), "{keys}");
    for text in ["alice", "hunter2", BASIC.0, ATTACKER] {
        assert!(!keys.contains(text), "{keys}");
    }
    let mut config = authz::config(database.config());
    config.redis = Some(replicas.redis.config());
    config.server.public_url = "https://other.test".to_owned();
    let clock = Arc::clone(&first.clock);
    let other = Authz::start_seeded(config, clock, 3).await;
    assert_eq!(
        token(&other, ATTACKER, (BASIC.0, "hunter2")).await.status,
        401
    );
}

#[tokio::test]
async fn fetches_of_documents_are_counted_for_all_replicas() {
    let Some(redis) = TestRedis::start() else {
        return;
    };
    let (database, web) = (TestDatabase::sqlite(), TestWeb::start().await);
    let mut config = authz::config(database.config());
    config.redis = Some(redis.config());
    let clock = ManualClock::new();
    let mut fetched = 0;
    for seed in [1, 2] {
        let (config, clock) = (config.clone(), Arc::clone(&clock));
        let replica = Authz::start_among(config, clock, seed, web.fetcher()).await;
        for number in 0..20 {
            let id = format!("https://client.test/{seed}-{number}.json");
            let ask = Ask::of(&id, "https://client.test/cb").path();
            let answer = Browser::at(&replica, ATTACKER).get(&ask).await;
            fetched += usize::from(answer.status != 429);
        }
    }
    assert_eq!((fetched, web.site.requests().len()), (30, 30));
}
