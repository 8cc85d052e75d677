//! Clients that registered themselves, and the people who meet them: what they read, and what is
//! left when such a client ends.

use std::time::Duration;

use http::Method;
use portcullis_authz::jobs;
use portcullis_testkit::authz::{Answer, Authz, json_request};
use portcullis_testkit::browser::{Ask, Browser, VERIFIER, resolve};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::People;
use portcullis_testkit::on_both_engines;
use serde_json::{Value, json};

use crate::registration::{confidential, public, registered, with};

const PASSWORD: &str = "correct horse";

async fn bob(authz: &Authz) -> Browser {
    authz.add_user("bob", PASSWORD).await;
    let mut browser = Browser::new(authz);
    browser.is_logged_in_as("bob", PASSWORD).await;
    browser
}

/// What a client asks for, at its first redirect URI.
fn ask(client: &Value) -> Ask {
    let redirect_uri = client["redirect_uris"][0].as_str().unwrap();
    Ask::of(client["client_id"].as_str().unwrap(), redirect_uri)
}

fn basic(client: &Value) -> Option<(&str, &str)> {
    client["client_id"]
        .as_str()
        .zip(client["client_secret"].as_str())
}

async fn redeem(authz: &Authz, client: &Value, code: &str) -> Answer {
    let body = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}");
    authz.token(basic(client), &body).await
}

#[tokio::test]
async fn a_name_full_of_markup_is_text_wherever_people_read_it() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let mut browser = bob(&authz).await;
    let mut stranger = Browser::new(&authz);
    for name in [
        "<script>alert(1)</script>",
        "</title><img src=x onerror=alert(1)>",
        "</h1></form><form action=https://evil.test>",
        "\" onmouseover=\"alert(1)",
        "' onmouseover='alert(1)",
        "<style>*{display:none}</style>",
        "{{ 7*7 }} {% if x %} ${7*7} <%= 7 %>",
        "&lt;b&gt; &#x3c;",
    ] {
        let client = registered(&authz, &with(public(), &json!({ "client_name": name }))).await;
        let path = ask(&client).path();
        let page = browser.opens(&path).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(!page.text().contains(name), "{name}: {page:?}");
        assert!(resolve(page.text()).contains(name), "{name}: {page:?}");
        assert_eq!(page.text().matches("<form").count(), 1, "{page:?}");
        let login = stranger.opens(&path).await;
        assert!(!login.text().contains(name), "{name}: {login:?}");
        for page in [page, login] {
            let policy = page.header("content-security-policy");
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(!policy.contains("script-src"), "{policy}");
        }
        authz.clock.advance(Duration::from_secs(10));
    }
}

on_both_engines! {
    async fn of_a_removed_client_neither_code_nor_token_nor_open_page_lives_on(database) {
        let people = People::start(database).await;
        let authz = &people.authz;
        let mut browser = bob(authz).await;
        let metadata = with(
            confidential(),
            &json!({ "grant_types": ["authorization_code", "refresh_token"] }),
        );
        let client = registered(authz, &metadata).await;
        let ask = ask(&client).with("scope", "openid mcp:read offline_access");
        let spent = browser.allows(&ask, "bob", PASSWORD).await;
        let tokens = redeem(authz, &client, &spent).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        let tokens = tokens.json();
        let access = tokens["access_token"].as_str().unwrap();
        let refresh = format!(
            "grant_type=refresh_token&refresh_token={}",
            tokens["refresh_token"].as_str().unwrap()
        );
        let unspent = browser.allows(&ask, "bob", PASSWORD).await;
        let open = browser.opens(&ask.clone().with("prompt", "consent").path()).await;
        assert!(open.text().contains("name=\"decision\""), "{open:?}");
        assert!(people.is_active(access).await);
        assert_eq!(people.userinfo(access).await.status, 200);

        let path = format!("/register/{}", client["client_id"].as_str().unwrap());
        let own = client["registration_access_token"].as_str();
        let removed = authz.send(json_request(Method::DELETE, &path, own, &json!(null))).await;
        assert_eq!(removed.status, 204);

        redeem(authz, &client, &unspent).await.expect_error(401, "invalid_client");
        authz.token(basic(&client), &refresh).await.expect_error(401, "invalid_client");
        assert!(!people.is_active(access).await);
        assert_eq!(people.userinfo(access).await.status, 401);
        for page in [browser.approves(&open).await, browser.get(&ask.path()).await] {
            assert!(page.status.is_client_error(), "{page:?}");
            assert_eq!(page.location(), None);
        }
    }

    async fn a_client_lives_on_once_an_authorization_was_completed_and_ends_without(database) {
        let authz = Authz::start(&database).await;
        let mut browser = bob(&authz).await;
        let used = registered(&authz, &confidential()).await;
        let unused = registered(&authz, &confidential()).await;
        let code = browser.allows(&ask(&used), "bob", PASSWORD).await;
        assert_eq!(redeem(&authz, &used, &code).await.status, 200);
        authz.clock.advance(Duration::from_hours(24));
        jobs::tick(&authz.state).await;

        let page = browser.get(&ask(&unused).path()).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None), "{page:?}");
        redeem(&authz, &unused, "x").await.expect_error(401, "invalid_client");
        let page = browser.opens(&ask(&used).path()).await;
        assert_eq!(page.status, 200, "{page:?}");
        redeem(&authz, &used, "x").await.expect_error(400, "invalid_grant");
    }
}
