//! What the server can be made to fetch, and how often.

use std::time::Duration;

use portcullis_testkit::authz::{Answer, Authz};
use portcullis_testkit::browser::Browser;
use portcullis_testkit::clock::within;
use portcullis_testkit::website::Page;

use super::{ID, World, ask, document, expect_refusal, is_known};

#[tokio::test]
async fn what_is_no_url_of_a_document_is_an_unknown_client_and_nothing_is_looked_up() {
    let world = World::start().await;
    for id in [
        "http://client.test/app.json",
        "HTTPS://client.test/app.json",
        "https://client.test",
        "https://client.test/",
        "https://client.test/app.json#x",
        "https://u@client.test/app.json",
        "https://u:p@client.test/app.json",
        "https://client.test/./app.json",
        "https://client.test/a/../app.json",
        "https://client.test/a/%2e%2e/app.json",
        "https://client.test/%2E/app.json",
        "https://client.test\\app.json",
        "https://client.test/app .json",
        "https://CLIENT.test/app.json",
        "https://client.test:443/app.json",
        "https://0x5db8d822/app.json",
        "https:client.test/app.json",
    ] {
        let answer = world.asks_as(id).await;
        assert_eq!(
            (answer.status.as_u16(), answer.location()),
            (400, None),
            "{id}"
        );
        assert!(answer.text().contains("not known here"), "{id}");
        let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let body = format!("client_id={encoded}&grant_type=refresh_token&refresh_token=x");
        let answer = world.authz.token(None, &body).await;
        answer.expect_error(401, "invalid_client");
    }
    assert!(world.web.asked().is_empty() && world.web.dialled().is_empty());
}

#[tokio::test]
async fn an_address_inside_is_never_dialled_however_it_is_named() {
    let world = World::start().await;
    for address in [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
    ] {
        // By name, alone and beside a good address, and in the URL itself.
        world.web.name("inside.test", &[address]);
        world.web.name("mixed.test", &["93.184.216.34", address]);
        let literal = match address.contains(':') {
            true => url::Url::parse(&format!("https://[{address}]/app.json")).unwrap(),
            false => url::Url::parse(&format!("https://{address}/app.json")).unwrap(),
        };
        for id in [
            "https://inside.test/app.json",
            "https://mixed.test/app.json",
            literal.as_str(),
        ] {
            expect_refusal(&world.asks_as(id).await, &format!("{address} as {id}"));
        }
        world.authz.clock.advance(Duration::from_secs(61));
    }
    assert!(world.web.dialled().is_empty(), "{:?}", world.web.dialled());
}

#[tokio::test]
async fn the_address_that_was_checked_is_dialled_and_nothing_is_looked_up_twice() {
    let world = World::start().await;
    world.asks_as("https://client.test:8443/app.json").await;
    assert_eq!(world.web.asked(), ["client.test"]);
    assert_eq!(world.web.dialled(), ["93.184.216.34:8443"]);
}

/// How many fetches a second request costs after this many seconds.
async fn again_after(seconds: u64, page: Page) -> usize {
    let world = World::start().await;
    world.web.site.publish("/app.json", page);
    assert!(is_known(&world.asks_as(ID).await));
    world.authz.clock.advance(Duration::from_secs(seconds));
    assert!(is_known(&world.asks_as(ID).await));
    world.fetches().len() - 1
}

#[tokio::test]
async fn a_document_is_kept_as_long_as_it_says_within_the_bounds() {
    const DAY: u64 = 24 * 3600;
    for (said, kept) in [
        (None, 30),
        (Some("max-age=0"), 30),
        (Some("no-cache"), 30),
        (Some("max-age=600"), 600),
        (Some("max-age=31536000"), DAY),
    ] {
        let page = || {
            let page = Page::json(&document(ID));
            said.map_or(page.clone(), |said| page.with("cache-control", said))
        };
        assert_eq!(again_after(kept - 1, page()).await, 0, "{said:?}");
        assert_eq!(again_after(kept, page()).await, 1, "{said:?}");
    }
    let page = Page::json(&document(ID)).with("cache-control", "no-store, max-age=600");
    assert_eq!(again_after(0, page).await, 1);
}

#[tokio::test]
async fn two_hundred_who_ask_at_once_cost_one_fetch() {
    let world = World::start().await;
    world.web.site.hold();
    let tasks = many(&world.authz, (0..200).map(|_| ID.to_owned()));
    within(Duration::from_secs(20), async {
        while world.fetches().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.web.site.release();
    for task in tasks {
        let answer = task.await.unwrap();
        assert!(is_known(&answer), "{answer:?}");
    }
    assert_eq!(world.fetches().len(), 1);
}

/// Asks with each of these ids at once, from as many sources as are needed.
fn many(authz: &Authz, ids: impl Iterator<Item = String>) -> Vec<tokio::task::JoinHandle<Answer>> {
    let one = |(number, id): (usize, String)| {
        let mut browser = Browser::at(authz, &format!("192.0.2.{}", number / 20));
        tokio::spawn(async move { browser.get(&ask(&id).path()).await })
    };
    ids.enumerate().map(one).collect()
}

#[tokio::test]
async fn sixteen_fetches_are_open_at_once_and_no_more() {
    let world = World::start().await;
    world.web.site.hold();
    let ids = (0..40).map(|number| format!("https://client.test/{number}.json"));
    let tasks = many(&world.authz, ids);
    within(Duration::from_secs(20), async {
        while world.fetches().len() < 16 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.web.dialled().len(), 16);
    world.web.site.release();
    for task in tasks {
        // There is nothing at these URLs; who waited too long for a slot may come back.
        let status = task.await.unwrap().status.as_u16();
        assert!(matches!(status, 400 | 429), "{status}");
    }
}

#[tokio::test]
async fn a_source_causes_thirty_fetches_in_a_minute_and_all_together_three_hundred() {
    let world = World::start().await;
    let fetch = async |source: u8, number: usize| {
        let mut browser = Browser::at(&world.authz, &format!("192.0.2.{source}"));
        let id = format!("https://client.test/{source}-{number}.json");
        browser.get(&ask(&id).path()).await
    };
    for number in 0..30 {
        expect_refusal(&fetch(0, number).await, "there is nothing");
    }
    let answer = fetch(0, 30).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "60");
    // What is in memory costs nothing, and others are not harmed.
    let mut other = Browser::at(&world.authz, "192.0.2.1");
    assert!(is_known(&other.get(&ask(ID).path()).await));
    let mut first = Browser::at(&world.authz, "192.0.2.0");
    assert!(is_known(&first.get(&ask(ID).path()).await));
    for source in 1..10 {
        for number in 0..30 {
            fetch(source, number).await;
        }
    }
    assert_eq!(fetch(99, 0).await.status, 429);
    assert_eq!(world.fetches().len(), 300);
    let id: String = url::form_urlencoded::byte_serialize(b"https://client.test/x.json").collect();
    let body = format!("client_id={id}&grant_type=refresh_token&refresh_token=x");
    let answer = world.authz.token(None, &body).await;
    answer.expect_error(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), "60");
    world.authz.clock.advance(Duration::from_secs(60));
    expect_refusal(&fetch(0, 30).await, "a minute later");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up_after_three_seconds() {
    let world = World::start().await;
    world.web.site.hold();
    let start = tokio::time::Instant::now();
    expect_refusal(&world.asks_as(ID).await, "silent");
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(3), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test]
async fn the_operator_can_switch_documents_off_or_name_the_hosts() {
    const METADATA: &str = "/.well-known/oauth-authorization-server";
    const MEMBER: &str = "client_id_metadata_document_supported";
    let off = World::start_with(|config| config.authz.cimd = false).await;
    let answer = off.asks_as(ID).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("not known here"));
    let answer = off.token("grant_type=refresh_token&refresh_token=x").await;
    answer.expect_error(401, "invalid_client");
    assert!(off.web.asked().is_empty());
    assert!(off.authz.get(METADATA).await.json()[MEMBER].is_null());

    for (hosts, id, is_accepted) in [
        (["client.test", "x.test"], ID, true),
        (
            ["client.test", "x.test"],
            "https://client.test:8443/app.json",
            true,
        ),
        (
            ["client.test:8443", "x.test"],
            "https://client.test:8443/app.json",
            true,
        ),
        (["client.test:8443", "x.test"], ID, false),
        (["test", "x.test"], ID, false),
        (["www.client.test", "lient.test"], ID, false),
    ] {
        let world = World::start_with(|config| {
            config.authz.cimd_hosts = hosts.map(str::to_owned).to_vec();
        })
        .await;
        world
            .web
            .site
            .publish("/app.json", Page::json(&document(id)));
        let answer = world.asks_as(id).await;
        assert_eq!(is_known(&answer), is_accepted, "{hosts:?}: {answer:?}");
        assert_eq!(world.web.asked().is_empty(), !is_accepted, "{hosts:?}");
        assert_eq!(world.authz.get(METADATA).await.json()[MEMBER], true);
    }
}
