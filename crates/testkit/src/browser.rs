//! A person with a browser: cookies, pages, forms.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Body;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use portcullis_authz::accounts::admin::{self, NewAccount};
use portcullis_authz::accounts::{Account, Role};
use portcullis_common::client_address::ClientAddress;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::authz::{Answer, Authz, FORM, MCP};
use crate::entropy::SeededEntropy;

/// A challenge, and the verifier that it was made of (RFC 7636 appendix B).
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// See [`CHALLENGE`].
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

impl Authz {
    /// Adds somebody who can log in.
    pub async fn add_user(&self, username: &str, password: &str) -> Account {
        let new = NewAccount {
            username: username.to_owned(),
            email: Some(format!("{username}@people.example")),
            role: Role::User,
            password: password.to_owned(),
        };
        // Another seed for every name, so that no two accounts get one id.
        let seed = username
            .bytes()
            .fold(100, |seed, byte| seed * 31 % 0xffff_ffff + u64::from(byte));
        let entropy = SeededEntropy::new(seed);
        admin::add(
            self.state.store(),
            self.clock.as_ref(),
            entropy.as_ref(),
            new,
        )
        .await
        .unwrap()
    }
}

/// The parameters of an authorization request, to be changed one by one.
#[derive(Clone, Debug)]
pub struct Ask(Vec<(String, String)>);

impl Ask {
    /// A request as a well-behaved client sends it.
    pub fn of(client_id: &str, redirect_uri: &str) -> Self {
        let pairs = [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", redirect_uri),
            ("state", "st-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", MCP),
            ("scope", "mcp:read"),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(pairs.into_iter().map(own).collect())
    }

    /// With another value, or one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// With one more parameter, even if it stands there already.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(own, _)| own != name);
        self
    }

    /// As query or body.
    pub fn encoded(&self) -> String {
        Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }

    /// As a path of the authorization server.
    pub fn path(&self) -> String {
        format!("/authorize?{}", self.encoded())
    }
}

/// A browser with its cookies, somewhere on the network.
#[derive(Clone, Debug)]
pub struct Browser {
    authz: Authz,
    /// Its cookies by name.
    pub cookies: BTreeMap<String, String>,
    address: IpAddr,
}

impl Browser {
    /// A new browser without cookies.
    pub fn new(authz: &Authz) -> Self {
        Self::at(authz, "192.0.2.1")
    }

    /// A new browser at this address.
    pub fn at(authz: &Authz, address: &str) -> Self {
        Self {
            authz: authz.clone(),
            cookies: BTreeMap::new(),
            address: address.parse().unwrap(),
        }
    }

    /// Sends a request with the cookies and keeps those that come back.
    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self
                .cookies
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            let line = HeaderValue::from_str(&pairs.join("; ")).unwrap();
            request.headers_mut().insert(COOKIE, line);
        }
        request.extensions_mut().insert(ClientAddress(self.address));
        let answer = self.authz.send(request).await;
        for line in answer.headers.get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Opens a page and stays where that leads.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Opens a page and follows redirects as long as they stay on the server.
    pub async fn opens(&mut self, path: &str) -> Answer {
        let answer = self.get(path).await;
        self.follows(answer).await
    }

    /// Follows redirects as long as they stay on the server.
    pub async fn follows(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..8 {
            match answer.location() {
                Some(path) if path.starts_with('/') => answer = self.get(&path).await,
                _ => return answer,
            }
        }
        answer
    }

    /// Sends a form as a browser sends one of the server's own pages.
    pub async fn submits(&mut self, form: &HtmlForm) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("null"));
        let site = HeaderName::from_static("sec-fetch-site");
        headers.insert(site, HeaderValue::from_static("same-origin"));
        self.submits_with(form, headers).await
    }

    /// Sends a form with these headers.
    pub async fn submits_with(&mut self, form: &HtmlForm, headers: HeaderMap) -> Answer {
        let mut request = form.request();
        request.headers_mut().extend(headers);
        self.send(request).await
    }

    /// Fills in a login page, and follows where that leads.
    pub async fn logs_in(&mut self, page: &Answer, username: &str, password: &str) -> Answer {
        let answer = self.enters(page, username, password).await;
        self.follows(answer).await
    }

    /// Opens the login page and fills it in, without a client.
    pub async fn tries_to_log_in(&mut self, username: &str, password: &str) -> Answer {
        let page = self.get("/login").await;
        self.enters(&page, username, password).await
    }

    /// Fills in a login page.
    async fn enters(&mut self, page: &Answer, username: &str, password: &str) -> Answer {
        let form = page
            .form()
            .with("username", username)
            .with("password", password);
        self.submits(&form).await
    }

    /// Logs in without a client.
    pub async fn is_logged_in_as(&mut self, username: &str, password: &str) {
        let page = self.get("/login").await;
        let answer = self.logs_in(&page, username, password).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Allows everything that a consent page shows.
    pub async fn approves(&mut self, page: &Answer) -> Answer {
        self.submits(&page.form().with("decision", "allow")).await
    }

    /// Denies what a consent page asks.
    pub async fn denies(&mut self, page: &Answer) -> Answer {
        self.submits(&page.form().with("decision", "deny")).await
    }

    /// Goes the whole way for a request, from the login to the code.
    pub async fn allows(&mut self, ask: &Ask, username: &str, password: &str) -> String {
        let mut answer = self.opens(&ask.path()).await;
        if answer.text().contains("name=\"password\"") {
            answer = self.logs_in(&answer, username, password).await;
        }
        if answer.location().is_none() {
            answer = self.approves(&answer).await;
        }
        let code = answer.parameter("code");
        code.unwrap_or_else(|| unreachable!("{answer:?}"))
    }
}

/// A form of a page, with what it would send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtmlForm {
    /// Where it is sent.
    pub action: String,
    /// Names and values, in their order; boxes that are not ticked and buttons are left out.
    pub fields: Vec<(String, String)>,
}

impl HtmlForm {
    /// With another value for a field, or one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.fields.iter_mut().find(|(own, _)| own == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// With one more field.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without any field of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(own, _)| own != name);
        self
    }

    /// With a box that is no longer ticked.
    #[must_use]
    pub fn unticked(mut self, name: &str, value: &str) -> Self {
        let before = self.fields.len();
        self.fields
            .retain(|field| *field != (name.to_owned(), value.to_owned()));
        assert!(
            self.fields.len() < before,
            "{name}={value} is not ticked: {self:?}"
        );
        self
    }

    /// The first value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own == name)?;
        Some(&found.1)
    }

    /// The request that sends it, without cookies.
    pub fn request(&self) -> Request<Body> {
        let body = Serializer::new(String::new())
            .extend_pairs(&self.fields)
            .finish();
        Request::builder()
            .method(Method::POST)
            .uri(&self.action)
            .header(CONTENT_TYPE, FORM)
            .body(Body::from(body))
            .unwrap()
    }
}

impl Answer {
    /// Where a redirect leads.
    pub fn location(&self) -> Option<String> {
        let value = self.headers.get(LOCATION)?;
        Some(value.to_str().unwrap().to_owned())
    }

    /// A parameter of the address to which a redirect leads; it stands there at most once.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse(&self.location()?).ok()?;
        let mut found = url.query_pairs().filter(|(own, _)| own == name);
        let value = found.next().map(|(_, value)| value.into_owned());
        assert!(found.next().is_none(), "{name} is repeated in {url}");
        value
    }

    /// The form of a page; there is one.
    pub fn form(&self) -> HtmlForm {
        let html = self.text();
        assert_eq!(html.matches("<form").count(), 1, "{html}");
        let (head, rest) = html.split_once("<form").unwrap();
        assert!(head.contains("<main>"), "{html}");
        let (form, _) = rest.split_once("</form>").unwrap();
        let (attributes, inside) = form.split_once('>').unwrap();
        assert_eq!(attribute(attributes, "method").as_deref(), Some("post"));
        let fields = inside
            .split("<input")
            .skip(1)
            .filter_map(|rest| field(rest.split('>').next().unwrap()))
            .collect();
        HtmlForm {
            action: attribute(attributes, "action").unwrap(),
            fields,
        }
    }
}

/// What one input sends; `None` for a box that is not ticked.
fn field(tag: &str) -> Option<(String, String)> {
    let is_box = attribute(tag, "type").as_deref() == Some("checkbox");
    if is_box && !tag.split_whitespace().any(|word| word == "checked") {
        return None;
    }
    Some((
        attribute(tag, "name").unwrap(),
        attribute(tag, "value").unwrap_or_default(),
    ))
}

/// The value of an attribute, with its character references resolved.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(resolve(value))
}

/// Text of a page as people read it.
pub fn resolve(text: &str) -> String {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        resolved.push_str(before);
        let (name, after) = behind.split_once(';').unwrap();
        let code = name
            .strip_prefix("#x")
            .map(|hex| u32::from_str_radix(hex, 16));
        let code = code.or_else(|| name.strip_prefix('#').map(str::parse));
        resolved.push(match (name, code) {
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            (_, Some(code)) => char::from_u32(code.unwrap()).unwrap(),
            _ => unreachable!("{name}"),
        });
        rest = after;
    }
    resolved.push_str(rest);
    resolved
}
