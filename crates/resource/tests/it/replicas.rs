//! Two replicas of the resource server and one Redis.

use std::time::Duration;

use http::Method;
use portcullis_common::config::SigningAlgorithm;
use portcullis_testkit::issuer::key;
use portcullis_testkit::redis::TestRedis;
use portcullis_testkit::resource::{ProtectedServer, legacy, request, set};
use serde_json::{Value, json};

struct Replicas {
    redis: TestRedis,
    first: ProtectedServer,
    second: ProtectedServer,
}

impl Replicas {
    /// `None` where there is no Redis to start.
    async fn start() -> Option<Self> {
        let redis = TestRedis::start()?;
        let shared = || Some(redis.config());
        let first = ProtectedServer::start_with(|config| config.redis = shared()).await;
        let second = first.replica(|config| config.redis = shared()).await;
        Some(Self {
            redis,
            first,
            second,
        })
    }

    fn a_second_passes(&self) {
        self.first.clock.advance(Duration::from_secs(1));
    }

    /// Long enough for Redis to be tried again after an outage.
    async fn redis_is_tried_again(&self) {
        for server in [&self.first, &self.second] {
            server.redis().unwrap().keep_warm().await;
        }
    }
}

async fn call_in(server: &ProtectedServer, token: &str, session: &str) -> u16 {
    let echo: Value = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "hi"}}});
    let answer = server.send(legacy(token, Some(session), &echo)).await;
    if answer.status == 200 {
        let result = &answer.message()["result"];
        assert_ne!(result["isError"], true, "{result}");
    }
    answer.status.as_u16()
}

async fn end(server: &ProtectedServer, token: &str, session: &str) -> u16 {
    let mut asked = request(Method::DELETE, "/mcp", token);
    set(&mut asked, "mcp-session-id", session);
    server.send(asked).await.status.as_u16()
}

#[tokio::test]
async fn a_session_goes_on_at_any_replica_for_its_owner_alone() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas { first, second, .. } = &replicas;
    let ann = first.token().sign();
    let session = first.open_session(&ann).await;
    let bob = first.token().claim("sub", "bob").sign();
    let other_client = first.token().claim("client_id", "other").sign();
    for stranger in [&bob, &other_client] {
        assert_eq!(call_in(second, stranger, &session).await, 404);
        assert_eq!(end(second, stranger, &session).await, 404);
    }
    for _ in 0..3 {
        assert_eq!(call_in(second, &ann, &session).await, 200);
        assert_eq!(call_in(first, &ann, &session).await, 200);
        replicas.a_second_passes();
    }
    assert_eq!(call_in(second, &bob, &session).await, 404);
}

#[tokio::test]
async fn a_session_that_ends_at_one_replica_is_over_at_the_other_within_a_second() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas { first, second, .. } = &replicas;
    let ann = first.token().sign();
    let session = first.open_session(&ann).await;
    assert_eq!(call_in(second, &ann, &session).await, 200);
    assert_eq!(end(second, &ann, &session).await, 204);
    replicas.a_second_passes();
    assert_eq!(call_in(first, &ann, &session).await, 404);
    assert_eq!(call_in(second, &ann, &session).await, 404);
    replicas.a_second_passes();
    assert_eq!(call_in(first, &ann, &session).await, 404);
}

#[tokio::test]
async fn a_caller_with_too_many_sessions_loses_its_oldest_at_every_replica() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas { first, second, .. } = &replicas;
    let ann = first.token().sign();
    let oldest = first.open_session(&ann).await;
    for _ in 0..100 {
        first.open_session(&ann).await;
    }
    replicas.a_second_passes();
    assert_eq!(call_in(second, &ann, &oldest).await, 404);
}

#[tokio::test]
async fn without_redis_each_replica_goes_on_with_its_own_sessions() {
    let Some(mut replicas) = Replicas::start().await else {
        return;
    };
    let ann = replicas.first.token().sign();
    let session = replicas.first.open_session(&ann).await;
    replicas.redis.stop();
    replicas.a_second_passes();
    let Replicas { first, second, .. } = &replicas;
    assert_eq!(call_in(first, &ann, &session).await, 200);
    assert_eq!(call_in(second, &ann, &session).await, 404);
    let begun_meanwhile = first.open_session(&ann).await;
    assert_eq!(call_in(first, &ann, &begun_meanwhile).await, 200);
    // It comes back empty, and what a replica knows is not lost with it.
    replicas.redis.restart();
    replicas.redis_is_tried_again().await;
    for _ in 0..2 {
        replicas.a_second_passes();
        for session in [&session, &begun_meanwhile] {
            assert_eq!(call_in(&replicas.first, &ann, session).await, 200);
        }
    }
    let fresh = replicas.first.open_session(&ann).await;
    assert_eq!(call_in(&replicas.second, &ann, &fresh).await, 200);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_keeps_no_call_waiting_twice() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas { redis, first, .. } = &replicas;
    let ann = first.token().sign();
    let session = first.open_session(&ann).await;
    redis.freeze();
    for _ in 0..20 {
        replicas.a_second_passes();
        let call = call_in(first, &ann, &session);
        let status = tokio::time::timeout(Duration::from_secs(2), call).await;
        assert_eq!(status.unwrap(), 200);
        assert_eq!(first.echo(&ann).await.status, 200);
    }
    assert!(first.redis().unwrap().is_degraded());
    redis.thaw();
}

#[tokio::test]
async fn a_replica_takes_the_key_set_that_another_one_has_just_fetched() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas { first, second, .. } = &replicas;
    let ann = first.token().sign();
    assert_eq!(first.echo(&ann).await.status, 200);
    assert_eq!(second.echo(&ann).await.status, 200);
    let fetches = || first.network.key_set_fetches(&first.issuer);
    assert_eq!(fetches(), 1);
    // What is not in it is looked for again after the cooldown, by one for both.
    first.clock.advance(Duration::from_secs(11));
    let unknown = first.token().header("kid", "unheard-of").sign();
    assert_eq!(first.echo(&unknown).await.status, 401);
    assert_eq!(second.echo(&unknown).await.status, 401);
    assert_eq!(fetches(), 2);
}

#[tokio::test]
async fn a_replica_that_starts_while_the_issuer_is_down_takes_the_shared_key_set() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas { first, second, .. } = &replicas;
    let ann = first.token().sign();
    assert_eq!(first.echo(&ann).await.status, 200);
    first.issuer.go_down();
    first.clock.advance(Duration::from_mins(5));
    assert_eq!(second.echo(&ann).await.status, 200);
    second.state().keep_warm().await;
    assert!(second.state().ready().is_ok());
    // It is no younger for having been passed on: a day and an hour after it was fetched it is over.
    first
        .clock
        .advance(Duration::from_hours(25) - Duration::from_mins(5));
    let late = first.token().sign();
    assert_eq!(second.echo(&late).await.status, 503);
}

#[tokio::test]
async fn a_shared_key_set_that_is_broken_or_from_the_future_is_none() {
    let Some(replicas) = Replicas::start().await else {
        return;
    };
    let Replicas {
        redis,
        first,
        second,
    } = &replicas;
    let ann = first.token().sign();
    assert_eq!(first.echo(&ann).await.status, 200);
    let name = redis.command("KEYS *jwks*").await;
    let name = name.lines().find(|line| line.contains("jwks:")).unwrap();
    let old = json!({ "keys": [first.issuer.signing_key().public_jwk()] }).to_string();
    let wrong = ["x", "", "1\n{\"keys\":[]}", &format!("9999999999\n{old}")];
    for (number, wrong) in (1..).zip(wrong) {
        let text = wrong.replace('"', "\\\"").replace('\n', "\\n");
        let answer = redis.command(&format!("SET {name} \"{text}\"")).await;
        assert!(answer.contains("OK"), "{answer}");
        let key = key(SigningAlgorithm::Es256, number);
        first.issuer.publish([key.clone()]);
        first.issuer.sign_with(key);
        second.clock.advance(Duration::from_secs(11));
        let fresh = first.token().sign();
        assert_eq!(second.echo(&fresh).await.status, 200, "{wrong}");
    }
}
