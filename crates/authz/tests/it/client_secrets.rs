//! OAuth 2.1 §2.4.1: secrets of clients cannot be guessed by trying.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use portcullis_authz::clients::admin::{self, NewClient};
use portcullis_common::client_address::ClientAddress;
use portcullis_testkit::authz::{Answer, Authz, BASIC, FORM, POST, basic_header};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::entropy::SeededEntropy;

const ATTACKER: &str = "203.0.113.9";
const ELSEWHERE: &str = "203.0.113.10";
const WRONG: (&str, &str) = (BASIC.0, "wrong");
/// Where clients authenticate, and what they ask for there.
const ENDPOINTS: [(&str, &str); 3] = [
    ("/token", "grant_type=client_credentials"),
    ("/revoke", "token=x"),
    ("/introspect", "token=x"),
];

async fn start() -> (TestDatabase, Authz) {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    (database, authz)
}

async fn asks(
    authz: &Authz,
    (path, body): (&str, &str),
    (id, secret): (&str, &str),
    source: &str,
) -> Answer {
    let request = Request::post(path)
        .header(CONTENT_TYPE, FORM)
        .header(AUTHORIZATION, basic_header(id, secret))
        .extension(ClientAddress(source.parse().unwrap()));
    let request = request.body(Body::from(body.to_owned())).unwrap();
    authz.send(request).await
}

async fn guesses(authz: &Authz, times: usize) {
    for endpoint in ENDPOINTS.iter().cycle().take(times) {
        let answer = asks(authz, *endpoint, WRONG, ATTACKER).await;
        answer.expect_error(401, "invalid_client");
    }
}

/// Whether the right secret gets a token.
async fn is_let_in(authz: &Authz, source: &str) -> bool {
    let answer = asks(authz, ENDPOINTS[0], BASIC, source).await;
    answer.status == 200
}

#[tokio::test]
async fn after_five_wrong_secrets_no_endpoint_takes_one_from_there_until_the_window_is_over() {
    let (_database, authz) = start().await;
    guesses(&authz, 5).await;
    authz.clock.advance(Duration::from_secs(1));
    for endpoint in ENDPOINTS {
        for credentials in [WRONG, BASIC] {
            let locked = asks(&authz, endpoint, credentials, ATTACKER).await;
            locked.expect_error(429, "too_many_requests");
            assert_eq!(locked.header("retry-after"), "299");
            assert_eq!(locked.header("www-authenticate"), "");
        }
    }
    authz.clock.advance(Duration::from_secs(298));
    assert!(!is_let_in(&authz, ATTACKER).await);
    authz.clock.advance(Duration::from_secs(1));
    assert!(is_let_in(&authz, ATTACKER).await);
}

#[tokio::test]
async fn a_secret_in_the_body_counts_like_one_in_the_header() {
    let (_database, authz) = start().await;
    let body = |secret: &str| {
        format!(
            "grant_type=client_credentials&client_id={}&client_secret={secret}",
            POST.0
        )
    };
    for _ in 0..5 {
        let answer = authz.token(None, &body("wrong")).await;
        answer.expect_error(401, "invalid_client");
    }
    let answer = authz.token(None, &body(POST.1)).await;
    answer.expect_error(429, "too_many_requests");
}

#[tokio::test]
async fn other_sources_other_clients_and_made_secrets_are_not_locked() {
    let (_database, authz) = start().await;
    guesses(&authz, 5).await;
    assert!(!is_let_in(&authz, ATTACKER).await);
    assert!(is_let_in(&authz, ELSEWHERE).await);
    let writer = portcullis_testkit::authz::WRITER;
    let other = asks(&authz, ENDPOINTS[0], writer, ATTACKER).await;
    assert_eq!(other.status, 200, "{other:?}");

    let new = NewClient {
        name: "made".to_owned(),
        ..NewClient::default()
    };
    let (store, config) = (authz.state.store(), authz.state.config());
    let (clock, entropy) = (authz.clock.as_ref(), SeededEntropy::new(9));
    let made = admin::add(store, config, clock, entropy.as_ref(), new);
    let made = made.await.unwrap();
    let (id, secret) = (made.client.id.as_str(), made.secret.unwrap());
    for _ in 0..20 {
        let answer = asks(&authz, ENDPOINTS[0], (id, "wrong"), ATTACKER).await;
        answer.expect_error(401, "invalid_client");
    }
    let right = asks(&authz, ENDPOINTS[0], (id, secret.expose()), ATTACKER).await;
    assert_eq!(right.status, 200, "{right:?}");
}

#[tokio::test]
async fn a_right_secret_forgives_no_guesses_and_guesses_far_apart_do_not_add_up() {
    let (_database, authz) = start().await;
    guesses(&authz, 4).await;
    assert!(is_let_in(&authz, ATTACKER).await);
    authz.clock.advance(Duration::from_mins(5));
    guesses(&authz, 4).await;
    assert!(is_let_in(&authz, ATTACKER).await);
    guesses(&authz, 1).await;
    assert!(!is_let_in(&authz, ATTACKER).await);
}

#[tokio::test]
async fn unknown_clients_and_wrong_methods_are_not_counted() {
    let (_database, authz) = start().await;
    for _ in 0..20 {
        for credentials in [("nobody", "wrong"), (POST.0, POST.1), (POST.0, "wrong")] {
            let answer = asks(&authz, ENDPOINTS[0], credentials, ATTACKER).await;
            answer.expect_error(401, "invalid_client");
        }
    }
    let body = format!("client_id={}&client_secret={}", POST.0, POST.1);
    let body = format!("grant_type=client_credentials&{body}");
    let mut request = portcullis_testkit::authz::token_request(None, &body);
    let source = ClientAddress(ATTACKER.parse().unwrap());
    request.extensions_mut().insert(source);
    assert_eq!(authz.send(request).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn right_secrets_in_parallel_all_pass_and_guesses_in_parallel_do_not_overrun_the_budget() {
    let (_database, authz) = start().await;
    for (credentials, status, expected) in [(BASIC, 200, 60), (WRONG, 401, 5)] {
        let tasks: Vec<_> = (0..60)
            .map(|_| {
                let authz = authz.clone();
                let ask = async move { asks(&authz, ENDPOINTS[0], credentials, ATTACKER).await };
                tokio::spawn(ask)
            })
            .collect();
        let mut seen = 0;
        for task in tasks {
            seen += usize::from(task.await.unwrap().status == status);
        }
        assert_eq!(seen, expected, "{credentials:?}");
    }
}
