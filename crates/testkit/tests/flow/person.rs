//! A person at a browser, over real sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use portcullis_authz::accounts::Role;
use portcullis_authz::accounts::admin::{self, NewAccount};
use portcullis_common::clock::SystemClock;
use portcullis_common::entropy::SystemEntropy;
use portcullis_common::fetch::HttpFetcher;
use portcullis_testkit::authz::Answer;
use url::Url;

use crate::product::Product;

const NAME: &str = "ada";
const PASSWORD: &str = "a long enough password";
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const LARGEST_PAGE: usize = 64 * 1024;

/// Somebody with an account.
pub(crate) struct Person {
    server: Url,
    fetcher: Arc<HttpFetcher>,
}

impl Person {
    /// Makes the account.
    pub(crate) async fn of(product: &Product) -> Self {
        let new = NewAccount {
            username: NAME.to_owned(),
            email: None,
            role: Role::User,
            password: PASSWORD.to_owned(),
        };
        admin::add(product.authz.store(), &SystemClock, &SystemEntropy, new)
            .await
            .unwrap();
        Self {
            server: Url::parse(&product.config.server.public_url).unwrap(),
            fetcher: Arc::new(HttpFetcher::new(None).unwrap()),
        }
    }

    /// Follows an authorization URL with a new browser: logs in, leaves out the scopes named and
    /// allows the rest. Answers where the browser leaves the server for the client.
    pub(crate) async fn lets_in(&self, url: &str, untick: &[&str]) -> String {
        let mut browser = Browser {
            cookies: BTreeMap::new(),
            person: self,
        };
        let login = browser.opens(url).await;
        let form = login.form().with("username", NAME);
        let form = form.with("password", PASSWORD).request();
        let consent = browser.submits(form).await;
        let mut form = consent.form().with("decision", "allow");
        for scope in untick {
            form = form.unticked("scope", scope);
        }
        let left = browser.submits(form.request()).await;
        left.location().unwrap()
    }
}

struct Browser<'a> {
    person: &'a Person,
    cookies: BTreeMap<String, String>,
}

impl Browser<'_> {
    /// Opens a page and follows redirects as long as they stay on the server.
    async fn opens(&mut self, url: &str) -> Answer {
        let answer = self
            .sends(Request::get(url).body(Body::empty()).unwrap())
            .await;
        match answer.location() {
            Some(next) => match self.person.server.join(&next).unwrap() {
                next if next.origin() == self.person.server.origin() => {
                    Box::pin(self.opens(next.as_str())).await
                }
                _ => answer,
            },
            None => answer,
        }
    }

    /// Sends a form as a browser sends one of the server's own pages, and goes where that leads.
    async fn submits(&mut self, mut form: Request<Body>) -> Answer {
        let at = self.person.server.join(&form.uri().to_string()).unwrap();
        *form.uri_mut() = at.as_str().parse::<Uri>().unwrap();
        let headers = form.headers_mut();
        headers.insert(ORIGIN, "null".parse().unwrap());
        headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
        let answer = self.sends(form).await;
        match answer.location() {
            Some(next) if next.starts_with('/') => {
                let next = self.person.server.join(&next).unwrap();
                self.opens(next.as_str()).await
            }
            _ => answer,
        }
    }

    /// Sends a request with the cookies and keeps those that come back.
    async fn sends(&mut self, mut request: Request<Body>) -> Answer {
        let pairs = self.cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let headers = request.headers_mut();
        headers.remove(HOST);
        if !pairs.is_empty() {
            headers.insert(COOKIE, pairs.join("; ").parse().unwrap());
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let fetcher = &self.person.fetcher;
        let request = Request::from_parts(head, body);
        let sent = fetcher.send(request, TIMEOUT, LARGEST_PAGE).await.unwrap();
        let (head, body) = sent.into_parts();
        let answer = Answer::read(Response::from_parts(head, Body::from(body))).await;
        for line in answer.headers.get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}
