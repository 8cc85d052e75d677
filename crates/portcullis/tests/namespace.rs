//! The binary in a network of its own, which the test makes for itself: a Linux network namespace
//! with nothing in it but loopback, so that no packet can leave the machine. There an address that
//! looks public is one of the machine's own.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use http::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_testkit::answer::Answer;
use portcullis_testkit::browser::{Ask, VERIFIER};
use portcullis_testkit::dns::DnsServer;
use portcullis_testkit::website::{Page, TestAuthority, Website};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ID: &str = "https://client.example/app.json";
const CALLBACK: &str = "https://client.example/cb";
/// Set in the process that runs inside.
const INSIDE: &str = "PORTCULLIS_TEST_INSIDE";

/// Runs this test once more, inside a new namespace.
fn run_inside(test: &str) {
    let setup = format!(
        "ip link set lo up && ip address add {PUBLIC}/32 dev lo && exec \"$0\" --exact {test} --nocapture"
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-ec", &setup])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .output();
    let said = match &output {
        Ok(output) if is_passed(output) => return,
        Ok(output) => format!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => error.to_string(),
    };
    let inside = said.contains("running 1 test");
    assert!(
        inside,
        "THIS MACHINE ALLOWS NO NETWORK NAMESPACE, and without one this test cannot run. It needs \
         `unshare` and `ip` (Debian: util-linux, iproute2), and either root or unprivileged user \
         namespaces. They said: {said}"
    );
    assert!(!inside, "inside the namespace: {said}");
}

/// A name that no test has is a success too, of nothing.
fn is_passed(output: &std::process::Output) -> bool {
    let said = String::from_utf8_lossy(&output.stdout);
    output.status.success() && said.contains("test result: ok. 1 passed")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the process inside is told by the environment that it is"
)]
fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Nothing but loopback is here.
fn assert_isolated() {
    let interfaces = std::fs::read_to_string("/proc/self/net/dev").unwrap();
    let names: Vec<_> = interfaces
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    assert_eq!(names, ["lo"]);
}

/// A running server, and a browser in front of it.
struct Server {
    process: Child,
    folder: TempDir,
    host: &'static str,
    listen: SocketAddr,
    cookies: BTreeMap<String, String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied());
    command
}

impl Server {
    /// Starts one with an account, and returns when it listens.
    fn start(public_url: &str, host: &'static str, outbound: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = if host.starts_with("localhost") {
            8080
        } else {
            8000
        };
        let listen = SocketAddr::from((LOOPBACK, port));
        let text = listen.to_string();
        let mut environment = vec![
            ("PORTCULLIS_SERVER_PUBLIC_URL", public_url),
            ("PORTCULLIS_SERVER_LISTEN", text.as_str()),
        ];
        environment.extend(outbound);
        let mut add = command(
            folder.path(),
            &environment,
            &["user", "add", "alice", "--password-stdin"],
        )
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
        let mut stdin = add.stdin.take().unwrap();
        stdin.write_all(b"correct horse\n").unwrap();
        drop(stdin);
        assert!(add.wait().unwrap().success());
        let mut process = command(folder.path(), &environment, &[])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let listens = log.any(|line| line.unwrap().contains("\"listening\""));
        // Nobody may stand still because nobody reads what it says.
        std::thread::spawn(move || log.for_each(drop));
        let server = Self {
            process,
            folder,
            host,
            listen,
            cookies: BTreeMap::new(),
        };
        assert!(listens && server.folder.path().exists());
        server
    }

    /// Sends a request with the cookies, and keeps those that come back.
    async fn send(&mut self, request: Request<axum::body::Body>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut headers = head.headers;
        headers.insert(HOST, HeaderValue::from_static(self.host));
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        let mut text = format!(
            "{} {} HTTP/1.1\r\nconnection: close\r\n",
            head.method, head.uri
        );
        for (name, value) in &headers {
            text += &[name.as_str(), ": ", value.to_str().unwrap(), "\r\n"].concat();
        }
        text += &["content-length: ", &body.len().to_string(), "\r\n\r\n"].concat();
        let mut stream = TcpStream::connect(self.listen).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let answer = parse(&answer);
        for line in answer.headers.get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        self.send(request).await
    }

    /// Asks with this client id.
    async fn asks_as(&mut self, id: &str) -> Answer {
        self.get(&Ask::of(id, CALLBACK).without("resource").path())
            .await
    }

    /// Fills in the form of a page, with one or two fields, and goes where that leads.
    async fn submits(&mut self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let form = fields
            .iter()
            .fold(page.form(), |form, (name, value)| form.with(name, value));
        let mut request = form.request();
        let site = HeaderName::from_static("sec-fetch-site");
        let headers = request.headers_mut();
        headers.insert(ORIGIN, HeaderValue::from_static("null"));
        headers.insert(site, HeaderValue::from_static("same-origin"));
        let answer = self.send(request).await;
        self.follows(answer).await
    }

    /// Follows redirects that stay on the server.
    async fn follows(&mut self, mut answer: Answer) -> Answer {
        while let Some(path) = answer.location().filter(|path| path.starts_with('/')) {
            answer = self.get(&path).await;
        }
        answer
    }

    /// Posts to the token endpoint as the client.
    async fn token(&mut self, body: &str) -> serde_json::Value {
        let id: String = url::form_urlencoded::byte_serialize(ID.as_bytes()).collect();
        let request = Request::post("/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("client_id={id}&{body}").into());
        let answer = self.send(request.unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    Answer {
        status: status.parse::<StatusCode>().unwrap(),
        headers,
        body: body.to_owned().into(),
    }
}

fn document(id: &str) -> Page {
    Page::json(&json!({
        "client_id": id,
        "client_name": "Kite",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
    }))
}

/// The web inside the namespace.
struct Inside {
    outside: Website,
    trap: Website,
    dns: DnsServer,
    ca_file: tempfile::NamedTempFile,
}

impl Inside {
    /// A web site at an address that looks public, a trap on loopback, and names for both.
    async fn start() -> Self {
        assert_isolated();
        let authority = TestAuthority::new("inside");
        let at = |address: Ipv4Addr| SocketAddr::from((address, 443));
        let outside = authority.certify(&["client.example"]);
        let trap = authority.certify(&["inside.example", "mixed.example", "127.0.0.1"]);
        let mut ca_file = tempfile::NamedTempFile::new().unwrap();
        ca_file.write_all(authority.pem().as_bytes()).unwrap();
        let inside = Self {
            outside: Website::start_at(at(PUBLIC), outside).await,
            trap: Website::start_at(at(LOOPBACK), trap).await,
            dns: DnsServer::start(&[
                ("client.example", &[PUBLIC]),
                ("inside.example", &[LOOPBACK]),
                ("mixed.example", &[PUBLIC, LOOPBACK]),
            ])
            .await,
            ca_file,
        };
        inside.outside.publish("/app.json", document(ID));
        inside
    }

    /// `[outbound]`: the authority, the DNS server, and the networks that are opened.
    fn server(&self, public_url: &str, host: &'static str, allow: &str) -> Server {
        let dns = self.dns.address().to_string();
        let outbound = [
            (
                "PORTCULLIS_OUTBOUND_CA_FILE",
                self.ca_file.path().to_str().unwrap(),
            ),
            ("PORTCULLIS_OUTBOUND_DNS_SERVER", dns.as_str()),
            ("PORTCULLIS_OUTBOUND_ALLOW", allow),
        ];
        let used = if allow.is_empty() { 2 } else { 3 };
        Server::start(public_url, host, outbound.get(..used).unwrap())
    }
}

const OUTSIDE_URL: (&str, &str) = ("https://portcullis.example", "portcullis.example");

#[tokio::test]
async fn a_client_gets_in_by_a_document_that_only_the_configured_dns_server_can_find() {
    if !is_inside() {
        return run_inside(
            "a_client_gets_in_by_a_document_that_only_the_configured_dns_server_can_find",
        );
    }
    let inside = Inside::start().await;
    let mut server = inside.server(OUTSIDE_URL.0, OUTSIDE_URL.1, "");
    let page = server.asks_as(ID).await;
    let page = server.follows(page).await;
    let login = [("username", "alice"), ("password", "correct horse")];
    let page = server.submits(&page, &login).await;
    assert!(
        page.text().contains("<strong>client.example</strong>"),
        "{page:?}"
    );
    let answer = server.submits(&page, &[("decision", "allow")]).await;
    let location = answer.headers.get(LOCATION).unwrap().to_str().unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    let code = answer.parameter("code").unwrap();
    let body = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}");
    let tokens = server.token(&body).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let body = format!("grant_type=refresh_token&refresh_token={refresh}");
    assert!(server.token(&body).await["access_token"].is_string());
    assert_eq!(inside.outside.requests(), ["client.example/app.json"]);
    assert!(
        inside
            .dns
            .asked()
            .iter()
            .all(|name| name == "client.example")
    );
    assert_eq!(inside.trap.connections(), 0);
}

#[tokio::test]
async fn nobody_is_sent_to_loopback_unless_the_operator_or_our_own_address_allows_it() {
    if !is_inside() {
        return run_inside(
            "nobody_is_sent_to_loopback_unless_the_operator_or_our_own_address_allows_it",
        );
    }
    let inside = Inside::start().await;
    let ids = ["inside.example", "mixed.example", "127.0.0.1"]
        .map(|host| format!("https://{host}/app.json"));
    let mut server = inside.server(OUTSIDE_URL.0, OUTSIDE_URL.1, "");
    for id in ids
        .iter()
        .map(String::as_str)
        .chain(["https://unknown.example/app.json"])
    {
        let answer = server.asks_as(id).await;
        assert_eq!(answer.status, 400, "{id}: {answer:?}");
        assert!(answer.text().contains("cannot be recognised"), "{id}");
    }
    assert_eq!(
        (inside.trap.connections(), inside.outside.connections()),
        (0, 0)
    );
    drop(server);

    for (public_url, host, allow) in [
        (OUTSIDE_URL.0, OUTSIDE_URL.1, "127.0.0.0/8"),
        ("http://localhost:8080", "localhost:8080", ""),
    ] {
        let mut server = inside.server(public_url, host, allow);
        for id in &ids {
            inside.trap.publish("/app.json", document(id));
            // The site that looks public has no certificate for these names.
            let answer = server.asks_as(id).await;
            let is_dialled_inside = !id.contains("mixed");
            assert_eq!(answer.status == 303, is_dialled_inside, "{id}: {answer:?}");
        }
    }
    assert_eq!(
        inside.trap.requests(),
        ["inside.example/app.json", "127.0.0.1/app.json"].repeat(2)
    );
}
