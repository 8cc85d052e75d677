//! Two servers on one database and one Redis: what they count together, and what becomes of that
//! while Redis is away.

mod limits;
mod outages;

use std::sync::Arc;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use portcullis_common::client_address::ClientAddress;
use portcullis_common::config::Config;
use portcullis_testkit::authz::{self, Answer, Authz, FORM, basic_header, json_request};
use portcullis_testkit::browser::Browser;
use portcullis_testkit::clock::ManualClock;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::redis::TestRedis;
use serde_json::json;

const ATTACKER: &str = "203.0.113.9";
const ELSEWHERE: &str = "203.0.113.10";
const PASSWORD: &str = "correct horse";

/// Two replicas with an account, and the Redis between them.
struct Replicas {
    redis: TestRedis,
    both: [Authz; 2],
}

impl Replicas {
    async fn start(database: &TestDatabase, redis: TestRedis) -> Self {
        Self::start_with(database, redis, |_| ()).await
    }

    async fn start_with(
        database: &TestDatabase,
        redis: TestRedis,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = authz::config(database.config());
        config.redis = Some(redis.config());
        change(&mut config);
        let clock = ManualClock::new();
        let first = Authz::start_seeded(config.clone(), Arc::clone(&clock), 1).await;
        let second = Authz::start_seeded(config, clock, 2).await;
        first.add_user("alice", PASSWORD).await;
        Self {
            redis,
            both: [first, second],
        }
    }

    fn seconds_pass(&self, seconds: u64) {
        let duration = std::time::Duration::from_secs(seconds);
        self.both[0].clock.advance(duration);
    }

    /// As many requests at one instant, one half at each replica; gives their statuses.
    async fn at_once<F>(&self, count: usize, ask: impl Fn(Authz, usize) -> F) -> Vec<u16>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let asks: Vec<_> = (0..count)
            .map(|number| tokio::spawn(ask(self.both[number % 2].clone(), number)))
            .collect();
        let mut statuses = Vec::new();
        for ask in asks {
            statuses.push(ask.await.unwrap().status.as_u16());
        }
        statuses
    }
}

fn how_many(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

/// Tries to log in from there with a new browser.
async fn logs_in(authz: &Authz, source: &str, username: &str, password: &str) -> Answer {
    let mut browser = Browser::at(authz, source);
    browser.tries_to_log_in(username, password).await
}

/// Asks for a token from there.
async fn token(authz: &Authz, source: &str, (id, secret): (&str, &str)) -> Answer {
    let request = Request::post("/token")
        .header(CONTENT_TYPE, FORM)
        .header(AUTHORIZATION, basic_header(id, secret))
        .extension(ClientAddress(source.parse().unwrap()));
    let body = Body::from("grant_type=client_credentials");
    authz.send(request.body(body).unwrap()).await
}

/// Registers from there a client that nobody registered before.
async fn registers(authz: &Authz, source: &str, number: usize) -> Answer {
    let metadata = json!({
        "client_name": format!("App {number}"),
        "redirect_uris": ["https://site.example/cb"],
    });
    let mut request = json_request(Method::POST, "/register", None, &metadata);
    request
        .extensions_mut()
        .insert(ClientAddress(source.parse().unwrap()));
    authz.send(request).await
}
