//! Benchmarks of the whole product over loopback, on one server thread and one load thread.
//!
//! `call`: a protected `tools/call` beside the same server without the guard, in turn; prints the
//! ratio pair by pair. `audited`: the same with the audit trail on. `token`: client-credentials tokens
//! per second.

mod load;
mod servers;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use portcullis_common::audit::AuditSink;
use serde_json::{Value, json};

use load::Round;

const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_secs(1);
const PAIRS: usize = 21;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("call") => call(false),
        Some("audited") => call(true),
        Some("token") => token(),
        _ => Err("usage: cargo run --release -p portcullis-bench -- call|audited|token".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            line(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The ratio is the figure to quote: both servers share the machine's mood of the moment.
fn call(is_audited: bool) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut config = servers::config(folder.path())?;
    let bare = servers::bare(config.clone())?;
    let trail = folder.path().join("audit.jsonl");
    if is_audited {
        config.audit_sink = Some(AuditSink::File(trail.clone()));
    }
    let product = servers::product(config)?;
    let token = access_token(product)?;
    let with_token = call_request(product.port(), Some(&token));
    let without = call_request(bare.port(), None);
    let measure = |address, request: &[u8], time| load::round(address, request, CONNECTIONS, time);
    measure(product, &with_token, WARM_UP)?;
    measure(bare, &without, WARM_UP)?;
    let mut ratios = Vec::new();
    let mut added = Vec::new();
    for pair in 1..=PAIRS {
        let guarded = measure(product, &with_token, ROUND)?;
        let bare = measure(bare, &without, ROUND)?;
        ratios.push(guarded.rate / bare.rate);
        added.push((guarded.p99.as_secs_f64() - bare.p99.as_secs_f64()) * 1e3);
        line(&format!(
            "pair {pair}: protected {}, bare {}",
            show(&guarded),
            show(&bare)
        ));
    }
    line(&format!(
        "throughput protected / bare: {}",
        spread(&mut ratios, "")
    ));
    line(&format!("added p99: {}", spread(&mut added, " ms")));
    if is_audited {
        let bytes = std::fs::metadata(trail)?.len();
        line(&format!("the trail has {bytes} bytes"));
    }
    Ok(())
}

fn token() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let product = servers::product(servers::config(folder.path())?)?;
    let request = token_request(product.port());
    load::round(product, &request, CONNECTIONS, WARM_UP)?;
    let mut rates = Vec::new();
    for number in 1..=PAIRS {
        let round = load::round(product, &request, CONNECTIONS, ROUND)?;
        line(&format!("round {number}: {}", show(&round)));
        rates.push(round.rate);
    }
    line(&format!(
        "client-credentials tokens per second, ES256: {}",
        spread(&mut rates, "")
    ));
    Ok(())
}

fn show(round: &Round) -> String {
    format!(
        "{:.0}/s (p50 {:?}, p99 {:?})",
        round.rate, round.p50, round.p99
    )
}

/// Median, with the smallest and the largest.
fn spread(values: &mut [f64], unit: &str) -> String {
    values.sort_unstable_by(f64::total_cmp);
    let at = |position: usize| values.get(position).copied().unwrap_or_default();
    let (least, most) = (at(0), at(values.len().saturating_sub(1)));
    format!(
        "median {:.3}{unit} (from {least:.3} to {most:.3})",
        at(values.len() / 2)
    )
}

fn post(path: &str, port: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
    .into_bytes()
}

fn token_request(port: u16) -> Vec<u8> {
    let body = format!(
        "grant_type=client_credentials&scope=mcp%3Aread&client_id={}&client_secret={}",
        servers::CLIENT,
        servers::SECRET
    );
    post(
        "/token",
        port,
        "content-type: application/x-www-form-urlencoded\r\n",
        &body,
    )
}

fn call_request(port: u16, token: Option<&str>) -> Vec<u8> {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "echo", "arguments": { "message": "hello" },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    let token = token.map_or_else(String::new, |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    let headers = format!(
        "{token}content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n"
    );
    post("/mcp", port, &headers, &body.to_string())
}

/// One token from the product, as any client gets it.
fn access_token(address: std::net::SocketAddr) -> Outcome<String> {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(&token_request(address.port()))?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if read == 0 || answer.ends_with(b"}") {
            break;
        }
    }
    let text = String::from_utf8(answer)?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let body: Value = serde_json::from_str(body)?;
    let token = body
        .get("access_token")
        .and_then(Value::as_str)
        .ok_or("no token")?;
    Ok(token.to_owned())
}
