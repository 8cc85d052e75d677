//! Clients that cannot run here: what each of them was seen to send, from the first 401 to a refresh,
//! is sent again, and gets the answer that takes the client on.

mod fixtures;

use std::time::Duration;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use portcullis_common::fetch::HttpFetcher;
use portcullis_testkit::authz::{Answer, FORM, basic_header};
use portcullis_testkit::browser::{CHALLENGE, VERIFIER};
use portcullis_testkit::resource::{initialize, legacy, modern, request};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::person::{LARGEST_PAGE, Person, TIMEOUT};
use crate::product::{Place, Product};

use fixtures::{CLIENTS, Proof, Recorded, Speaks};

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// A client on its way.
struct Way<'a> {
    client: &'a Recorded,
    product: &'a Product,
    fetcher: HttpFetcher,
    id: String,
    secret: String,
    callback: String,
}

impl Way<'_> {
    async fn send(&self, path: &str, mut request: Request<Body>) -> Answer {
        let url = format!("http://{}{path}", self.product.address);
        *request.uri_mut() = url.parse().unwrap();
        request.headers_mut().remove(HOST);
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let request = Request::from_parts(head, body);
        let sent = self.fetcher.send(request, TIMEOUT, LARGEST_PAGE).await;
        let (head, body) = sent.unwrap().into_parts();
        Answer::read(Response::from_parts(head, Body::from(body))).await
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::new(Body::empty());
        self.send(path, request).await
    }

    /// The first request is turned away and leads to both documents.
    async fn finds_the_issuer(&self) {
        let (method, revision) = self.client.probe;
        let mut probe = request(Method::try_from(method).unwrap(), "/mcp", "");
        if let Some(revision) = revision {
            let headers = probe.headers_mut();
            headers.insert("mcp-protocol-version", revision.parse().unwrap());
        }
        let refused = self.send("/mcp", probe).await;
        assert_eq!(refused.status, 401, "{}", self.client.name);
        let challenge = refused.header("www-authenticate");
        let at = "/.well-known/oauth-protected-resource/mcp";
        assert!(challenge.contains(at), "{challenge}");
        let metadata = self.get(at).await.json();
        let issuer = metadata["authorization_servers"][0].as_str().unwrap();
        let metadata = self.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(metadata.json()["issuer"], issuer);
    }

    async fn registers(&mut self) {
        let mut request = Request::post("/").header(CONTENT_TYPE, "application/json");
        let body = Body::from(self.client.registration);
        request = request.header("accept", "*/*");
        let answer = self.send("/register", request.body(body).unwrap()).await;
        assert_eq!(answer.status, 201, "{}: {answer:?}", self.client.name);
        let registered = answer.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.id = text(&registered["client_id"]);
        self.secret = text(&registered["client_secret"]);
        self.callback = text(&registered["redirect_uris"][0]);
        let confidential = self.client.proof == Proof::Basic;
        assert_eq!(self.secret.is_empty(), !confidential, "{registered}");
    }

    /// The person consents to all of it; answers the code.
    async fn is_let_in(&self, person: &Person, ask: &[(&str, &str)]) -> String {
        let mcp = self.product.mcp();
        let mut pairs: Pairs<'_> = vec![
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.callback),
            ("state", "st-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", &mcp),
        ];
        pairs.extend(ask);
        let path = format!("/authorize?{}", encoded(&pairs));
        // Some look themselves, without cookies, before they open the browser.
        assert_eq!(self.get(&path).await.status, 303, "{}", self.client.name);
        let url = format!("{}{path}", self.product.config.server.public_url);
        let left = Url::parse(&person.lets_in(&url, &[]).await).unwrap();
        assert!(left.as_str().starts_with(&self.callback), "{left}");
        let parameter = |name: &str| {
            let mut pairs = left.query_pairs();
            let found = pairs.find(|(own, _)| own == name);
            found.map(|(_, value)| value.into_owned()).unwrap()
        };
        assert_eq!(parameter("state"), "st-1");
        assert_eq!(parameter("iss"), self.product.config.server.public_url);
        parameter("code")
    }

    async fn asks_for_token(&self, mut pairs: Pairs<'_>) -> Value {
        let post = |pairs: &Pairs<'_>| {
            let request = Request::post("/").header(CONTENT_TYPE, FORM);
            request.body(Body::from(encoded(pairs))).unwrap()
        };
        if self.client.proof == Proof::GuessesBasic {
            let mut guess = post(&pairs);
            let header = basic_header(&self.id, "").parse().unwrap();
            guess.headers_mut().insert(AUTHORIZATION, header);
            let refused = self.send("/token", guess).await;
            refused.expect_error(401, "invalid_client");
        }
        pairs.push(("client_id", &self.id));
        let mut request = post(&pairs);
        if self.client.proof == Proof::Basic {
            let header = basic_header(&self.id, &self.secret).parse().unwrap();
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let answer = self.send("/token", request).await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.client.name);
        answer.json()
    }

    async fn redeems(&self, code: &str) -> Value {
        let mcp = self.product.mcp();
        self.asks_for_token(vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.callback),
            ("code_verifier", VERIFIER),
            ("resource", &mcp),
        ])
        .await
    }

    async fn refreshes(&self, tokens: &Value) -> Value {
        let mcp = self.product.mcp();
        let mut pairs: Pairs<'_> = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ];
        pairs.extend(self.client.refresh);
        if self.client.refreshes_for_resource {
            pairs.push(("resource", &mcp));
        }
        self.asks_for_token(pairs).await
    }

    /// Lists the tools and calls one, after a handshake where the client makes one; answers the
    /// status of the call.
    async fn calls(&self, tokens: &Value, tool: &str, arguments: Value) -> u16 {
        let token = tokens["access_token"].as_str().unwrap();
        let call = json!({ "name": tool, "arguments": arguments });
        if self.client.speaks == Speaks::Modern {
            for method in ["server/discover", "tools/list"] {
                let answer = self.send("/mcp", modern(token, method, json!({}))).await;
                assert_eq!(answer.status, 200, "{}: {answer:?}", self.client.name);
            }
            if self.client.listens {
                self.asks_to_listen(token).await;
            }
            let answer = self.send("/mcp", modern(token, "tools/call", call)).await;
            return answer.status.as_u16();
        }
        let hello = self.in_session(token, None, &initialize()).await;
        let session = hello.header("mcp-session-id").to_owned();
        let message = |method: &str, params: &Value| json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let list = message("tools/list", &json!({}));
        for (body, expected) in [(ready, 202), (list, 200)] {
            let answer = self.in_session(token, Some(&session), &body).await;
            assert_eq!(answer.status, expected, "{}: {answer:?}", self.client.name);
        }
        let mut stream = self.opens_a_stream(token, &session).await;
        let call = message("tools/call", &call);
        let answer = self.in_session(token, Some(&session), &call).await;
        // What has come is read, and then there is no end but silence.
        while let Ok(next) = tokio::time::timeout(Duration::ZERO, stream.chunk()).await {
            assert!(
                matches!(next, Ok(Some(_))),
                "{}: {next:?}",
                self.client.name
            );
        }
        answer.status.as_u16()
    }

    /// Our tools never change and the server does not announce that they would, so there is nothing to
    /// listen to; the client is told so in a way that it can tell from an old session's end.
    async fn asks_to_listen(&self, token: &str) {
        let wanted = json!({ "notifications": { "toolsListChanged": true } });
        let ask = modern(token, "subscriptions/listen", wanted);
        let answer = self.send("/mcp", ask).await;
        assert_eq!(answer.status, 404, "{}: {answer:?}", self.client.name);
        assert_eq!(answer.json()["error"]["code"], -32601, "{answer:?}");
    }

    /// The stream of a session on which the server speaks first (MCP 2025-11-25, streamable HTTP).
    async fn opens_a_stream(&self, token: &str, session: &str) -> reqwest::Response {
        let ask = reqwest::Client::default()
            .get(self.product.mcp())
            .bearer_auth(token)
            .header("accept", "text/event-stream")
            .header("mcp-session-id", session);
        let ask = match self.client.speaks {
            Speaks::Unnamed => ask,
            Speaks::Modern | Speaks::Legacy => ask.header("mcp-protocol-version", "2025-11-25"),
        };
        let stream = ask.send().await.unwrap();
        assert_eq!(stream.status(), 200, "{}: {stream:?}", self.client.name);
        assert_eq!(stream.headers()[CONTENT_TYPE], "text/event-stream");
        stream
    }

    async fn in_session(&self, token: &str, session: Option<&str>, body: &Value) -> Answer {
        let mut request = legacy(token, session, body);
        if self.client.speaks == Speaks::Unnamed || session.is_none() {
            request.headers_mut().remove("mcp-protocol-version");
        }
        self.send("/mcp", request).await
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn has(tokens: &Value, scope: &str) -> bool {
    let granted = tokens["scope"].as_str().unwrap();
    granted.split(' ').any(|one| one == scope)
}

async fn goes_the_whole_way(product: &Product, person: &Person, client: &Recorded) {
    let name = client.name;
    let mut way = Way {
        client,
        product,
        fetcher: HttpFetcher::new(None).unwrap(),
        id: String::new(),
        secret: String::new(),
        callback: String::new(),
    };
    way.finds_the_issuer().await;
    way.registers().await;
    let sum = || json!({ "operation": "add", "operands": [1, 2] });
    let mut tokens = Value::Null;
    for ask in client.asks {
        if !tokens.is_null() {
            assert_eq!(way.calls(&tokens, "calculate", sum()).await, 403, "{name}");
        }
        let code = way.is_let_in(person, ask).await;
        tokens = way.redeems(&code).await;
        let (_, asked) = ask.iter().find(|(name, _)| *name == "scope").unwrap();
        for scope in asked.split(' ') {
            assert!(has(&tokens, scope), "{name}: {scope} of {tokens}");
        }
    }
    for _ in 0..3 {
        let fresh = way.refreshes(&tokens).await;
        assert_ne!(fresh["refresh_token"], tokens["refresh_token"], "{name}");
        let hello = json!({ "message": "hi" });
        assert_eq!(way.calls(&fresh, "echo", hello).await, 200, "{name}");
        tokens = fresh;
    }
    let may_write = has(&tokens, "mcp:write");
    let expected = if may_write { 200 } else { 403 };
    assert_eq!(
        way.calls(&tokens, "calculate", sum()).await,
        expected,
        "{name}"
    );
}

#[tokio::test]
async fn every_recorded_client_goes_the_whole_way_at_first_try() {
    let place = Place::new();
    let product = place.start().await;
    let person = Person::of(&product).await;
    for client in &CLIENTS {
        goes_the_whole_way(&product, &person, client).await;
    }
    product.stop().await;
}
