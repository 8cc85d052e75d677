//! Who is let in and what the others are told (RFC 6750, RFC 9728, MCP authorization).

use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::resource::{PLAIN_CHALLENGE, ProtectedServer, modern, post, request, set};
use serde_json::{Value, json};

use crate::verdict::{METADATA, accepted, assert_invalid_token, refused};

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE",
];

fn write() -> Value {
    json!({ "text": "a mark" })
}

#[tokio::test]
async fn without_a_token_every_method_gets_the_plain_challenge_and_no_data() {
    let server = ProtectedServer::start().await;
    for method in METHODS {
        let method = Method::try_from(method).unwrap();
        let answer = server.send(request(method.clone(), "/mcp", "")).await;
        assert_eq!(answer.status, 401, "{method}");
        assert_eq!(answer.header("www-authenticate"), PLAIN_CHALLENGE);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let answer = server.send(post("", "{}")).await;
    answer.expect_error(401, "unauthorized");
    assert_eq!(answer.json().as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_below_the_api_answers_without_a_token_not_even_that_it_is_missing() {
    let server = ProtectedServer::start().await;
    for path in [
        "/api/v1/me",
        "/api/v1/user",
        "/api/v1/tools",
        "/api/v1/tools/echo",
        "/api/v1/tools/missing",
        "/api/v1/protected/read",
        "/api/v1/nothing/here",
        "/api/v1/tools/../me",
    ] {
        for method in METHODS {
            let method = Method::try_from(method).unwrap();
            let answer = server.send(request(method.clone(), path, "")).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), PLAIN_CHALLENGE);
        }
    }
}

#[tokio::test]
async fn another_scheme_is_no_token_and_two_tokens_are_a_bad_request() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    for absent in [
        "Basic YTpi".to_owned(),
        format!("DPoP {token}"),
        format!("Token {token}"),
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer\t{token}"),
        String::new(),
    ] {
        let mut asked = post("", "{}");
        set(&mut asked, "authorization", &absent);
        let answer = server.send(asked).await;
        answer.expect_error(401, "unauthorized");
        assert_eq!(
            answer.header("www-authenticate"),
            PLAIN_CHALLENGE,
            "{absent}"
        );
    }
    let mut twice = post(&token, "{}");
    let same = twice.headers()[AUTHORIZATION].clone();
    twice.headers_mut().append(AUTHORIZATION, same);
    let answer = server.send(twice).await;
    answer.expect_error(400, "invalid_request");
    assert!(
        answer
            .header("www-authenticate")
            .starts_with("Bearer error=\"invalid_request\"")
    );
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case_and_with_several_spaces() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    for value in [format!("bEaReR {token}"), format!("BEARER    {token}")] {
        let mut asked = modern(&token, "tools/list", json!({}));
        set(&mut asked, "authorization", &value);
        assert_eq!(server.send(asked).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_anywhere_but_in_its_header_does_not_count_and_is_not_logged() {
    let log = CapturedLog::begin();
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let list = |path: &str| {
        let mut asked = modern("", "tools/list", json!({}));
        *asked.uri_mut() = path.parse().unwrap();
        asked
    };
    let in_query = list(&format!("/mcp?access_token={token}"));
    let mut in_cookie = list("/mcp");
    set(&mut in_cookie, "cookie", &format!("access_token={token}"));
    let mut in_form = post("", &format!("access_token={token}"));
    set(
        &mut in_form,
        "content-type",
        "application/x-www-form-urlencoded",
    );
    let mut in_other = list("/mcp");
    set(
        &mut in_other,
        "x-forwarded-authorization",
        &format!("Bearer {token}"),
    );
    for asked in [in_query, in_cookie, in_form, in_other] {
        let answer = server.send(asked).await;
        answer.expect_error(401, "unauthorized");
    }
    let me = format!("/api/v1/me?access_token={token}");
    let answer = server.rest("", Method::GET, &me, &Value::Null).await;
    answer.expect_error(401, "unauthorized");

    // Neither these nor a good and a bad use of the header leave the token in the log.
    accepted(&server, &token).await;
    let late = server.token().claim("exp", 1).sign();
    refused(&server, &late).await;
    server.open_session(&token).await;
    let log = log.text();
    assert!(log.contains("portcullis::access"), "{log}");
    for part in token.split('.').chain(late.split('.')).skip(1) {
        assert!(!log.contains(part), "{log}");
    }
}

#[tokio::test]
async fn a_bad_token_beside_nothing_else_is_named_as_the_cause() {
    let server = ProtectedServer::start().await;
    let ended = server.token().claim("exp", 1_700_000_000).sign();
    let answer = server.echo(&ended).await;
    assert_invalid_token(&answer);
    let said = answer.json()["error_description"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        said,
        "The access token is refused: it has expired. Get a new one."
    );
}

#[tokio::test]
async fn too_weak_a_token_gets_every_scope_of_the_operation_and_leaves_no_mark() {
    let server = ProtectedServer::start().await;
    let strong = server.token().sign();
    let weak = server.token().claim("scope", "mcp:read mcp:infer").sign();
    let rest = "/api/v1/tools/note_add";
    for answer in [
        server.call(&weak, "note_add", write()).await,
        server.rest(&weak, Method::POST, rest, &write()).await,
        server
            .call(
                &server.token().claim("scope", "").sign(),
                "note_add",
                write(),
            )
            .await,
        server
            .call(&server.token().without("scope").sign(), "note_add", write())
            .await,
        server
            .call(
                &server.token().claim("scope", "mcp:writer").sign(),
                "note_add",
                write(),
            )
            .await,
    ] {
        answer.expect_error(403, "insufficient_scope");
        let challenge = answer.header("www-authenticate");
        assert_eq!(
            challenge,
            format!(
                "Bearer error=\"insufficient_scope\", \
                 error_description=\"This operation needs the scope mcp:write.\", \
                 scope=\"mcp:write\", {METADATA}"
            )
        );
    }
    assert_eq!(server.count_notes(&strong).await, 0);
    server.call(&strong, "note_add", write()).await;
    assert_eq!(server.count_notes(&strong).await, 1);
}

#[tokio::test]
async fn each_probe_asks_for_its_own_scope() {
    let server = ProtectedServer::start().await;
    let none = server.token().claim("scope", "").sign();
    for scope in ["read", "write", "infer"] {
        let path = format!("/api/v1/protected/{scope}");
        let answer = server.rest(&none, Method::GET, &path, &Value::Null).await;
        answer.expect_error(403, "insufficient_scope");
        let named = format!("scope=\"mcp:{scope}\"");
        assert!(answer.header("www-authenticate").contains(&named));
        let enough = server.token().claim("scope", format!("mcp:{scope}")).sign();
        let answer = server.rest(&enough, Method::GET, &path, &Value::Null).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_broader_scope_satisfies_a_narrower_need_and_never_the_other_way() {
    let server = ProtectedServer::start().await;
    let writer = server.token().claim("scope", "mcp:write").sign();
    accepted(&server, &writer).await;
    assert_eq!(server.count_notes(&writer).await, 0);
    let reader = server.token().claim("scope", "mcp:read").sign();
    accepted(&server, &reader).await;
    let sum = json!({ "operation": "add", "operands": [1, 2] });
    let answer = server.call(&reader, "calculate", sum).await;
    answer.expect_error(403, "insufficient_scope");
}

#[tokio::test]
async fn a_clients_own_token_is_turned_away_where_a_person_is_needed_without_talk_of_scopes() {
    let server = ProtectedServer::start().await;
    let person = server.token().sign();
    let as_ours = server.token().of_client("robot").sign();
    // RFC 9068 §2.2 as other servers write it: the subject is the client itself.
    let as_theirs = server
        .token()
        .claim("sub", "robot")
        .claim("client_id", "robot")
        .sign();
    for robot in [as_ours, as_theirs] {
        accepted(&server, &robot).await;
        let rest = "/api/v1/tools/note_add";
        for answer in [
            server.call(&robot, "note_add", write()).await,
            server.rest(&robot, Method::POST, rest, &write()).await,
            server.call(&robot, "note_list", json!({})).await,
        ] {
            answer.expect_error(403, "access_denied");
            assert!(!answer.headers.contains_key("www-authenticate"));
            assert!(!answer.text().contains("scope"));
        }
    }
    assert_eq!(server.count_notes(&person).await, 0);
}

#[tokio::test]
async fn a_caller_sees_only_what_is_its_own() {
    let server = ProtectedServer::start().await;
    let ann = server.token().sign();
    let bob = server.token().claim("sub", "bob").sign();
    server.call(&ann, "note_add", write()).await;
    assert_eq!(server.count_notes(&ann).await, 1);
    assert_eq!(server.count_notes(&bob).await, 0);
}

#[tokio::test]
async fn the_body_of_a_caller_without_a_token_is_never_read() {
    let server = ProtectedServer::start().await;
    let mut asked = post("", "");
    *asked.body_mut() = axum::body::Body::from_stream(Unread);
    assert_eq!(server.send(asked).await.status, 401);
    let mut asked = post(&server.token().claim("exp", 1).sign(), "");
    *asked.body_mut() = axum::body::Body::from_stream(Unread);
    assert_eq!(server.send(asked).await.status, 401);
}

#[tokio::test]
async fn a_cookie_is_neither_needed_nor_set() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    let mut asked = modern(&token, "tools/list", json!({}));
    set(&mut asked, "cookie", "portcullis_session=x");
    assert!(asked.headers().contains_key(COOKIE));
    let answer = server.send(asked).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("set-cookie"));
}

/// A body that fails the test when it is looked at.
struct Unread;

impl futures_core::Stream for Unread {
    type Item = Result<bytes::Bytes, std::convert::Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        panic!("the body was read")
    }
}
