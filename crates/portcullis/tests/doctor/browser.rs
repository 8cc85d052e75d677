//! A person at a browser without script: follows redirects, logs in, allows everything.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{COOKIE, ORIGIN, SET_COOKIE};
use http::{Request, StatusCode};
use portcullis_common::fetch::HttpFetcher;
use portcullis_testkit::answer::Answer;
use url::Url;

/// Most pages on the way.
const MOST: usize = 12;

/// A browser, and who sits before it.
pub(crate) struct Browser {
    fetcher: HttpFetcher,
    cookies: BTreeMap<String, String>,
    pub(crate) person: (&'static str, &'static str),
}

impl Browser {
    pub(crate) fn new(person: (&'static str, &'static str)) -> Self {
        Self {
            fetcher: HttpFetcher::new(None).unwrap(),
            cookies: BTreeMap::new(),
            person,
        }
    }

    /// Opens a URL and goes on until a page asks nothing more; its status and text.
    pub(crate) async fn walk(&mut self, url: &str) -> (StatusCode, String) {
        let mut at = Url::parse(url).unwrap();
        let mut answer = self.send(Request::get(at.as_str()), Vec::new()).await;
        for _ in 0..MOST {
            if let Some(place) = answer.location() {
                at = at.join(&place).unwrap();
                answer = self.send(Request::get(at.as_str()), Vec::new()).await;
                continue;
            }
            if !answer.text().contains("<form") {
                return (answer.status, answer.text().to_owned());
            }
            let form = match answer.text().contains("name=\"password\"") {
                true => answer
                    .form()
                    .with("username", self.person.0)
                    .with("password", self.person.1),
                false => answer.form().with("decision", "allow"),
            };
            at = at.join(&form.action).unwrap();
            let request = Request::post(at.as_str())
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .header(ORIGIN, "null");
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&form.fields)
                .finish();
            answer = self.send(request, body.into_bytes()).await;
        }
        unreachable!("no end after {MOST} pages: {at}");
    }

    async fn send(&mut self, request: http::request::Builder, body: Vec<u8>) -> Answer {
        let pairs = self.cookies.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match pairs.is_empty() {
            true => request,
            false => request.header(COOKIE, pairs.join("; ")),
        };
        let request = request.body(body).unwrap();
        let limit = Duration::from_secs(20);
        let answer = self.fetcher.send(request, limit, 1 << 20).await.unwrap();
        for line in answer.headers().get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.into(),
        }
    }
}
