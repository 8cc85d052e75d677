//! The authorization endpoint (OAuth 2.1 §4.1), for a person who is logged in unless a test says
//! otherwise.

use std::collections::HashSet;

use axum::body::Body;
use http::Request;
use portcullis_testkit::authz::{
    Answer, Authz, CLI, CLI_CALLBACK, FILES, FORM, ISSUER, MCP, SPA, SPA_CALLBACKS, WEB,
    WEB_CALLBACK,
};
use portcullis_testkit::browser::{Ask, Browser, CHALLENGE};
use portcullis_testkit::database::TestDatabase;
use url::Url;

const PASSWORD: &str = "correct horse";

async fn start() -> (TestDatabase, Browser) {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    authz.add_user("alice", PASSWORD).await;
    let mut browser = Browser::new(&authz);
    browser.is_logged_in_as("alice", PASSWORD).await;
    (database, browser)
}

fn ask() -> Ask {
    Ask::of(WEB.0, WEB_CALLBACK)
}

/// An error that stays with the person: a page with its headers, and nobody is sent anywhere.
fn expect_page(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert_eq!(answer.location(), None, "{what}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.text().contains("<h1>"), "{what}");
}

/// An error that goes to the client: at its redirect URI, with the state unchanged and the issuer.
fn expect_redirect(answer: &Answer, error: &str, what: &str) {
    assert_eq!(answer.status, 303, "{what}: {answer:?}");
    let location = answer.location().unwrap();
    assert!(location.starts_with(WEB_CALLBACK), "{what}: {location}");
    assert!(!location.contains('#'), "{what}: {location}");
    assert_eq!(
        answer.parameter("error").as_deref(),
        Some(error),
        "{what}: {location}"
    );
    assert_eq!(answer.parameter("state").as_deref(), Some("st-1"), "{what}");
    assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER), "{what}");
    assert_eq!(answer.parameter("code"), None, "{what}");
}

#[tokio::test]
async fn a_redirect_uri_that_differs_in_anything_stays_on_a_page() {
    let (_database, mut browser) = start().await;
    for wrong in [
        "https://app.test/cb/",
        "https://app.test/cb2",
        "https://app.test/c",
        "https://app.test/",
        "https://app.test/cb?x=1",
        "https://app.test/CB",
        "HTTPS://APP.TEST/cb",
        "https://app.test/%63b",
        "https://evil.test/cb",
        "https://app.test.evil.test/cb",
        "//app.test/cb",
        "javascript:alert(1)",
        "https://app.test/cb\r\nX: y",
    ] {
        let answer = browser.get(&ask().with("redirect_uri", wrong).path()).await;
        expect_page(&answer, wrong);
        assert!(!answer.text().contains("evil"), "{wrong}");
    }
    for wrong in [
        "https://spa.test/cb",
        "https://spa.test/cb?a=2",
        "https://spa.test/cb?a=1&b=2",
    ] {
        expect_page(&browser.get(&Ask::of(SPA, wrong).path()).await, wrong);
    }
}

#[tokio::test]
async fn a_loopback_client_gets_its_answer_at_the_port_it_asked_for() {
    let (_database, mut browser) = start().await;
    for (client, uri) in [
        (CLI, "http://127.0.0.1:1/callback"),
        (CLI, "http://127.0.0.1:49152/callback"),
        (CLI, "http://127.0.0.1:65535/callback"),
        (CLI, "http://127.0.0.1/callback"),
        (CLI, "http://localhost:8765/callback"),
        (SPA, "http://[::1]:8765/cb"),
    ] {
        let page = browser.opens(&Ask::of(client, uri).path()).await;
        assert!(
            page.text().contains("a program on this computer"),
            "{uri}: {page:?}"
        );
        let answer = browser.approves(&page).await;
        let location = answer.location().unwrap();
        assert!(location.starts_with(&format!("{uri}?code=")), "{location}");
        assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER));
    }
    let wrong = "http://127.0.0.1:1/callback2";
    expect_page(&browser.get(&Ask::of(CLI, wrong).path()).await, wrong);
}

#[tokio::test]
async fn a_redirect_uri_may_be_left_out_only_where_there_is_one() {
    let (_database, mut browser) = start().await;
    let page = browser.opens(&ask().without("redirect_uri").path()).await;
    let answer = browser.approves(&page).await;
    assert!(answer.location().unwrap().starts_with(WEB_CALLBACK));
    for client in [SPA, CLI] {
        let answer = browser.get(&Ask::of(client, "").path()).await;
        expect_page(&answer, client);
    }
}

#[tokio::test]
async fn an_unknown_client_is_told_to_the_person_and_not_echoed() {
    let (_database, mut browser) = start().await;
    let long = "x".repeat(10 * 1024);
    for wrong in [
        "nobody",
        "",
        &long,
        "<script>alert(1)</script>",
        "WEB",
        "web ",
    ] {
        let answer = browser.get(&ask().with("client_id", wrong).path()).await;
        expect_page(&answer, "client");
        assert!(!answer.text().contains("<script"));
        assert!(!answer.text().contains("xxxx"));
    }
    expect_page(
        &browser.get(&ask().without("client_id").path()).await,
        "none",
    );
    expect_page(&browser.get("/authorize").await, "nothing");
    for broken in ["/authorize?client_id=%zz", "/authorize?client_id=%ff"] {
        expect_page(&browser.get(broken).await, broken);
    }
}

#[tokio::test]
async fn a_repeated_parameter_is_refused_and_a_repeated_resource_is_not() {
    let (_database, mut browser) = start().await;
    for (name, value) in [("client_id", WEB.0), ("redirect_uri", WEB_CALLBACK)] {
        for value in [value, "other"] {
            expect_page(&browser.get(&ask().and(name, value).path()).await, name);
        }
    }
    for (name, value) in [
        ("response_type", "code"),
        ("scope", "mcp:read"),
        ("code_challenge", "x"),
        ("code_challenge_method", "S256"),
    ] {
        for value in [value, "other"] {
            let answer = browser.get(&ask().and(name, value).path()).await;
            expect_redirect(&answer, "invalid_request", name);
        }
    }
    let answer = browser.get(&ask().and("state", "st-2").path()).await;
    assert_eq!(
        answer.parameter("error").as_deref(),
        Some("invalid_request")
    );
    assert_eq!(
        answer.parameter("state"),
        None,
        "neither of two states is the one that was sent"
    );
    let page = browser.opens(&ask().and("resource", MCP).path()).await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test]
async fn a_request_without_an_s256_challenge_is_refused_for_every_client() {
    let (_database, mut browser) = start().await;
    let challenge = "a".repeat(43);
    for (what, wrong) in [
        (
            "none",
            ask()
                .without("code_challenge")
                .without("code_challenge_method"),
        ),
        ("empty", ask().with("code_challenge", "")),
        ("plain", ask().with("code_challenge_method", "plain")),
        ("no method", ask().without("code_challenge_method")),
        ("s256", ask().with("code_challenge_method", "s256")),
        ("42", ask().with("code_challenge", &challenge[..42])),
        ("44", ask().with("code_challenge", &format!("{challenge}a"))),
        ("129", ask().with("code_challenge", &challenge.repeat(3))),
        (
            "=",
            ask().with("code_challenge", &format!("{}=", &challenge[..42])),
        ),
        (
            "+",
            ask().with("code_challenge", &format!("{}+", &challenge[..42])),
        ),
        (
            "space",
            ask().with("code_challenge", &format!("{} ", &challenge[..42])),
        ),
        (
            "ä",
            ask().with("code_challenge", &format!("{}ä", &challenge[..41])),
        ),
    ] {
        expect_redirect(&browser.get(&wrong.path()).await, "invalid_request", what);
    }
    let public = Ask::of(CLI, CLI_CALLBACK).without("code_challenge");
    let answer = browser.get(&public.path()).await;
    assert_eq!(
        answer.parameter("error").as_deref(),
        Some("invalid_request")
    );
}

#[tokio::test]
async fn only_the_response_type_code_by_query_is_answered() {
    let (_database, mut browser) = start().await;
    let kind = "unsupported_response_type";
    for (value, error) in [
        ("", "invalid_request"),
        ("token", kind),
        ("id_token", kind),
        ("code token", kind),
        ("none", kind),
        ("CODE", kind),
    ] {
        let answer = browser
            .get(&ask().with("response_type", value).path())
            .await;
        expect_redirect(&answer, error, value);
    }
    for mode in ["fragment", "form_post", "web_message", "x"] {
        let answer = browser.get(&ask().with("response_mode", mode).path()).await;
        expect_redirect(&answer, "invalid_request", mode);
    }
    let page = browser
        .opens(&ask().with("response_mode", "query").path())
        .await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn request_objects_are_refused_by_name_and_never_fetched() {
    let (_database, mut browser) = start().await;
    let object = "eyJhbGciOiJub25lIn0.e30.";
    let answer = browser.get(&ask().with("request", object).path()).await;
    expect_redirect(&answer, "request_not_supported", "request");
    let answer = browser
        .get(&ask().with("request_uri", "http://127.0.0.1:9/x").path())
        .await;
    expect_redirect(&answer, "request_uri_not_supported", "request_uri");
}

#[tokio::test]
async fn an_unknown_resource_or_scope_is_told_to_the_client() {
    let (_database, mut browser) = start().await;
    for wrong in [
        "http://localhost:8080/mcp#x",
        "/mcp",
        "https://other.test/mcp",
        "http://app.test/mcp",
        "x",
    ] {
        let answer = browser.get(&ask().with("resource", wrong).path()).await;
        expect_redirect(&answer, "invalid_target", wrong);
    }
    let answer = browser.get(&ask().and("resource", FILES).path()).await;
    expect_redirect(&answer, "invalid_target", "two resources");
    for wrong in ["mcp:admin", "mcp:read mcp:admin", "\"", "mcp:read\u{e4}"] {
        let answer = browser.get(&ask().with("scope", wrong).path()).await;
        expect_redirect(&answer, "invalid_scope", wrong);
    }
    let beyond = ask().with("resource", FILES).with("scope", "mcp:write");
    expect_redirect(
        &browser.get(&beyond.path()).await,
        "invalid_scope",
        "not there",
    );
    let bound = Ask::of(SPA, SPA_CALLBACKS[0]).with("scope", "mcp:write");
    let answer = browser.get(&bound.path()).await;
    assert_eq!(answer.parameter("error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn what_is_left_out_has_a_default_and_what_is_unknown_is_ignored() {
    let (_database, mut browser) = start().await;
    let bare = ask()
        .without("scope")
        .without("resource")
        .without("state")
        .with("unknown", "1")
        .with("nonce", "")
        .with("prompt", "");
    let page = browser.opens(&bare.path()).await;
    assert!(page.text().contains("value=\"mcp:read\""), "{page:?}");
    assert!(!page.text().contains("mcp:write"));
    let answer = browser.approves(&page).await;
    assert!(answer.parameter("code").is_some());
    assert_eq!(answer.parameter("state"), None);
}

#[tokio::test]
async fn a_state_comes_back_byte_for_byte_with_codes_and_errors() {
    let (_database, mut browser) = start().await;
    let long = "s".repeat(2048);
    let strange = "a+b c\u{e4}\u{1f511}\"'<b>&amp;%00\0=?#/\\";
    for state in [long.as_str(), strange] {
        let asked = ask().with("state", state).with("prompt", "consent");
        let answer = browser.get(&asked.clone().with("scope", "x").path()).await;
        assert_eq!(answer.parameter("state").as_deref(), Some(state));
        let page = browser.opens(&asked.clone().path()).await;
        assert!(!page.text().contains("<b>"));
        let answer = browser.denies(&page).await;
        assert_eq!(answer.parameter("state").as_deref(), Some(state));
        let page = browser.opens(&asked.path()).await;
        let answer = browser.approves(&page).await;
        assert_eq!(answer.parameter("state").as_deref(), Some(state));
        assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER));
    }
}

#[tokio::test]
async fn a_posted_request_is_judged_like_one_in_the_query() {
    let (_database, mut browser) = start().await;
    let post = |ask: &Ask| {
        Request::post("/authorize")
            .header("content-type", FORM)
            .body(Body::from(ask.encoded()))
            .unwrap()
    };
    let answer = browser.send(post(&ask().with("scope", "x"))).await;
    expect_redirect(&answer, "invalid_scope", "posted");
    let answer = browser
        .send(post(&ask().with("redirect_uri", "https://evil.test/")))
        .await;
    expect_page(&answer, "posted");
    let answer = browser.send(post(&ask())).await;
    let page = browser.follows(answer).await;
    assert!(browser.approves(&page).await.parameter("code").is_some());
}

#[tokio::test]
async fn other_methods_are_405_and_head_changes_nothing() {
    let (database, mut browser) = start().await;
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri(ask().path())
            .body(Body::empty())
            .unwrap();
        let answer = browser.send(request).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "GET,HEAD,POST", "{method}");
    }
    let head = Request::head(ask().path()).body(Body::empty()).unwrap();
    let answer = browser.send(head).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let is_kept = async || {
        let dump = database.dump().await;
        String::from_utf8_lossy(&dump).contains(CHALLENGE)
    };
    assert!(!is_kept().await, "HEAD keeps nothing");
    browser.get(&ask().path()).await;
    assert!(is_kept().await);
}

#[tokio::test]
async fn a_second_get_of_the_same_request_is_as_good_as_the_first() {
    let (_database, mut browser) = start().await;
    let mut program = browser.clone();
    program.cookies.clear();
    let peeked = program.get(&ask().path()).await;
    assert_eq!(peeked.status, 303, "a client looks first, without cookies");
    let first = browser.opens(&ask().path()).await;
    let second = browser.opens(&ask().path()).await;
    for page in [second, first] {
        assert!(browser.approves(&page).await.parameter("code").is_some());
    }
}

#[tokio::test]
async fn a_huge_query_is_refused_or_served_and_never_worse() {
    let (_database, mut browser) = start().await;
    for (kib, statuses) in [(4, [303, 303]), (16, [303, 414]), (60, [414, 414])] {
        let answer = browser
            .get(&ask().with("x", &"y".repeat(kib * 1024)).path())
            .await;
        assert!(
            statuses.contains(&answer.status.as_u16()),
            "{kib}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn every_code_is_new_and_carries_256_bits() {
    let (_database, mut browser) = start().await;
    browser.allows(&ask(), "alice", PASSWORD).await;
    let mut codes = Vec::new();
    for _ in 0..40 {
        // Together, because the store writes together what comes together.
        let asking: Vec<_> = (0..50)
            .map(|_| {
                let mut browser = browser.clone();
                tokio::spawn(async move { browser.allows(&ask(), "alice", PASSWORD).await })
            })
            .collect();
        for code in asking {
            codes.push(code.await.unwrap());
        }
    }
    assert_eq!(codes.len(), 2000);
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    for code in &codes {
        assert_eq!(code.len(), 43, "{code}");
        assert!(code.bytes().all(is_base64url), "{code}");
    }
    let different: HashSet<_> = codes.iter().collect();
    assert_eq!(different.len(), 2000, "none is given twice");
    let heads: HashSet<_> = codes.iter().map(|code| &code[..6]).collect();
    assert!(heads.len() > 1990, "codes have no common beginning");
    let rising = codes.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(
        (800..1200).contains(&rising),
        "codes have no order: {rising}"
    );
}

#[tokio::test]
async fn a_code_stands_in_the_query_of_the_answer_and_nowhere_else() {
    let (_database, mut browser) = start().await;
    let page = browser.opens(&ask().path()).await;
    let answer = browser.approves(&page).await;
    let code = answer.parameter("code").unwrap();
    let location = answer.location().unwrap();
    assert_eq!(
        Url::parse(&location).unwrap().fragment(),
        None,
        "{location}"
    );
    let whole = format!("{:?} {}", answer.headers, answer.text());
    assert_eq!(whole.matches(&code).count(), 1, "{whole}");
}

#[tokio::test]
async fn prompt_and_max_age_are_obeyed() {
    let (_database, mut browser) = start().await;
    let mut stranger = browser.clone();
    stranger.cookies.clear();
    let silent = ask().with("prompt", "none");
    expect_redirect(
        &stranger.get(&silent.path()).await,
        "login_required",
        "no session",
    );
    expect_redirect(
        &browser.get(&silent.path()).await,
        "consent_required",
        "not asked yet",
    );
    let both = ask().with("prompt", "none login");
    expect_redirect(
        &browser.get(&both.path()).await,
        "invalid_request",
        "contradiction",
    );
    let wrong = ask().with("max_age", "-1");
    expect_redirect(
        &browser.get(&wrong.path()).await,
        "invalid_request",
        "max_age",
    );

    browser.allows(&ask(), "alice", PASSWORD).await;
    assert!(
        browser
            .get(&silent.path())
            .await
            .parameter("code")
            .is_some()
    );
    let page = browser.opens(&ask().with("prompt", "consent").path()).await;
    assert!(page.text().contains("name=\"decision\""), "asked again");
    for again in [ask().with("prompt", "login"), ask().with("max_age", "0")] {
        let page = browser.opens(&again.path()).await;
        assert!(page.text().contains("name=\"password\""), "{page:?}");
        let before = browser.cookies.clone();
        let answer = browser.logs_in(&page, "alice", PASSWORD).await;
        assert!(answer.parameter("code").is_some(), "{answer:?}");
        assert_ne!(browser.cookies, before);
    }
    let silent = silent.with("max_age", "0");
    expect_redirect(
        &browser.get(&silent.path()).await,
        "login_required",
        "too long ago",
    );
}

#[tokio::test]
async fn a_login_that_is_older_than_max_age_is_done_again() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    authz.add_user("alice", PASSWORD).await;
    let mut browser = Browser::new(&authz);
    browser.is_logged_in_as("alice", PASSWORD).await;
    let ask = ask().with("max_age", "60");
    authz.clock.advance(std::time::Duration::from_secs(60));
    assert!(
        browser
            .opens(&ask.path())
            .await
            .text()
            .contains("name=\"decision\"")
    );
    authz.clock.advance(std::time::Duration::from_secs(1));
    let page = browser.opens(&ask.path()).await;
    assert!(page.text().contains("name=\"password\""));
    let page = browser.logs_in(&page, "alice", PASSWORD).await;
    assert!(page.text().contains("name=\"decision\""), "{page:?}");
}

#[tokio::test]
async fn no_page_may_be_called_framed_stored_or_scripted_by_anybody() {
    let (_database, mut browser) = start().await;
    let consent = browser.get(&ask().path()).await.location().unwrap();
    let mut stranger = browser.clone();
    stranger.cookies.clear();
    let login = stranger.get(&ask().path()).await.location().unwrap();
    for path in [
        &consent,
        &login,
        "/login",
        "/logout",
        "/authorize",
        "/consent",
    ] {
        for (who, method) in [(0, "GET"), (1, "GET"), (0, "POST"), (0, "OPTIONS")] {
            let browser = if who == 0 {
                &mut browser
            } else {
                &mut stranger
            };
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("origin", "https://evil.test")
                .header("access-control-request-method", "POST")
                .body(Body::empty())
                .unwrap();
            let answer = browser.send(request).await;
            let what = format!("{method} {path}: {answer:?}");
            for name in answer.headers.keys() {
                assert!(!name.as_str().starts_with("access-control"), "{what}");
            }
            assert_eq!(answer.header("x-frame-options"), "DENY", "{what}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
            assert_eq!(answer.header("cache-control"), "no-store", "{what}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
            let policy = answer.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; "), "{what}");
            assert!(policy.contains("frame-ancestors 'none'"), "{what}");
            assert!(policy.contains("base-uri 'none'"), "{what}");
            assert!(
                !policy.contains("script") && !policy.contains("unsafe"),
                "{what}"
            );
            let body = answer.text();
            assert!(!body.contains("<script"), "{what}");
            let mut tags = body.split('<').map(|tag| tag.split('>').next().unwrap());
            assert!(!tags.any(|tag| tag.contains(" on")), "{what}");
            assert!(!body.contains("src=") && !body.contains("style="), "{what}");
        }
    }
}

#[tokio::test]
async fn forged_hosts_change_no_page_and_no_redirect() {
    let (_database, mut browser) = start().await;
    let forged = |path: &str| {
        Request::get(path)
            .header("host", "evil.test")
            .header("x-forwarded-host", "evil.test")
            .header("forwarded", "host=evil.test;proto=javascript")
            .header("x-forwarded-proto", "javascript")
            .header("x-original-url", "https://evil.test/")
            .body(Body::empty())
            .unwrap()
    };
    let first = browser.send(forged(&ask().path())).await;
    let page = browser.send(forged(&first.location().unwrap())).await;
    let mut stranger = browser.clone();
    stranger.cookies.clear();
    let login = stranger.send(forged("/login")).await;
    let refused = browser.send(forged(&ask().with("scope", "x").path())).await;
    for answer in [first, page, login, refused] {
        let all = format!("{:?} {}", answer.headers, answer.text());
        assert!(
            !all.contains("evil") && !all.contains("javascript"),
            "{all}"
        );
    }
}
