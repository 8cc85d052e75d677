//! A running binary, a browser and a client, and everything that is said between them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Request;
use portcullis_common::fetch::HttpFetcher;
use portcullis_testkit::answer::Answer;
use portcullis_testkit::authz::{FORM, basic_header};
use portcullis_testkit::browser::HtmlForm;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::spans::{self, Spans};
use crate::{PASSWORD, VERIFIER, WRONG_PASSWORD, WRONG_VERIFIER};

/// The audit trail, in the folder where everything is searched.
pub(crate) const AUDIT: &str = "portcullis-data/audit.jsonl";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running binary, a browser, and a client; and everything that was ever said.
pub(crate) struct Life {
    folder: TempDir,
    port: u16,
    metrics: u16,
    server: Child,
    spans: Spans,
    fetcher: HttpFetcher,
    cookies: BTreeMap<String, String>,
    /// What was said, each with its occasion; where a secret belongs it was cut out.
    pub(crate) said: Vec<(String, String)>,
    /// Every secret, with what it is.
    pub(crate) secrets: BTreeMap<String, String>,
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn command(folder: &TempDir, ports: (u16, u16), arguments: &[&str]) -> Command {
    let (port, metrics) = ports;
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("PORTCULLIS_SERVER_LISTEN", format!("127.0.0.1:{port}"))
        .env(
            "PORTCULLIS_SERVER_PUBLIC_URL",
            format!("http://127.0.0.1:{port}"),
        )
        .env("PORTCULLIS_METRICS_LISTEN", format!("127.0.0.1:{metrics}"))
        .env("PORTCULLIS_AUTHZ_REGISTRATION", "token")
        .env("PORTCULLIS_AUTHZ_REFRESH_GRACE", "1s")
        .env("PORTCULLIS_AUTHZ_LOGIN_ATTEMPTS", "50")
        .env("PORTCULLIS_AUDIT_FILE", AUDIT)
        .env("PORTCULLIS_LOG_LEVEL", "trace")
        .env("PORTCULLIS_LOG_FORMAT", "json")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null());
    command
}

impl Life {
    pub(crate) async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = (free_port(), free_port());
        let log = File::create(folder.path().join("log")).unwrap();
        let spans = Spans::default();
        let server = command(&folder, ports, &[])
            .env("PORTCULLIS_OTLP_ENDPOINT", spans.listen().await)
            .env(
                "PORTCULLIS_OTLP_HEADERS",
                format!("authorization={}", spans::KEY),
            )
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let mut life = Self {
            folder,
            port: ports.0,
            metrics: ports.1,
            server,
            spans,
            fetcher: HttpFetcher::new(None).unwrap(),
            cookies: BTreeMap::new(),
            said: Vec::new(),
            secrets: BTreeMap::new(),
        };
        let began = tokio::time::timeout(PATIENCE, life.is_ready()).await;
        assert!(began.is_ok(), "{}", life.log());
        let admin = fs::read_to_string(life.data().join("admin-password")).unwrap();
        life.keep("the password of admin", admin.trim());
        for (what, secret) in [
            ("password", PASSWORD),
            ("wrong password", WRONG_PASSWORD),
            ("verifier", VERIFIER),
            ("wrong verifier", WRONG_VERIFIER),
            ("key of the collector", spans::KEY),
        ] {
            life.keep(what, secret);
        }
        life
    }

    async fn is_ready(&self) {
        loop {
            let url = self.origin() + "/readyz";
            let request = Request::get(url).body(Vec::new()).unwrap();
            let answer = self.fetcher.send(request, PATIENCE, 1 << 20).await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("portcullis-data")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The audit trail, once what was done last is in it.
    pub(crate) fn trail(&self) -> String {
        loop {
            let text = fs::read_to_string(self.folder.path().join(AUDIT)).unwrap();
            if text.contains("\"event\":\"logout\"") {
                return text;
            }
            std::thread::yield_now();
        }
    }

    pub(crate) fn keep(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 16, "{what}: {secret}");
        self.secrets.insert(secret.to_owned(), what.to_owned());
    }

    /// Runs a command; what it prints is kept for the search, but for `secret` in its answer.
    pub(crate) fn runs(&mut self, arguments: &[&str], input: &str, secret: Option<&str>) -> Value {
        let mut process = command(&self.folder, (self.port, self.metrics), arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(name) = secret {
            let secret = answer[name].as_str().unwrap().to_owned();
            text = text.replacen(&secret, "", 1);
            self.keep(name, &secret);
        }
        self.said.push((arguments.join(" "), text + &errors));
        answer
    }

    /// Sends a request with the cookies of the browser, and keeps what comes back for the search.
    pub(crate) async fn send(&mut self, what: &str, mut request: Request<Vec<u8>>) -> Answer {
        let path = request.uri().to_string();
        let url = format!("{}{path}", self.origin());
        *request.uri_mut() = url.parse().unwrap();
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        if !cookies.is_empty() {
            request
                .headers_mut()
                .insert("cookie", cookies.join("; ").parse().unwrap());
        }
        let what = format!(
            "{what}: {} {}",
            request.method(),
            path.split('?').next().unwrap()
        );
        let (head, body) = self
            .fetcher
            .send(request, PATIENCE, 1 << 20)
            .await
            .unwrap()
            .into_parts();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: body.into(),
        };
        let said = self.without_what_belongs_there(&path, &answer);
        self.said.push((what, said));
        answer
    }

    /// The answer as text. What is cut out, once each, is only what a specification puts there, or
    /// our own pages need; it is kept as a secret.
    fn without_what_belongs_there(&mut self, path: &str, answer: &Answer) -> String {
        let mut text = format!("{}\n", answer.status);
        for (name, value) in &answer.headers {
            let mut value = value.to_str().unwrap().to_owned();
            if name == "set-cookie" {
                let (cookie, rest) = value.split_once(';').unwrap();
                let (name, secret) = cookie.split_once('=').unwrap();
                if secret.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), secret.to_owned());
                    self.secrets
                        .insert(secret.to_owned(), format!("cookie {name}"));
                }
                value = format!("{name}={rest}");
            }
            if name == "location" {
                for parameter in ["code", "request"] {
                    if let Some(secret) = parameter_of(&value, parameter) {
                        value = value.replacen(&format!("{parameter}={secret}"), "", 1);
                        self.keep(parameter, &secret);
                    }
                }
            }
            text.extend([name.as_str(), ": ", &value, "\n"]);
        }
        let mut body = answer.text().to_owned();
        if body.contains("<form") {
            for (name, secret) in answer.form().fields {
                if name == "csrf" || name == "request" {
                    body = body.replacen(&format!("value=\"{secret}\""), "", 1);
                    self.keep(&format!("hidden {name}"), &secret);
                }
            }
        }
        let members: &[&str] = match path {
            "/token" => &["access_token", "refresh_token", "id_token"],
            "/register" => &["client_secret", "registration_access_token"],
            _ if path.starts_with("/register/") => &["registration_access_token"],
            _ => &[],
        };
        if !members.is_empty() && answer.status.is_success() && !body.is_empty() {
            let mut members_of_body = answer.json();
            for name in members {
                if let Some(secret) = members_of_body.as_object_mut().unwrap().remove(*name) {
                    self.keep(name, secret.as_str().unwrap());
                }
            }
            body = members_of_body.to_string();
        }
        text + &body
    }

    pub(crate) async fn get(&mut self, what: &str, path: &str) -> Answer {
        self.send(what, Request::get(path).body(Vec::new()).unwrap())
            .await
    }

    pub(crate) async fn bearer(
        &mut self,
        what: &str,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body.as_bytes().to_vec())
            .unwrap();
        self.send(what, request).await
    }

    pub(crate) async fn post(
        &mut self,
        what: &str,
        path: &str,
        basic: Option<(&str, &str)>,
        fields: &[(&str, &str)],
    ) -> Answer {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::post(path).header("content-type", FORM);
        if let Some((id, secret)) = basic {
            let header = basic_header(id, secret);
            self.keep(&format!("{what}: Basic"), header.split_once(' ').unwrap().1);
            request = request.header("authorization", header);
        }
        self.send(what, request.body(body.into_bytes()).unwrap())
            .await
    }

    pub(crate) async fn redeems(&mut self, what: &str, client: (&str, &str), code: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        self.post(what, "/token", Some(client), &fields).await
    }

    pub(crate) async fn looks_at_metrics(&mut self) {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        let request = Request::get(url).body(Vec::new()).unwrap();
        let answer = self.fetcher.send(request, PATIENCE, 1 << 20).await.unwrap();
        let text = String::from_utf8(answer.into_body()).unwrap();
        assert!(text.contains("# TYPE"), "{text}");
        self.said.push(("metrics".to_owned(), text));
    }

    /// Everything that the collector was sent, up to the page that was asked for last.
    pub(crate) async fn looks_at_spans(&mut self) {
        self.get("looks for spans", "/docs").await;
        let sent = self.spans.text_with("GET /docs");
        let text = tokio::time::timeout(PATIENCE, sent).await.unwrap();
        for name in ["POST /token", "POST /login", "GET /authorize"] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
        self.said.push(("spans".to_owned(), text));
    }

    pub(crate) async fn submit(&mut self, what: &str, form: &HtmlForm) -> Answer {
        let body = Serializer::new(String::new())
            .extend_pairs(&form.fields)
            .finish();
        let request = Request::post(&form.action)
            .header("content-type", FORM)
            .header("origin", "null")
            .header("sec-fetch-site", "same-origin")
            .body(body.into_bytes())
            .unwrap();
        self.send(what, request).await
    }
}

fn parameter_of(location: &str, name: &str) -> Option<String> {
    let base = Url::parse("http://base.example").unwrap();
    let url = base.join(location).ok()?;
    let found = url.query_pairs().find(|(own, _)| own == name)?;
    Some(found.1.into_owned())
}
