//! A store that is away during each step of each flow: 503 in the language of whoever asked,
//! nothing half done, and the very same step succeeds when the store is back.

use std::time::Duration;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use http::{Method, Request};
use portcullis_testkit::authz::{self, Answer, Authz, FORM, WEB, WEB_CALLBACK, basic_header};
use portcullis_testkit::browser::{Ask, Browser, HtmlForm};
use portcullis_testkit::clock::within;
use portcullis_testkit::database::{FaultyLink, ForeignLock, Link, TestDatabase};
use portcullis_testkit::grants::{
    Approve, GATE, NATIVE, People, Tokens, refresh_body, with_clients,
};
use portcullis_testkit::on_both_engines;
use portcullis_testkit::outage::Outage;
use serde_json::{Value, json};

use crate::registration::{confidential, public, with};

const PASSWORD: &str = "correct horse";

/// One step of a flow, made ready so that only this request is missing.
#[derive(Clone)]
struct Step {
    name: &'static str,
    /// Whether it changes what is stored; one that only reads is unharmed where only writing fails.
    writes: bool,
    request: Sent,
    /// The status of success.
    status: u16,
    /// How the address begins to which success leads.
    leads_to: &'static str,
}

/// A request that can be sent again.
#[derive(Clone)]
struct Sent {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sent {
    fn page(browser: &Browser, path: &str) -> Self {
        let pairs: Vec<_> = browser
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        Self {
            method: Method::GET,
            path: path.to_owned(),
            headers: vec![(COOKIE.as_str(), pairs.join("; "))],
            body: String::new(),
        }
    }

    fn form(browser: &Browser, form: &HtmlForm) -> Self {
        let mut sent = Self::page(browser, &form.action);
        sent.headers.push((CONTENT_TYPE.as_str(), FORM.to_owned()));
        sent.headers.push((ORIGIN.as_str(), "null".to_owned()));
        sent.headers
            .push(("sec-fetch-site", "same-origin".to_owned()));
        sent.method = Method::POST;
        sent.body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&form.fields)
            .finish();
        sent
    }

    fn post(path: &str, basic: Option<(&str, &str)>, body: &str) -> Self {
        let basic = basic.map(|(id, secret)| (AUTHORIZATION.as_str(), basic_header(id, secret)));
        let mut headers = vec![(CONTENT_TYPE.as_str(), FORM.to_owned())];
        headers.extend(basic);
        Self {
            method: Method::POST,
            path: path.to_owned(),
            headers,
            body: body.to_owned(),
        }
    }

    fn json(method: Method, path: &str, bearer: Option<&str>, body: &Value) -> Self {
        let bearer = bearer.map(|token| (AUTHORIZATION.as_str(), format!("Bearer {token}")));
        Self {
            method,
            path: path.to_owned(),
            headers: bearer.into_iter().collect(),
            body: body.to_string(),
        }
    }

    fn request(&self) -> Request<Body> {
        let request = Request::builder().method(&self.method).uri(&self.path);
        self.headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(*name, value)
            })
            .body(Body::from(self.body.clone()))
            .unwrap()
    }

    fn is_for_people(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| *name == COOKIE.as_str())
    }
}

impl Step {
    fn expect_away(&self, answer: &Answer) {
        let name = self.name;
        assert_eq!(answer.status, 503, "{name}: {answer:?}");
        assert_eq!(answer.header("retry-after"), "1", "{name}");
        assert_eq!(answer.header("cache-control"), "no-store", "{name}");
        assert!(
            !answer.headers.contains_key(SET_COOKIE),
            "{name}: {answer:?}"
        );
        assert!(!answer.headers.contains_key(LOCATION), "{name}: {answer:?}");
        if self.request.is_for_people() {
            assert_eq!(
                answer.header("content-type"),
                "text/html; charset=utf-8",
                "{name}"
            );
            assert!(
                answer.text().contains("Not available just now"),
                "{name}: {answer:?}"
            );
        } else {
            answer.expect_error(503, "temporarily_unavailable");
        }
    }

    fn expect_done(&self, answer: &Answer) {
        assert_eq!(answer.status, self.status, "{}: {answer:?}", self.name);
        let location = answer.location().unwrap_or_default();
        assert!(
            location.starts_with(self.leads_to),
            "{}: {location}",
            self.name
        );
        assert_eq!(
            location.is_empty(),
            self.leads_to.is_empty(),
            "{}: {location}",
            self.name
        );
    }
}

/// Sends all of them at once.
async fn send(authz: &Authz, steps: &[Step]) -> Vec<Answer> {
    let sending: Vec<_> = steps
        .iter()
        .map(|step| {
            let (authz, request) = (authz.clone(), step.request.request());
            tokio::spawn(async move { authz.send(request).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in sending {
        answers.push(answer.await.unwrap());
    }
    answers
}

async fn expect_all_done(authz: &Authz, steps: &[Step]) {
    for (step, answer) in steps.iter().zip(send(authz, steps).await) {
        step.expect_done(&answer);
    }
}

fn ask() -> Ask {
    Ask::of(WEB.0, WEB_CALLBACK).with("prompt", "consent")
}

async fn logged_in(authz: &Authz) -> Browser {
    let mut browser = Browser::new(authz);
    browser.is_logged_in_as("bob", PASSWORD).await;
    browser
}

fn step(name: &'static str, writes: bool, request: Sent, end: (u16, &'static str)) -> Step {
    let (status, leads_to) = end;
    Step {
        name,
        writes,
        request,
        status,
        leads_to,
    }
}

/// The way to the login and out again, each step in a browser of its own.
async fn steps_of_people(authz: &Authz) -> Vec<Step> {
    let to_login = (303, "/login?request=");
    let to_consent = (303, "/consent?request=");
    let request = Sent::page(&Browser::new(authz), &ask().path());
    let stranger = step("GET /authorize, a stranger", true, request, to_login);
    let request = Sent::page(&logged_in(authz).await, &ask().path());
    let known = step("GET /authorize, logged in", true, request, to_consent);

    let mut browser = Browser::new(authz);
    let page = browser.get(&ask().path()).await;
    let request = Sent::page(&browser, &page.location().unwrap());
    let login_page = step("GET /login", false, request, (200, ""));
    let form = browser.follows(page).await.form();
    let form = form.with("username", "bob").with("password", PASSWORD);
    let request = Sent::form(&browser, &form);
    let login = step("POST /login", true, request, to_consent);
    let request = Sent::form(&browser, &form.with("password", "wrong"));
    let wrong = step("POST /login, wrong password", false, request, (403, ""));

    let mut browser = logged_in(authz).await;
    let request = Sent::page(&browser, "/logout");
    let logout_page = step("GET /logout", false, request, (200, ""));
    let form = browser.get("/logout").await.form();
    let request = Sent::form(&browser, &form);
    let logout = step("POST /logout", true, request, (303, "/logout"));
    vec![
        stranger,
        known,
        login_page,
        login,
        wrong,
        logout_page,
        logout,
    ]
}

/// The question and both answers, each in a browser of its own.
async fn steps_of_consent(authz: &Authz) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, decision, leads_to) in [
        ("POST /consent, yes", "allow", "https://app.test/cb?code="),
        (
            "POST /consent, no",
            "deny",
            "https://app.test/cb?error=access_denied",
        ),
    ] {
        let mut browser = logged_in(authz).await;
        let page = browser.get(&ask().path()).await;
        let form = browser.follows(page).await.form();
        let request = Sent::form(&browser, &form.with("decision", decision));
        steps.push(step(name, true, request, (303, leads_to)));
    }
    let mut browser = logged_in(authz).await;
    let page = browser.get(&ask().path()).await;
    let request = Sent::page(&browser, &page.location().unwrap());
    steps.push(step("GET /consent", false, request, (200, "")));
    steps
}

/// The steps of programs.
async fn steps_of_programs(people: &People) -> Vec<Step> {
    let step = |name, writes, request, status| step(name, writes, request, (status, ""));
    let code = people.approve(Approve::default()).await;
    let redeem = format!("client_id={NATIVE}&{}", code.body());
    let fresh = people.log_in(Approve::default()).await;
    let answered = people.log_in(Approve::default()).await;
    Tokens::read(&people.refresh(&answered.refresh).await);
    let given_back = people.log_in(Approve::default()).await;
    let revoke = format!("client_id={NATIVE}&token={}", given_back.refresh);
    let one = people.log_in(Approve::default()).await;
    let revoke_one = format!("client_id={NATIVE}&token={}", one.access);
    let told = people
        .log_in(Approve {
            scope: "openid mcp:read",
            ..Approve::default()
        })
        .await;
    let introspect = format!("token={}", told.access);
    vec![
        step("code", true, Sent::post("/token", None, &redeem), 200),
        step(
            "refresh",
            true,
            Sent::post("/token", None, &refresh_body(&fresh.refresh)),
            200,
        ),
        step(
            "refresh, asked again",
            false,
            Sent::post("/token", None, &refresh_body(&answered.refresh)),
            200,
        ),
        step(
            "revoke, refresh token",
            true,
            Sent::post("/revoke", None, &revoke),
            200,
        ),
        step(
            "revoke, access token",
            true,
            Sent::post("/revoke", None, &revoke_one),
            200,
        ),
        step(
            "introspect",
            false,
            Sent::post("/introspect", Some(GATE), &introspect),
            200,
        ),
        step(
            "userinfo",
            false,
            Sent::json(Method::GET, "/userinfo", Some(&told.access), &json!(null)),
            200,
        ),
    ]
}

/// The steps of clients that register themselves.
async fn steps_of_registration(authz: &Authz) -> Vec<Step> {
    let step = |name, writes, request, status| step(name, writes, request, (status, ""));
    let mut registered = Vec::new();
    for _ in 0..3 {
        let answer = authz.register(&confidential()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let path = format!("/register/{}", answer.json()["client_id"].as_str().unwrap());
        registered.push((path, answer.json()));
    }
    let manage = |number: usize, method, body: Value| {
        let (path, own) = &registered[number];
        let token = own["registration_access_token"].as_str().unwrap();
        Sent::json(method, path, Some(token), &body)
    };
    let own_id = json!({ "client_id": registered[1].1["client_id"], "client_name": "Another" });
    let replacement = with(confidential(), &own_id);
    vec![
        step(
            "register, public",
            true,
            Sent::json(Method::POST, "/register", None, &public()),
            201,
        ),
        step(
            "register, confidential",
            true,
            Sent::json(Method::POST, "/register", None, &confidential()),
            201,
        ),
        step(
            "read the registration",
            false,
            manage(0, Method::GET, json!(null)),
            200,
        ),
        step(
            "replace the registration",
            true,
            manage(1, Method::PUT, replacement),
            200,
        ),
        step(
            "remove the registration",
            true,
            manage(2, Method::DELETE, json!(null)),
            204,
        ),
    ]
}

async fn start(database: TestDatabase) -> People {
    let config = authz::config(database.config());
    let people = People::start_with(database, config).await;
    people.authz.add_user("bob", PASSWORD).await;
    people
}

async fn all_steps(people: &People) -> Vec<Step> {
    let mut steps = steps_of_people(&people.authz).await;
    steps.extend(steps_of_consent(&people.authz).await);
    steps.extend(steps_of_programs(people).await);
    steps.extend(steps_of_registration(&people.authz).await);
    steps
}

on_both_engines! {
    async fn every_step_is_503_while_nothing_can_be_read_and_succeeds_afterwards(database) {
        let people = start(database).await;
        let steps = all_steps(&people).await;
        let before = people.database().contents().await;
        people.database().breaks(Outage::Unreadable).await;
        for (step, answer) in steps.iter().zip(send(&people.authz, &steps).await) {
            step.expect_away(&answer);
        }
        people.database().heals(Outage::Unreadable).await;
        assert_eq!(people.database().contents().await, before, "nothing is half done");
        expect_all_done(&people.authz, &steps).await;
    }

    async fn every_step_that_writes_is_503_while_nothing_can_be_written_and_succeeds_afterwards(database) {
        let people = start(database).await;
        let steps = all_steps(&people).await;
        let before = people.database().contents().await;
        people.database().breaks(Outage::Unwritable).await;
        for (step, answer) in steps.iter().zip(send(&people.authz, &steps).await) {
            if step.writes {
                step.expect_away(&answer);
            } else {
                step.expect_done(&answer);
            }
        }
        people.database().heals(Outage::Unwritable).await;
        assert_eq!(people.database().contents().await, before, "nothing is half done");
        expect_all_done(&people.authz, &steps).await;
    }
}

#[tokio::test]
async fn every_step_that_writes_is_503_while_somebody_else_locks_the_file_and_succeeds_afterwards()
{
    let people = start(TestDatabase::sqlite()).await;
    let steps = all_steps(&people).await;
    let before = people.database().contents().await;
    let lock = ForeignLock::take(&people.database().file().unwrap()).await;
    let sent = within(
        Duration::from_secs(8),
        Box::pin(send(&people.authz, &steps)),
    )
    .await;
    for (step, answer) in steps.iter().zip(sent) {
        if step.writes {
            step.expect_away(&answer);
        } else {
            step.expect_done(&answer);
        }
    }
    lock.release().await;
    assert_eq!(
        people.database().contents().await,
        before,
        "nothing is half done"
    );
    expect_all_done(&people.authz, &steps).await;
}

#[tokio::test]
async fn every_step_is_503_within_two_seconds_while_postgresql_is_away_and_succeeds_afterwards() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let link = FaultyLink::to(&database).await;
    let mut people = start(database).await;
    let config = with_clients(authz::config(link.database().config()));
    let clock = std::sync::Arc::clone(&people.authz.clock);
    people.authz = Authz::start_seeded(config, clock, 2).await;
    for outage in [Link::Frozen, Link::Down] {
        let steps = all_steps(&people).await;
        let before = people.database().contents().await;
        link.set(outage).await;
        let sent = within(
            Duration::from_secs(2),
            Box::pin(send(&people.authz, &steps)),
        )
        .await;
        for (step, answer) in steps.iter().zip(sent) {
            step.expect_away(&answer);
        }
        people.authz.state.refresh().await.unwrap_err();
        link.set(Link::Up).await;
        let healed = async { while people.authz.state.refresh().await.is_err() {} };
        within(Duration::from_secs(4), healed).await;
        assert_eq!(
            people.database().contents().await,
            before,
            "nothing is half done"
        );
        expect_all_done(&people.authz, &steps).await;
    }
}
