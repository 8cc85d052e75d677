//! What a document, and the answer that brings it, must be like.

use std::time::Duration;

use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::web::{NAMES, TestWeb};
use portcullis_testkit::website::{Page, TestAuthority, tls_1_1};
use serde_json::{Value, json};

use super::{ID, World, document, expect_refusal, is_known};

/// The page is refused every time, and a good one in its place is taken at once.
async fn refused_and_not_kept(pages: Vec<(String, Page)>) {
    let world = World::start().await;
    for (what, page) in pages {
        world.web.site.publish("/bad.json", page);
        let id = "https://client.test/bad.json";
        let before = world.fetches().len();
        expect_refusal(&world.asks_as(id).await, &what);
        expect_refusal(&world.asks_as(id).await, &what);
        assert_eq!(
            world.fetches().len(),
            before + 2,
            "{what}: a failure was kept"
        );
        world
            .web
            .site
            .publish("/bad.json", Page::json(&document(id)));
        assert!(is_known(&world.asks_as(id).await), "{what}");
        // What was kept is forgotten, and the number of fetches begins anew.
        world.authz.clock.advance(Duration::from_secs(61));
    }
}

#[tokio::test]
async fn a_document_that_names_another_client_is_refused_and_not_kept() {
    let page = |id: &str| (id.to_owned(), Page::json(&document(id)));
    refused_and_not_kept(vec![
        page("https://other.test/bad.json"),
        page("https://CLIENT.test/bad.json"),
        page("https://client.test:443/bad.json"),
        page("https://client.test/bad.json/"),
        page("https://client.test/bad%2Ejson"),
        page("https://client.test/app.json"),
    ])
    .await;
}

#[tokio::test]
async fn an_answer_that_is_not_200_with_json_is_refused_and_not_kept() {
    let good = document("https://client.test/bad.json");
    let text = good.to_string();
    let mut pages = Vec::new();
    for status in [201, 202, 203, 206, 400, 404, 410, 500, 503] {
        let page = Page::new(status, "application/json", text.as_bytes());
        pages.push((status.to_string(), page));
    }
    pages.push(("204".to_owned(), Page::new(204, "application/json", b"")));
    for kind in [
        "text/html",
        "text/plain",
        "application/x-www-form-urlencoded",
    ] {
        pages.push((kind.to_owned(), Page::new(200, kind, text.as_bytes())));
    }
    let refresh = b"<meta http-equiv=refresh content='0;url=https://client.test/app.json'>";
    pages.push((
        "meta refresh".to_owned(),
        Page::new(200, "text/html", refresh),
    ));
    let twice = format!("{{\"client_id\":\"x\",{}", &text[1..]);
    for broken in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{}",
        &text[..text.len() - 1],
        &twice,
    ] {
        let page = Page::new(200, "application/json", broken.as_bytes());
        pages.push((broken.to_owned(), page));
    }
    let mut missing = good;
    missing.as_object_mut().unwrap().remove("redirect_uris");
    pages.push(("no redirect_uris".to_owned(), Page::json(&missing)));
    refused_and_not_kept(pages).await;
}

#[tokio::test]
async fn a_document_with_a_secret_or_a_method_that_needs_one_is_refused() {
    let page = |name: &str, value: Value| {
        let mut document = document("https://client.test/bad.json");
        document[name] = value;
        (name.to_owned(), Page::json(&document))
    };
    let private = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "d"}]});
    refused_and_not_kept(vec![
        page("client_secret", json!("s")),
        page("client_secret_expires_at", json!(0)),
        page("token_endpoint_auth_method", json!("client_secret_basic")),
        page("token_endpoint_auth_method", json!("client_secret_post")),
        page("token_endpoint_auth_method", json!("client_secret_jwt")),
        page("token_endpoint_auth_method", json!("private_key_jwt")),
        page("jwks", private),
        page("jwks", json!({"keys": [{"kty": "oct", "k": "k"}]})),
        page("redirect_uris", json!(["javascript:alert(1)"])),
    ])
    .await;
}

#[tokio::test]
async fn a_redirect_to_another_document_is_not_followed() {
    let world = World::start().await;
    let other = "https://other.test/other.json";
    world
        .web
        .site
        .publish("/other.json", Page::json(&document(other)));
    for status in [301, 302, 303, 307, 308] {
        let page = Page::new(status, "application/json", b"").with("location", other);
        world.web.site.publish("/moved.json", page);
        let answer = world.asks_as("https://client.test/moved.json").await;
        expect_refusal(&answer, &status.to_string());
    }
    assert!(
        world
            .fetches()
            .iter()
            .all(|request| request == "client.test/moved.json")
    );
    assert!(world.web.asked().iter().all(|name| name == "client.test"));
    assert_eq!(world.fetches().len(), 5);
}

/// A good document of exactly this many bytes.
fn padded(id: &str, length: usize) -> Vec<u8> {
    let mut bytes = document(id).to_string().into_bytes();
    bytes.resize(length, b' ');
    bytes
}

#[tokio::test]
async fn reading_stops_at_5_kib_whatever_the_answer_announces() {
    let world = World::start().await;
    let id = "https://client.test/large.json";
    let publish = |page| world.web.site.publish("/large.json", page);
    let json = |body: &[u8]| Page::new(200, "application/json", body);
    let mut bad = vec![
        ("a byte more", json(&padded(id, 5121))),
        (
            "100 MB announced",
            Page::announcing(100_000_000, &padded(id, 9000)),
        ),
        (
            "less sent than announced",
            Page::announcing(5000, &padded(id, 4000)),
        ),
        (
            "more sent than announced",
            Page::announcing(100, &padded(id, 4000)),
        ),
        ("endless", Page::endless()),
        (
            "encoded",
            json(&padded(id, 4000)).with("content-encoding", "gzip"),
        ),
        (
            "a large head",
            json(&padded(id, 400)).with("x-large", &"x".repeat(100_000)),
        ),
    ];
    for (what, page) in bad.drain(..) {
        publish(page);
        expect_refusal(&world.asks_as(id).await, what);
    }
    // What fits into the buffers between us, and not what a reader would have taken in.
    assert!(
        world.web.site.sent() < 8_000_000,
        "{}",
        world.web.site.sent()
    );
    publish(json(&padded(id, 5120)));
    assert!(is_known(&world.asks_as(id).await));
}

#[tokio::test]
async fn addresses_inside_a_document_are_never_fetched() {
    let world = World::start().await;
    for inside in [
        "http://169.254.169.254/x",
        "https://127.0.0.1/x",
        "https://other.test/x",
    ] {
        let mut document = document(ID);
        for name in [
            "jwks_uri",
            "logo_uri",
            "client_uri",
            "tos_uri",
            "policy_uri",
        ] {
            document[name] = json!(inside);
        }
        document["sector_identifier_uri"] = json!(inside);
        let page = Page::json(&document).with("cache-control", "no-store");
        world.web.site.publish("/app.json", page);
        assert!(is_known(&world.asks_as(ID).await), "{inside}");
    }
    assert_eq!(world.fetches(), ["client.test/app.json"; 3]);
    assert_eq!(world.web.dialled(), ["93.184.216.34:443"; 3]);
}

#[tokio::test]
async fn a_host_that_cannot_prove_its_name_is_refused() {
    let (ours, foreign) = (TestAuthority::new("ours"), TestAuthority::new("foreign"));
    for (what, identity) in [
        ("expired", ours.certify_in_the_past(&NAMES)),
        ("another name", ours.certify(&["evil.test"])),
        (
            "a name below",
            ours.certify(&["*.client.test", "www.client.test"]),
        ),
        ("another authority", foreign.certify(&NAMES)),
    ] {
        let web = TestWeb::start_with(&ours, identity).await;
        let world = World::start_on(web, |_| ()).await;
        expect_refusal(&world.asks_as(ID).await, what);
        assert!(world.fetches().is_empty(), "{what}");
    }
    let web = TestWeb::start().await.leading_to(tls_1_1().await);
    let world = World::start_on(web, |_| ()).await;
    expect_refusal(&world.asks_as(ID).await, "TLS 1.1");
}

#[tokio::test]
async fn the_log_says_at_info_which_host_was_refused_and_why() {
    let log = CapturedLog::begin();
    let world = World::start().await;
    world.web.name("inside.test", &["10.0.0.7"]);
    world.asks_as("https://inside.test/c.json").await;
    world
        .web
        .site
        .publish("/app.json", Page::new(500, "text/plain", b"x"));
    world.asks_as(ID).await;
    let lines: Vec<Value> = log
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line.to_string().contains("metadata document"))
        .collect();
    let says = |words: [&str; 2]| {
        lines.iter().any(|line| {
            let text = line.to_string();
            line["level"] == "INFO" && words.iter().all(|word| text.contains(word))
        })
    };
    assert!(says(["inside.test", "10.0.0.7"]), "{lines:?}");
    assert!(says(["client.test", "status is 500"]), "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line["level"] != "ERROR" && line["level"] != "WARN")
    );
}
