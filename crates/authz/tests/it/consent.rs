//! The decision of a person, and what it leaves behind.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use portcullis_authz::accounts::admin;
use portcullis_testkit::authz::{
    self, Answer, Authz, CLI, CLI_CALLBACK, ISSUER, MCP, SPA, SPA_CALLBACKS, WEB, WEB_CALLBACK,
};
use portcullis_testkit::browser::{Ask, Browser, VERIFIER, resolve};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::on_both_engines;
use serde_json::Value;

const PASSWORD: &str = "correct horse";
const ALL: &str = "mcp:read mcp:write openid profile email offline_access";

async fn start(database: &TestDatabase) -> (Authz, Browser) {
    let authz = Authz::start(database).await;
    authz.add_user("alice", PASSWORD).await;
    let mut browser = Browser::new(&authz);
    browser.is_logged_in_as("alice", PASSWORD).await;
    (authz, browser)
}

fn ask() -> Ask {
    Ask::of(WEB.0, WEB_CALLBACK)
}

fn is_asked(answer: &Answer) -> bool {
    answer.status == 200 && answer.text().contains("name=\"decision\"")
}

async fn redeem(authz: &Authz, code: &str) -> Value {
    let body = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}");
    let answer = authz.token(Some(WEB), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

on_both_engines! {
    async fn a_person_logs_in_allows_and_the_client_gets_a_token(database) {
        let authz = Authz::start(&database).await;
        let alice = authz.add_user("alice", PASSWORD).await;
        let mut browser = Browser::new(&authz);
        let page = browser.opens(&ask().with("scope", ALL).path()).await;
        assert!(page.text().contains("Web &#38; S\u{f6}hne"), "{page:?}");
        let page = browser.logs_in(&page, "Alice", PASSWORD).await;
        assert!(is_asked(&page), "{page:?}");
        let answer = browser.approves(&page).await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.parameter("state").as_deref(), Some("st-1"));
        assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER));
        let token = redeem(&authz, &answer.parameter("code").unwrap()).await;
        assert_eq!(token["scope"], "email mcp:read mcp:write offline_access openid profile");
        let claims = token["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], alice.id.as_str());
        assert_eq!(claims["aud"], MCP);
    }

    async fn of_twenty_submissions_at_once_one_decides(database) {
        let (_authz, mut browser) = start(&database).await;
        let page = browser.opens(&ask().path()).await;
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (mut browser, page) = (browser.clone(), page.clone());
                tokio::spawn(async move {
                    match number % 4 {
                        3 => browser.denies(&page).await,
                        _ => browser.approves(&page).await,
                    }
                })
            })
            .collect();
        let mut redirects = 0;
        for task in tasks {
            let answer = task.await.unwrap();
            redirects += usize::from(answer.location().is_some());
            assert!(answer.location().is_some() || answer.status == 400, "{answer:?}");
        }
        assert_eq!(redirects, 1);
        let again = browser.approves(&page).await;
        assert_eq!(again.status, 400);
        assert!(again.text().contains("answered already"));
    }

    async fn an_approval_falls_with_the_session_it_was_made_in(database) {
        let (authz, mut browser) = start(&database).await;
        let page = browser.opens(&ask().path()).await;
        admin::disable(authz.state.store(), authz.clock.as_ref(), "alice").await.unwrap();
        let answer = browser.approves(&page).await;
        assert_eq!(answer.location().unwrap().split('?').next(), Some("/login"));
    }

    async fn a_change_of_the_password_ends_what_was_allowed(database) {
        let (authz, mut browser) = start(&database).await;
        let code = browser.allows(&ask().with("scope", ALL), "alice", PASSWORD).await;
        let token = redeem(&authz, &code).await;
        let refresh = format!(
            "grant_type=refresh_token&refresh_token={}",
            token["refresh_token"].as_str().unwrap()
        );
        let entropy = portcullis_testkit::entropy::SeededEntropy::new(5);
        let (store, clock) = (authz.state.store(), authz.clock.as_ref());
        admin::set_password(store, clock, entropy.as_ref(), "alice", "new").await.unwrap();
        authz.token(Some(WEB), &refresh).await.expect_error(400, "invalid_grant");
    }

    async fn what_was_allowed_is_remembered_until_something_differs(database) {
        let (_authz, mut browser) = start(&database).await;
        let two = ask().with("scope", "mcp:read mcp:write");
        browser.allows(&two, "alice", PASSWORD).await;
        assert!(browser.opens(&two.path()).await.parameter("code").is_some(), "the same");
        assert!(is_asked(&browser.opens(&ask().path()).await), "less");
        assert!(is_asked(&browser.opens(&two.clone().with("scope", ALL).path()).await), "more");
        let files = ask().with("resource", authz::FILES);
        assert!(is_asked(&browser.opens(&files.path()).await), "another resource");
        let consent = two.with("prompt", "consent");
        assert!(is_asked(&browser.opens(&consent.path()).await), "asked to ask");
    }
}

#[tokio::test]
async fn the_page_says_who_asks_for_what_and_where_the_answer_goes() {
    let database = TestDatabase::sqlite();
    let (_authz, mut browser) = start(&database).await;
    let page = browser.opens(&ask().with("scope", ALL).path()).await;
    let text = resolve(page.text());
    for said in [
        "Web & Söhne",
        "added by the operator",
        "app.test",
        MCP,
        "alice",
        "Use mcp:read.",
        "Use mcp:write.",
        "Recognise you",
        "See your user name",
        "See your e-mail address",
        "Stay connected",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("a program on this computer"));
    let ticked: Vec<_> = page
        .form()
        .fields
        .into_iter()
        .filter(|(name, _)| name == "scope")
        .collect();
    assert_eq!(ticked.len(), 6);
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://app.test;"),
        "{policy}"
    );

    let page = browser.opens(&Ask::of(CLI, CLI_CALLBACK).path()).await;
    assert!(page.text().contains("a program on this computer"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:49152;"),
        "{policy}"
    );
}

#[tokio::test]
async fn a_person_may_allow_less_and_never_more_than_was_shown() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    let asked = ask().with("scope", "mcp:read mcp:write offline_access");
    let page = browser.opens(&asked.path()).await;
    let less = page
        .form()
        .unticked("scope", "mcp:write")
        .with("decision", "allow");
    let answer = browser.submits(&less).await;
    let token = redeem(&authz, &answer.parameter("code").unwrap()).await;
    assert_eq!(token["scope"], "mcp:read offline_access");
    assert!(token["refresh_token"].is_string());

    let page = browser.opens(&asked.path()).await;
    let altered = page
        .form()
        .unticked("scope", "offline_access")
        .and("scope", "mcp:infer")
        .and("scope", "admin")
        .and("client_id", "cli")
        .and("redirect_uri", "https://evil.test/")
        .and("resource", authz::FILES)
        .and("account", "root")
        .with("decision", "allow");
    let answer = browser.submits(&altered).await;
    assert!(answer.location().unwrap().starts_with(WEB_CALLBACK));
    let token = redeem(&authz, &answer.parameter("code").unwrap()).await;
    assert_eq!(token["scope"], "mcp:read mcp:write");
    assert!(
        token["refresh_token"].is_null(),
        "whoever unticks it does not stay connected"
    );

    let page = browser.opens(&asked.path()).await;
    let nothing = page.form().without("scope").with("decision", "allow");
    let answer = browser.submits(&nothing).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (400, None));
    assert!(
        browser.approves(&page).await.parameter("code").is_some(),
        "still undecided"
    );
}

#[tokio::test]
async fn a_person_may_say_no() {
    let database = TestDatabase::sqlite();
    let (_authz, mut browser) = start(&database).await;
    let page = browser.opens(&ask().path()).await;
    let answer = browser.denies(&page).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.parameter("error").as_deref(), Some("access_denied"));
    assert_eq!(answer.parameter("state").as_deref(), Some("st-1"));
    assert_eq!(answer.parameter("iss").as_deref(), Some(ISSUER));
    assert!(
        is_asked(&browser.opens(&ask().path()).await),
        "nothing is remembered"
    );
    assert_eq!(browser.approves(&page).await.status, 400, "no stays no");
}

#[tokio::test]
async fn a_decision_needs_the_token_of_this_browser_and_this_request() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    let page = browser.opens(&ask().path()).await;
    let other_request = browser
        .opens(&ask().with("scope", "mcp:write").path())
        .await;
    let mut other_browser = Browser::new(&authz);
    other_browser.is_logged_in_as("alice", PASSWORD).await;
    let handle = page.form().value("request").unwrap().to_owned();
    let elsewhere = other_browser
        .get(&format!("/consent?request={handle}"))
        .await;
    let form = page.form().with("decision", "allow");
    let with = |token: &str| form.clone().with("csrf", token);
    for (what, wrong) in [
        ("none", form.clone().without("csrf")),
        ("empty", with("")),
        (
            "of another request",
            with(other_request.form().value("csrf").unwrap()),
        ),
        (
            "of another browser",
            with(elsewhere.form().value("csrf").unwrap()),
        ),
    ] {
        let answer = browser.submits(&wrong).await;
        assert_eq!(
            (answer.status.as_u16(), answer.location()),
            (403, None),
            "{what}"
        );
    }
    let mut headers = HeaderMap::new();
    headers.insert("origin", HeaderValue::from_static("https://evil.test"));
    assert_eq!(browser.submits_with(&form, headers).await.status, 403);
    let mut stranger = Browser::new(&authz);
    assert_eq!(stranger.submits(&form).await.status, 403, "no session");
    assert!(
        browser.submits(&form).await.parameter("code").is_some(),
        "still undecided"
    );
}

#[tokio::test]
async fn a_public_client_on_this_computer_is_asked_about_every_time() {
    let database = TestDatabase::sqlite();
    let (_authz, mut browser) = start(&database).await;
    for (client, uri, is_silent) in [
        (CLI, CLI_CALLBACK, false),
        (SPA, SPA_CALLBACKS[1], false),
        (SPA, SPA_CALLBACKS[0], true),
    ] {
        let ask = Ask::of(client, uri);
        browser.allows(&ask, "alice", PASSWORD).await;
        assert_eq!(
            is_asked(&browser.opens(&ask.path()).await),
            !is_silent,
            "{uri}"
        );
        let silent = browser.get(&ask.with("prompt", "none").path()).await;
        assert_eq!(silent.parameter("code").is_some(), is_silent, "{uri}");
    }
}

#[tokio::test]
async fn what_one_person_or_client_may_is_not_what_another_may() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    browser.allows(&ask(), "alice", PASSWORD).await;
    let spa = Ask::of(SPA, SPA_CALLBACKS[0]);
    assert!(
        is_asked(&browser.opens(&spa.path()).await),
        "another client"
    );
    authz.add_user("bob", PASSWORD).await;
    let mut bob = Browser::new(&authz);
    bob.is_logged_in_as("bob", PASSWORD).await;
    assert!(is_asked(&bob.opens(&ask().path()).await), "another person");
}

#[tokio::test]
async fn a_changed_client_is_asked_about_again() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    browser.allows(&ask(), "alice", PASSWORD).await;
    drop(authz);
    let mut config = authz::config(database.config());
    let web = config
        .authz
        .clients
        .iter_mut()
        .find(|client| client.id == WEB.0);
    web.unwrap().name = "Somebody else".to_owned();
    let authz = Authz::start_with(config).await;
    let mut again = Browser::new(&authz);
    again.cookies = browser.cookies.clone();
    assert!(is_asked(&again.opens(&ask().path()).await));
}

#[tokio::test]
async fn a_request_waits_ten_minutes_and_no_longer() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    let page = browser.opens(&ask().path()).await;
    authz.clock.advance(Duration::from_secs(599));
    authz.state.sweep_people().await.unwrap();
    let late = browser.opens(&ask().path()).await;
    authz.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let answer = browser.approves(&page).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("took too long"));
        authz.state.sweep_people().await.unwrap();
    }
    assert!(browser.approves(&late).await.parameter("code").is_some());
}

#[tokio::test]
async fn a_login_on_the_way_brings_the_person_back_to_the_question() {
    let database = TestDatabase::sqlite();
    let (authz, _) = start(&database).await;
    let mut browser = Browser::new(&authz);
    let page = browser
        .opens(&ask().with("login_hint", "al\"><b>ice").path())
        .await;
    assert_eq!(page.form().value("username"), Some("al\"><b>ice"));
    assert!(!page.text().contains("<b>"));
    let form = page
        .form()
        .with("username", "alice")
        .with("password", "wrong");
    let again = browser.submits(&form).await;
    assert_eq!(again.status, 403);
    let page = browser.logs_in(&again, "alice", PASSWORD).await;
    assert!(is_asked(&page), "{page:?}");
}

#[tokio::test]
async fn an_app_that_registered_itself_is_called_unverified_and_never_profits_from_another() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    browser.allows(&ask(), "alice", PASSWORD).await;
    let double = registers(&authz, "Web & S\u{f6}hne", "https://double.test/cb").await;
    let page = browser.opens(&double.path()).await;
    assert!(is_asked(&page), "the same name is not the same app");
    assert!(
        page.text().contains("Nobody has checked this app"),
        "{page:?}"
    );
    assert!(page.text().contains("unverified"));
    assert!(page.text().contains("double.test"));

    let strange = registers(&authz, "<b>x</b>\"'", "https://double.test/cb").await;
    let page = browser.opens(&strange.path()).await;
    assert!(!page.text().contains("<b>"), "{page:?}");
}

#[tokio::test]
async fn nobody_is_sent_to_an_app_that_registered_itself_before_they_have_logged_in() {
    let database = TestDatabase::sqlite();
    let (authz, mut browser) = start(&database).await;
    let wrong = registers(&authz, "App", "https://evil.test/cb")
        .await
        .with("scope", "x");
    let mut stranger = Browser::new(&authz);
    let answer = stranger.get(&wrong.path()).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (400, None));
    let answer = browser.get(&wrong.path()).await;
    assert_eq!(answer.parameter("error").as_deref(), Some("invalid_scope"));
}

/// A public client that registers itself, and what it asks for.
async fn registers(authz: &Authz, name: &str, redirect_uri: &str) -> Ask {
    let metadata = serde_json::json!({
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "none",
    });
    let request = http::Request::post("/register")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(metadata.to_string()))
        .unwrap();
    let answer = authz.send(request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    Ask::of(answer.json()["client_id"].as_str().unwrap(), redirect_uri)
}
