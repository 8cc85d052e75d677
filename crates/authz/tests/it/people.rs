//! Accounts and their sessions, over the pages.

use std::time::Duration;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request};
use portcullis_authz::accounts::Role;
use portcullis_authz::accounts::admin::{self, AccountAdminError, NewAccount};
use portcullis_common::issuer::Issuer;
use portcullis_testkit::authz::{self, Answer, Authz, WEB, WEB_CALLBACK, basic_header};
use portcullis_testkit::browser::{Ask, Browser};
use portcullis_testkit::clock::START;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::entropy::SeededEntropy;
use portcullis_testkit::logs::CapturedLog;
use portcullis_testkit::on_both_engines;

const PASSWORD: &str = "correct horse";
const SESSION: &str = "portcullis_session";

async fn start(database: &TestDatabase) -> Authz {
    let authz = Authz::start(database).await;
    authz.add_user("alice", PASSWORD).await;
    authz
}

async fn is_logged_in(browser: &mut Browser) -> bool {
    let answer = browser.get("/login").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().contains("You are logged in")
}

on_both_engines! {
    async fn an_account_is_made_found_changed_and_removed(database) {
        let authz = start(&database).await;
        let store = authz.state.store();
        let (clock, entropy) = (authz.clock.as_ref(), SeededEntropy::new(9));
        let new = |username: &str| NewAccount {
            username: username.to_owned(),
            email: None,
            role: Role::Admin,
            password: "x".to_owned(),
        };
        let bob = admin::add(store, clock, entropy.as_ref(), new("BOB")).await.unwrap();
        assert_eq!((bob.username.as_str(), bob.created_at), ("bob", START));
        assert!(!bob.id.as_str().contains(':'));
        let taken = admin::add(store, clock, entropy.as_ref(), new("bob")).await;
        assert!(matches!(taken, Err(AccountAdminError::NameTaken(_))), "{taken:?}");
        admin::set_role(store, "bob", Role::User).await.unwrap();
        let names: Vec<_> = admin::list(store).await.unwrap().into_iter()
            .map(|account| (account.username.to_string(), account.role))
            .collect();
        assert_eq!(names, [("alice".to_owned(), Role::User), ("bob".to_owned(), Role::User)]);
        admin::remove(store, "bob").await.unwrap();
        for missing in [
            admin::remove(store, "bob").await,
            admin::disable(store, clock, "bob").await,
            admin::enable(store, "bob").await,
            admin::set_role(store, "bob", Role::Admin).await,
            admin::set_password(store, clock, entropy.as_ref(), "bob", "y").await,
        ] {
            assert!(matches!(missing, Err(AccountAdminError::Unknown(_))), "{missing:?}");
        }
    }

    async fn of_many_first_starts_one_makes_admin_and_no_later_one_does(database) {
        let authz = Authz::start(&database).await;
        let tasks: Vec<_> = (0..8_u64)
            .map(|number| {
                let authz = authz.clone();
                tokio::spawn(async move {
                    let entropy = SeededEntropy::new(number + 50);
                    let (store, clock) = (authz.state.store(), authz.clock.as_ref());
                    admin::add_first(store, clock, entropy.as_ref()).await.unwrap()
                })
            })
            .collect();
        let mut made = Vec::new();
        for task in tasks {
            made.extend(task.await.unwrap());
        }
        assert_eq!(made.len(), 1);
        let first = &made[0];
        let mut browser = Browser::new(&authz);
        browser.is_logged_in_as("admin", first.password.expose()).await;
        assert!(is_logged_in(&mut browser).await);

        let store = authz.state.store();
        admin::remove(store, "admin").await.unwrap();
        let entropy = SeededEntropy::new(99);
        let again = admin::add_first(store, authz.clock.as_ref(), entropy.as_ref()).await.unwrap();
        assert!(again.is_none(), "an admin that was removed stays away");
    }

    async fn what_takes_an_account_away_ends_its_sessions_at_once(database) {
        let authz = start(&database).await;
        let store = authz.state.store();
        let (clock, entropy) = (authz.clock.as_ref(), SeededEntropy::new(9));
        let mut browser = Browser::new(&authz);

        browser.is_logged_in_as("alice", PASSWORD).await;
        admin::set_password(store, clock, entropy.as_ref(), "alice", "new one").await.unwrap();
        assert!(!is_logged_in(&mut browser).await, "password changed");
        assert_eq!(browser.tries_to_log_in("alice", PASSWORD).await.status, 403);

        browser.is_logged_in_as("alice", "new one").await;
        admin::disable(store, clock, "alice").await.unwrap();
        assert!(!is_logged_in(&mut browser).await, "disabled");
        assert_eq!(browser.tries_to_log_in("alice", "new one").await.status, 403);
        admin::enable(store, "alice").await.unwrap();
        assert!(!is_logged_in(&mut browser).await, "what had ended stays so");

        browser.is_logged_in_as("alice", "new one").await;
        admin::remove(store, "alice").await.unwrap();
        assert!(!is_logged_in(&mut browser).await, "removed");
    }

    async fn neither_a_password_nor_a_session_stands_in_the_store(database) {
        let authz = start(&database).await;
        let mut browser = Browser::new(&authz);
        let ask = Ask::of(WEB.0, WEB_CALLBACK);
        let page = browser.opens(&ask.path()).await;
        let handle = page.form().value("request").unwrap().to_owned();
        browser.logs_in(&page, "alice", PASSWORD).await;
        let code = browser.allows(&ask, "alice", PASSWORD).await;
        let dump = String::from_utf8_lossy(&database.dump().await).into_owned();
        assert!(dump.contains("$argon2id$v=19$m=19456,t=2,p=1$"));
        for secret in [PASSWORD, &browser.cookies[SESSION], &handle, &code] {
            assert!(!dump.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn a_session_begins_anew_at_every_login_and_an_invented_one_is_never_adopted() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    let invented = "A".repeat(43);
    browser.cookies.insert(SESSION.to_owned(), invented.clone());
    assert!(!is_logged_in(&mut browser).await);
    browser.is_logged_in_as("alice", PASSWORD).await;
    let first = browser.cookies[SESSION].clone();
    assert_ne!(first, invented);

    let ask = Ask::of(WEB.0, WEB_CALLBACK).with("prompt", "login");
    let page = browser.opens(&ask.path()).await;
    browser.logs_in(&page, "alice", PASSWORD).await;
    assert_ne!(browser.cookies[SESSION], first);
    browser.cookies.insert(SESSION.to_owned(), first);
    assert!(
        !is_logged_in(&mut browser).await,
        "the session before the login is over"
    );
}

#[tokio::test]
async fn the_session_cookie_is_for_this_host_and_no_script() {
    for (issuer, name, secure) in [
        ("http://localhost:8080", "portcullis_session", false),
        ("https://login.example/x", "__Host-portcullis_session", true),
    ] {
        let database = TestDatabase::sqlite();
        let mut config = authz::config(database.config());
        config.authz.issuer = Issuer::parse(issuer).unwrap();
        let authz = Authz::start_with(config.clone()).await;
        authz.add_user("alice", PASSWORD).await;
        let base = config.authz.issuer.path();
        let mut browser = Browser::new(&authz);
        let page = browser.get(&format!("{base}/login")).await;
        let form = page
            .form()
            .with("username", "alice")
            .with("password", PASSWORD);
        assert_eq!(form.action, format!("{base}/login"));
        let answer = browser.submits(&form).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie");
        let value = &browser.cookies[name];
        let secure = if secure { "; Secure" } else { "" };
        assert_eq!(
            cookie,
            format!("{name}={value}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax{secure}")
        );
        assert_eq!(value.len(), 43);
    }
}

#[tokio::test]
async fn a_session_ends_when_idle_and_at_its_absolute_end() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    browser.is_logged_in_as("alice", PASSWORD).await;
    authz.clock.advance(Duration::from_mins(60));
    assert!(!is_logged_in(&mut browser).await, "idle for an hour");

    browser.is_logged_in_as("alice", PASSWORD).await;
    for _ in 0..(11 * 60 + 59) / 30 {
        authz.clock.advance(Duration::from_mins(30));
        assert!(is_logged_in(&mut browser).await);
    }
    authz.clock.advance(Duration::from_mins(30));
    assert!(
        !is_logged_in(&mut browser).await,
        "sliding never passes the absolute end"
    );
    authz.state.sweep_people().await.unwrap();
}

#[tokio::test]
async fn logging_out_ends_the_session_on_the_server_and_only_by_the_form() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    browser.is_logged_in_as("alice", PASSWORD).await;
    let kept = browser.cookies.clone();
    let page = browser.get("/logout").await;
    assert!(
        is_logged_in(&mut browser).await,
        "looking at the page changes nothing"
    );
    let forged = page.form().with("csrf", &"0".repeat(64));
    assert_eq!(browser.submits(&forged).await.status, 403);
    assert_eq!(
        browser.submits(&page.form().without("csrf")).await.status,
        403
    );
    let mut headers = HeaderMap::new();
    headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
    assert_eq!(
        browser.submits_with(&page.form(), headers).await.status,
        403
    );
    assert!(is_logged_in(&mut browser).await);

    let answer = browser.submits(&page.form()).await;
    assert_eq!(answer.status, 303);
    assert!(!browser.cookies.contains_key(SESSION));
    let page = browser.follows(answer).await;
    assert!(page.text().contains("You are logged out"));
    browser.cookies = kept;
    assert!(!is_logged_in(&mut browser).await, "the old cookie is dead");
}

#[tokio::test]
async fn a_login_form_of_another_site_or_another_browser_is_refused() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    let page = browser.get("/login").await;
    let form = page
        .form()
        .with("username", "alice")
        .with("password", PASSWORD);
    for (origin, site) in [
        (Some("https://evil.test"), Some("cross-site")),
        (Some("https://evil.test"), None),
        (Some("https://evil.test"), Some("same-origin")),
        (Some("http://localhost:8080"), Some("same-site")),
        (Some("null"), Some("cross-site")),
        (Some("null"), None),
        (None, Some("cross-site")),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let answer = browser.submits_with(&form, headers).await;
        assert_eq!(answer.status, 403, "{origin:?} {site:?}");
        assert!(!browser.cookies.contains_key(SESSION));
    }
    for wrong in [form.clone().without("csrf"), form.clone().with("csrf", "x")] {
        assert_eq!(browser.submits(&wrong).await.status, 403);
    }
    let mut other = Browser::new(&authz);
    assert_eq!(other.submits(&form).await.status, 403, "no cookie");
    other.get("/login").await;
    assert_eq!(
        other.submits(&form).await.status,
        403,
        "another browser's form"
    );

    let mut headers = HeaderMap::new();
    headers.insert("origin", HeaderValue::from_static("http://localhost:8080"));
    assert_eq!(
        browser.submits_with(&form, headers).await.status,
        303,
        "our own"
    );
}

/// An answer to a login as text, headers and length included, without the token of the form.
fn comparable(answer: &Answer) -> String {
    let form = answer.form();
    let token = form.value("csrf").unwrap();
    let body = answer.text().replace(token, "TOKEN");
    let mut headers: Vec<_> = answer.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    format!("{} {headers:?} {} {body}", answer.status, answer.body.len())
}

#[tokio::test]
async fn unknown_wrong_disabled_and_locked_are_one_answer_at_one_cost() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    authz.add_user("mallory", PASSWORD).await;
    let (store, clock) = (authz.state.store(), authz.clock.as_ref());
    admin::disable(store, clock, "mallory").await.unwrap();
    let log = CapturedLog::begin();
    let hashed = || log.text().matches("a password is hashed").count();
    let attempts = [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("mallory", PASSWORD),
        ("a:b", "x"),
        ("", "wrong"),
    ];
    let mut answers = Vec::new();
    for (username, password) in attempts {
        let mut browser = Browser::new(&authz);
        let mut all = Vec::new();
        for turn in 0..7 {
            let before = hashed();
            let answer = browser.tries_to_log_in(username, password).await;
            // Nobody can tell by the clock what costs the same: one hash, or none.
            let (status, cost) = if turn < 5 { (403, 1) } else { (429, 0) };
            assert_eq!(answer.status, status, "{username} {turn}");
            assert_eq!(hashed() - before, cost, "{username} {turn}");
            if turn > 4 {
                assert_eq!(answer.header("retry-after"), "300");
            }
            all.push(comparable(&answer));
        }
        answers.push(all);
    }
    for (other, (username, _)) in answers.iter().zip(attempts) {
        assert_eq!(*other, answers[0], "{username}");
    }
}

#[tokio::test]
async fn what_is_too_long_costs_no_hash_whoever_is_meant() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let log = CapturedLog::begin();
    let too_long = "x".repeat(1025);
    let mut answers = Vec::new();
    for username in ["alice", "nobody"] {
        let answer = Browser::new(&authz)
            .tries_to_log_in(username, &too_long)
            .await;
        assert_eq!(answer.status, 403);
        answers.push(comparable(&answer));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(!log.text().contains("a password is hashed"));
}

#[tokio::test]
async fn a_locked_account_is_locked_at_every_door() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    for _ in 0..5 {
        browser.tries_to_log_in("alice", "wrong").await;
    }
    // The form, in another browser of the same source, on the way of an app, and however the name
    // is spelt.
    for username in ["alice", "ALICE", " alice "] {
        let mut other = Browser::new(&authz);
        let page = other.opens(&Ask::of(WEB.0, WEB_CALLBACK).path()).await;
        let answer = other.logs_in(&page, username, PASSWORD).await;
        assert_eq!(answer.status, 429, "{username}");
        assert!(!other.cookies.contains_key(SESSION), "{username}");
    }
    // Nothing else takes a password: not by header, and not for a token.
    for path in ["/login", "/authorize", "/consent", "/userinfo", "/register"] {
        for method in [Method::GET, Method::POST] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(AUTHORIZATION, basic_header("alice", PASSWORD));
            let answer = browser.send(request.body(Body::empty()).unwrap()).await;
            assert!(!answer.status.is_redirection(), "{path}: {answer:?}");
            assert!(!browser.cookies.contains_key(SESSION), "{path}");
        }
    }
    let grant = format!("grant_type=password&username=alice&password={PASSWORD}");
    let answer = authz.token(Some(("alice", PASSWORD)), &grant).await;
    answer.expect_error(401, "invalid_client");
    let answer = authz.token(Some(WEB), &grant).await;
    answer.expect_error(400, "unsupported_grant_type");
    assert!(!is_logged_in(&mut browser).await);
}

#[tokio::test]
async fn a_lock_is_of_one_source_ends_by_itself_and_leaves_sessions_alone() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut victim = Browser::at(&authz, "192.0.2.7");
    victim.is_logged_in_as("alice", PASSWORD).await;
    let mut attacker = Browser::at(&authz, "203.0.113.9");
    for _ in 0..200 {
        attacker.tries_to_log_in("alice", "wrong").await;
    }
    let right = attacker.tries_to_log_in("ALICE", PASSWORD).await;
    assert_eq!(right.status, 429, "the right password is not told apart");
    assert!(is_logged_in(&mut victim).await, "a living session goes on");
    let mut elsewhere = Browser::at(&authz, "192.0.2.8");
    elsewhere.is_logged_in_as("alice", PASSWORD).await;
    authz.clock.advance(Duration::from_mins(5));
    attacker.is_logged_in_as("alice", PASSWORD).await;
}

#[tokio::test]
async fn guesses_in_parallel_do_not_overrun_the_budget() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    let form = browser
        .get("/login")
        .await
        .form()
        .with("username", "alice")
        .with("password", "x");
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (mut browser, form) = (browser.clone(), form.clone());
            tokio::spawn(async move { browser.submits(&form).await.status.as_u16() })
        })
        .collect();
    let mut tried = 0;
    for task in tasks {
        tried += usize::from(task.await.unwrap() == 403);
    }
    assert_eq!(tried, 5);
}

#[tokio::test]
async fn a_password_is_bounded_before_it_is_hashed() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    for (length, expected) in [(1_000_000, 413), (60_000, 403), (1025, 403), (0, 403)] {
        let password = "x".repeat(length);
        let mut browser = Browser::new(&authz);
        let answer = browser.tries_to_log_in("alice", &password).await;
        assert_eq!(answer.status, expected, "{length}");
    }
    for right in ["a\0b", &"y".repeat(1024), "cafe\u{301}"] {
        let name = format!("u{}", right.len());
        authz.add_user(&name, right).await;
        Browser::new(&authz).is_logged_in_as(&name, right).await;
    }
    let mut browser = Browser::new(&authz);
    browser.is_logged_in_as("u6", "caf\u{e9}").await;
    assert_eq!(
        Browser::new(&authz).tries_to_log_in("u3", "a").await.status,
        403,
        "nothing is cut off"
    );
    let almost = "y".repeat(1023);
    assert_eq!(
        Browser::new(&authz)
            .tries_to_log_in("u1024", &almost)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_login_leads_to_our_own_pages_whatever_the_request_says() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    for wrong in [
        "//evil.test",
        "/\\evil.test",
        "https:evil.test",
        "/%09/evil.test",
        "javascript:alert(1)",
    ] {
        for name in ["next", "return_to", "redirect_uri", "rd"] {
            let encoded: String = url::form_urlencoded::byte_serialize(wrong.as_bytes()).collect();
            let mut browser = Browser::new(&authz);
            let page = browser.get(&format!("/login?{name}={encoded}")).await;
            assert!(!page.text().contains("evil"));
            let form = page.form().and(name, wrong);
            let form = form.with("username", "alice").with("password", PASSWORD);
            let answer = browser.submits(&form).await;
            assert_eq!(
                answer.location().as_deref(),
                Some("/login"),
                "{name}={wrong}"
            );
        }
        let encoded: String = url::form_urlencoded::byte_serialize(wrong.as_bytes()).collect();
        let mut browser = Browser::new(&authz);
        let page = browser.get(&format!("/login?request={encoded}")).await;
        assert_eq!(page.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn without_the_store_nobody_is_logged_in_and_everybody_is_told_to_come_back() {
    let database = TestDatabase::sqlite();
    let authz = start(&database).await;
    let mut browser = Browser::new(&authz);
    let form = browser.get("/login").await.form();
    database
        .execute("ALTER TABLE accounts RENAME TO gone")
        .await;
    let form = form.with("username", "alice").with("password", PASSWORD);
    let answer = browser.submits(&form).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.text().contains("Nothing was lost"));
    database
        .execute("ALTER TABLE gone RENAME TO accounts")
        .await;
    assert_eq!(browser.submits(&form).await.status, 303);
}
