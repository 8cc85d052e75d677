//! Redis stopped, frozen, refusing and full: the limits hold within twice their numbers, nothing
//! answers 500, what is single-use stays so, and it comes back by itself.

use std::time::Duration;

use portcullis_common::config::WhenAway;
use portcullis_common::metrics::Exposition;
use portcullis_testkit::authz::{self, Authz, BASIC};
use portcullis_testkit::clock::within;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{Approve, People, Tokens};
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::redis::TestRedis;

use super::{ATTACKER, ELSEWHERE, PASSWORD, Replicas, how_many, logs_in, registers, token};

const WRONG: (&str, &str) = (BASIC.0, "wrong");

/// A way for Redis to be of no use.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Stopped,
    Frozen,
    Refusing,
    Full,
}

const FAULTS: [Fault; 4] = [Fault::Stopped, Fault::Frozen, Fault::Refusing, Fault::Full];

async fn breaks(redis: &mut TestRedis, fault: Fault) {
    match fault {
        Fault::Stopped => redis.stop(),
        Fault::Frozen => redis.freeze(),
        Fault::Refusing => {
            redis
                .command("CONFIG SET requirepass p\r\nAUTH p\r\nCLIENT KILL TYPE normal SKIPME yes")
                .await;
        }
        Fault::Full => {
            let full = "CONFIG SET maxmemory-policy noeviction\r\nCONFIG SET maxmemory 1";
            redis.command(full).await;
        }
    }
}

async fn heals(redis: &mut TestRedis, fault: Fault) {
    match fault {
        Fault::Stopped => redis.restart(),
        Fault::Frozen => redis.thaw(),
        Fault::Refusing => {
            redis.command("AUTH p\r\nCONFIG SET requirepass \"\"").await;
        }
        Fault::Full => {
            redis.command("CONFIG SET maxmemory 0").await;
        }
    }
}

fn gauge(authz: &Authz) -> bool {
    let text = authz.metrics.encode(Exposition::Text);
    let line = text
        .lines()
        .find(|line| line.starts_with("portcullis_redis_degraded "));
    line.unwrap().ends_with(" 1")
}

async fn limits_hold(fault: Fault) {
    let Some(redis) = TestRedis::start() else {
        return;
    };
    let database = TestDatabase::sqlite();
    let mut replicas = Replicas::start(&database, redis).await;
    // Before the outage, so that there is a connection to lose.
    for replica in &replicas.both {
        assert_eq!(
            logs_in(replica, ATTACKER, "alice", "wrong").await.status,
            403
        );
    }
    breaks(&mut replicas.redis, fault).await;
    let guess = |authz: Authz, _| async move { logs_in(&authz, ATTACKER, "alice", "x").await };
    let try_secret = |authz: Authz, _| async move { token(&authz, ATTACKER, WRONG).await };
    let register = |authz: Authz, number| async move { registers(&authz, ATTACKER, number).await };
    let all = async {
        let logins = replicas.at_once(40, guess).await;
        let secrets = replicas.at_once(40, try_secret).await;
        let clients = replicas.at_once(60, register).await;
        (logins, secrets, clients)
    };
    let (logins, secrets, clients) = within(Duration::from_secs(20), all).await;
    for (statuses, passed, limit) in [(&logins, 403, 5), (&secrets, 401, 5), (&clients, 201, 20)] {
        let passed = how_many(statuses, passed);
        // Two wrong passwords came before; a full Redis may still know both.
        assert!(
            passed + 2 >= limit && passed <= 2 * limit,
            "{fault:?} {statuses:?}"
        );
        assert_eq!(
            passed + how_many(statuses, 429),
            statuses.len(),
            "{fault:?} {statuses:?}"
        );
    }
    for replica in &replicas.both {
        assert!(
            replica.redis.as_ref().unwrap().is_degraded() && gauge(replica),
            "{fault:?}"
        );
        assert_eq!(token(replica, ELSEWHERE, BASIC).await.status, 200);
        assert_eq!(
            logs_in(replica, ELSEWHERE, "alice", PASSWORD).await.status,
            303
        );
        replica.state.ready().await.unwrap();
    }
    heals(&mut replicas.redis, fault).await;
    for replica in &replicas.both {
        let redis = replica.redis.as_ref().unwrap();
        within(Duration::from_secs(5), redis.keep_warm()).await;
        let state = (redis.is_degraded(), gauge(replica));
        assert_eq!(state, (false, false), "{fault:?}");
    }
    replicas.seconds_pass(3600);
    let statuses = replicas.at_once(60, register).await;
    assert_eq!(how_many(&statuses, 201), 20, "{fault:?} {statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_redis_each_replica_limits_by_itself_and_together_they_do_again_afterwards() {
    for fault in FAULTS {
        Box::pin(limits_hold(fault)).await;
    }
}

#[tokio::test]
async fn an_outage_is_logged_once_at_each_end_and_a_frozen_redis_costs_one_request_its_time() {
    for fault in FAULTS {
        let Some(redis) = TestRedis::start() else {
            return;
        };
        let database = TestDatabase::sqlite();
        let mut replicas = Replicas::start(&database, redis).await;
        let log = CapturedLog::begin();
        breaks(&mut replicas.redis, fault).await;
        let [first, _] = &replicas.both;
        let began = tokio::time::Instant::now();
        for number in 0..20 {
            registers(first, ATTACKER, number).await;
        }
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(3),
            "{fault:?}: {took:?} for twenty of 250 ms each"
        );
        heals(&mut replicas.redis, fault).await;
        first.redis.as_ref().unwrap().keep_warm().await;
        registers(first, ELSEWHERE, 100).await;
        let text = log.text();
        for line in ["Redis is away", "Redis is back"] {
            assert_eq!(text.matches(line).count(), 1, "{fault:?}: {line}");
        }
    }
}

#[tokio::test]
async fn it_comes_back_by_a_request_alone_a_second_later() {
    let Some(mut redis) = TestRedis::stopped() else {
        return;
    };
    let database = TestDatabase::sqlite();
    let replicas = Replicas::start(&database, TestRedis::start().unwrap()).await;
    let mut config = authz::config(database.config());
    config.redis = Some(redis.config());
    let authz =
        Authz::start_seeded(config, std::sync::Arc::clone(&replicas.both[0].clock), 3).await;
    let handle = authz.redis.clone().unwrap();
    assert_eq!(
        registers(&authz, ATTACKER, 0).await.status,
        201,
        "it starts without Redis"
    );
    assert!(handle.is_degraded());
    redis.restart();
    // The pause after a failure is one of real time.
    let asks = async {
        while handle.is_degraded() {
            let _away = handle.find("anything").await;
            tokio::task::yield_now().await;
        }
    };
    within(Duration::from_secs(5), asks).await;
}

#[tokio::test]
async fn an_operator_may_refuse_what_cannot_be_counted_and_right_secrets_still_get_tokens() {
    let Some(redis) = TestRedis::start() else {
        return;
    };
    let database = TestDatabase::sqlite();
    let mut replicas = Replicas::start_with(&database, redis, |config| {
        config.redis.as_mut().unwrap().when_away = WhenAway::Refuse;
    })
    .await;
    replicas.redis.stop();
    let [first, _] = &replicas.both;
    for answer in [
        registers(first, ATTACKER, 0).await,
        token(first, ATTACKER, WRONG).await,
    ] {
        answer.expect_error(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let page = logs_in(first, ATTACKER, "alice", PASSWORD).await;
    assert_eq!(
        (page.status.as_u16(), page.header("retry-after")),
        (503, "1")
    );
    assert_eq!(token(first, ELSEWHERE, BASIC).await.status, 200);
    replicas.redis.restart();
    first.redis.as_ref().unwrap().keep_warm().await;
    assert_eq!(
        logs_in(first, ATTACKER, "alice", PASSWORD).await.status,
        303
    );
    assert_eq!(registers(first, ATTACKER, 0).await.status, 201);
}

#[tokio::test]
async fn what_is_single_use_is_so_while_redis_is_away_and_after_it_lost_everything() {
    let Some(mut redis) = TestRedis::start() else {
        return;
    };
    let database = TestDatabase::sqlite();
    let mut config = authz::config(database.config());
    config.redis = Some(redis.config());
    let people = People::start_with(database, config).await;
    let other = people.another(2).await;
    let before = people.approve(Approve::default()).await;
    assert_eq!(people.redeem(&before).await.status, 200);
    redis.stop();
    let during = people.approve(Approve::default()).await;
    let tokens = Tokens::read(&people.redeem(&during).await);
    let body = |code: &str| format!("client_id=native&{code}");
    for code in [&before, &during] {
        let again = other.token(None, &body(&code.body())).await;
        again.expect_error(400, "invalid_grant");
    }
    redis.restart();
    people.pass(60);
    let again = other.token(None, &body(&before.body())).await;
    again.expect_error(400, "invalid_grant");
    assert_eq!(
        people.refresh(&tokens.refresh).await.status,
        400,
        "its code came twice"
    );
}
