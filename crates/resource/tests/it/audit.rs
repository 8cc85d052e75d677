//! The audit trail of the resource server: who called which tool, and who was turned away.

use http::{Method, StatusCode};
use portcullis_common::audit::AuditUnavailable;
use portcullis_testkit::audit::{AuditFile, brief};
use portcullis_testkit::resource::{ISSUER, ProtectedServer, legacy, modern, post, request, set};
use serde_json::{Value, json};

async fn start() -> (ProtectedServer, AuditFile) {
    let file = AuditFile::new();
    let server = ProtectedServer::start_with(|config| {
        *config = file.turned_on(config.clone());
    })
    .await;
    (server, file)
}

fn said(records: &[Value]) -> Vec<String> {
    let names = ["event", "result", "reason", "actor", "target"];
    records.iter().map(|record| brief(record, &names)).collect()
}

#[tokio::test]
async fn every_call_of_a_tool_is_one_record_however_it_ends() {
    let (server, file) = start().await;
    let ann = server.token().sign();
    let reader = server.token().claim("scope", "mcp:read").sign();
    let robot = server.token().of_client("robot").sign();
    let write = json!({ "operation": "add", "operands": [1, 2] });
    server.echo(&ann).await;
    server.call(&ann, "echo", json!({ "message": 7 })).await;
    server.call(&ann, "no-such-tool", json!({})).await;
    server.call(&reader, "calculate", write.clone()).await;
    server
        .call(&robot, "note_add", json!({ "text": "x" }))
        .await;
    server.call(&robot, "calculate", write).await;
    let body = json!({ "message": "hi" });
    server
        .rest(&ann, Method::POST, "/api/v1/tools/echo", &body)
        .await;
    assert_eq!(
        said(&file.records(&server.audit)),
        [
            "tool_call ok - user:ann echo",
            "tool_call failed invalid_arguments user:ann echo",
            "tool_call failed unknown user:ann no-such-tool",
            "tool_call refused insufficient_scope user:ann calculate",
            "tool_call refused access_denied client:robot note_add",
            "tool_call ok - client:robot calculate",
            "tool_call ok - user:ann echo",
        ]
    );
}

#[tokio::test]
async fn a_record_says_whose_grant_it_was_from_where_and_under_which_id() {
    let (server, file) = start().await;
    let token = server.token().claim("grant_id", "g-1").sign();
    let call = json!({ "name": "echo", "arguments": { "message": "a secret message" } });
    let mut call = modern(&token, "tools/call", call);
    set(&mut call, "x-correlation-id", "c-42");
    assert_eq!(server.send(call).await.status, StatusCode::OK);
    let mut records = file.records(&server.audit);
    let mut record = records.remove(0);
    let client = record["client"].take();
    assert!(client.is_string(), "{record}");
    assert_eq!(
        record,
        json!({
            "time": "2027-01-15T08:00:00.000Z",
            "event": "tool_call",
            "result": "ok",
            "actor": "user:ann",
            "client": null,
            "subject": "ann",
            "issuer": ISSUER,
            "source": "0.0.0.0",
            "target": "echo",
            "grant": "g-1",
            "correlation_id": "c-42",
            "role": "resource",
        })
    );
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(
        !text.contains(&token) && !text.contains("a secret message"),
        "{text}"
    );
}

#[tokio::test]
async fn whoever_shows_a_token_and_is_turned_away_is_recorded_and_whoever_shows_none_is_not() {
    let (server, file) = start().await;
    let ann = server.token().sign();
    let bob = server.token().claim("sub", "bob").sign();
    let session = server.open_session(&ann).await;
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": "echo", "arguments": { "message": "hi" } } });
    assert_eq!(server.echo("").await.status, StatusCode::UNAUTHORIZED);
    server.send(post(&ann, "{")).await;
    server.send(legacy(&bob, Some(&session), &call)).await;
    server.send(legacy(&ann, Some(&session), &call)).await;
    let expired = server.token().claim("exp", 1_700_000_000).sign();
    server.echo(&expired).await;
    let mut twice = request(Method::GET, "/mcp", &ann);
    let other = format!("Bearer {bob}").parse().unwrap();
    twice.headers_mut().append("authorization", other);
    server.send(twice).await;
    let reader = server.token().claim("scope", "mcp:read").sign();
    server
        .rest(
            &reader,
            Method::GET,
            "/api/v1/protected/write",
            &Value::Null,
        )
        .await;
    assert_eq!(
        said(&file.records(&server.audit)),
        [
            "tool_call refused unknown_session user:bob echo",
            "tool_call ok - user:ann echo",
            "access refused invalid_token nobody /mcp",
            "access refused invalid_request nobody /mcp",
            "access refused insufficient_scope user:ann portcullis/probe",
        ]
    );
}

#[tokio::test]
async fn hostile_names_of_tools_and_people_give_one_line_each() {
    let (server, file) = start().await;
    let hostile = "x\r\n{\"event\":\"tool_call\"}\u{1b}[31m\u{2028}\u{202e}\"";
    let token = server.token().claim("sub", hostile).sign();
    server.call(&token, hostile, json!({})).await;
    server.call(&token, &"n".repeat(100_000), json!({})).await;
    let records = file.records(&server.audit);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["target"], hostile);
    assert_eq!(records[0]["subject"], hostile);
    assert_eq!(records[1]["target"].as_str().unwrap().chars().count(), 257);
    let bytes = std::fs::read(file.path()).unwrap();
    assert!(
        bytes
            .iter()
            .all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte))
    );
}

#[tokio::test]
async fn calls_go_on_while_nothing_can_be_recorded_and_are_recorded_when_it_can() {
    let (server, file) = start().await;
    let ann = server.token().sign();
    server.echo(&ann).await;
    server.audit.flush().unwrap();
    file.fill_disk();
    server.echo(&ann).await;
    assert_eq!(server.audit.flush(), Err(AuditUnavailable));
    for _ in 0..3 {
        assert_eq!(server.echo(&ann).await.status, StatusCode::OK);
    }
    file.make_room();
    assert_eq!(file.records(&server.audit).len(), 4);
}
