//! What people see of a client that a document describes, and what is remembered of it.

use portcullis_testkit::authz::Answer;
use portcullis_testkit::browser::{Ask, Browser, resolve};
use portcullis_testkit::website::Page;
use serde_json::json;

use super::{CALLBACK, ID, LOOPBACK, PASSWORD, World, ask, document, expect_refusal};

async fn start() -> (World, Browser) {
    let world = World::start().await;
    world.authz.add_user("alice", PASSWORD).await;
    let mut browser = Browser::new(&world.authz);
    browser.is_logged_in_as("alice", PASSWORD).await;
    (world, browser)
}

fn is_asked(answer: &Answer) -> bool {
    answer.status == 200 && answer.text().contains("name=\"decision\"")
}

/// Publishes the document with one member changed, so that every look sees it.
fn publish(world: &World, name: &str, value: serde_json::Value) {
    let mut document = document(ID);
    document[name] = value;
    let page = Page::json(&document).with("cache-control", "no-store");
    world.web.site.publish("/app.json", page);
}

#[tokio::test]
async fn the_page_shows_the_host_of_the_document_and_warns_of_loopback() {
    let (_world, mut browser) = start().await;
    let text = resolve(browser.opens(&ask(ID).path()).await.text());
    for said in [
        "Kite",
        "<strong>client.test</strong>",
        ID,
        "<dt>Comes from</dt><dd><strong>client.test</strong></dd>",
        "its own word",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("a program on this computer"));
    let text = resolve(browser.opens(&Ask::of(ID, LOOPBACK).path()).await.text());
    for said in [
        "<strong>client.test</strong>",
        "a program on this computer",
        "127.0.0.1",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[tokio::test]
async fn what_was_allowed_is_remembered_until_the_document_changes() {
    let (world, mut browser) = start().await;
    publish(&world, "client_name", json!("Kite"));
    browser.allows(&ask(ID), "alice", PASSWORD).await;
    let again = browser.opens(&ask(ID).path()).await;
    assert!(again.parameter("code").is_some(), "{again:?}");
    for (name, value) in [
        ("client_name", json!("Kite!")),
        ("redirect_uris", json!([CALLBACK])),
        (
            "redirect_uris",
            json!([CALLBACK, "https://client.test/cb2"]),
        ),
        ("client_uri", json!("https://client.test/")),
    ] {
        publish(&world, name, value);
        let page = browser.opens(&ask(ID).path()).await;
        assert!(is_asked(&page), "{name}");
        browser.approves(&page).await;
        let again = browser.opens(&ask(ID).path()).await;
        assert!(again.parameter("code").is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_document_client_on_this_computer_is_asked_about_every_time() {
    let (_world, mut browser) = start().await;
    let ask = Ask::of(ID, LOOPBACK);
    for _ in 0..2 {
        let page = browser.opens(&ask.path()).await;
        assert!(is_asked(&page));
        let answer = browser.approves(&page).await;
        assert!(answer.location().unwrap().starts_with(LOOPBACK));
    }
}

#[tokio::test]
async fn nobody_decides_about_another_document_than_they_were_shown() {
    let (world, mut browser) = start().await;
    publish(&world, "client_name", json!("Kite"));
    let page = browser.opens(&ask(ID).path()).await;
    publish(&world, "client_name", json!("Your bank"));
    let answer = browser.approves(&page).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (400, None));
    assert!(answer.text().contains("changed meanwhile"), "{answer:?}");
}

#[tokio::test]
async fn a_host_that_is_down_at_the_decision_loses_nothing() {
    let (world, mut browser) = start().await;
    publish(&world, "client_name", json!("Kite"));
    let page = browser.opens(&ask(ID).path()).await;
    world
        .web
        .site
        .publish("/app.json", Page::new(503, "text/plain", b"away"));
    expect_refusal(&browser.approves(&page).await, "away");
    publish(&world, "client_name", json!("Kite"));
    let answer = browser.approves(&page).await;
    assert!(answer.parameter("code").is_some(), "{answer:?}");
}

#[tokio::test]
async fn only_redirect_uris_of_the_document_are_answered() {
    let (world, mut browser) = start().await;
    for uri in [
        "https://client.test/other",
        "https://client.test/cb/",
        "https://client.test/cb?x",
        "https://CLIENT.test/cb",
        "https://evil.test/cb",
        "http://localhost:4711/cb",
        "http://127.0.0.1:4711/other",
        "javascript:alert(1)",
    ] {
        let answer = browser.get(&Ask::of(ID, uri).path()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.location()),
            (400, None),
            "{uri}"
        );
    }
    let answer = browser.get(&ask(ID).without("redirect_uri").path()).await;
    assert_eq!(answer.status, 400, "two to choose from");
    assert_eq!(world.fetches().len(), 1);
}

#[tokio::test]
async fn nobody_is_sent_to_an_app_that_nobody_vouches_for_before_logging_in() {
    let (world, mut browser) = start().await;
    let wrong = ask(ID).with("response_type", "token");
    let stranger = Browser::new(&world.authz).get(&wrong.path()).await;
    assert_eq!((stranger.status.as_u16(), stranger.location()), (400, None));
    let known = browser.get(&wrong.path()).await;
    assert_eq!(
        known.parameter("error").unwrap(),
        "unsupported_response_type"
    );
}
