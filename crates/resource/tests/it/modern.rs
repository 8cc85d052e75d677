//! Revision 2026-07-28: no session, everything in one request.

use axum::body::Body;
use portcullis_resource::guard::Caller;
use portcullis_resource::mcp::McpOptions;
use serde_json::{Value, json};

use crate::bench::{Bench, modern_meta, person, post};

async fn tool_names(bench: &Bench, caller: &Caller) -> Vec<String> {
    let list = bench.ask(caller, "tools/list", json!({})).await.json();
    let tools = list["result"]["tools"].as_array().unwrap().clone();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn one_request_calls_a_tool_and_is_answered_in_json() {
    let bench = Bench::new();
    let params = json!({"name": "echo", "arguments": {"message": "hi"}});
    let reply = bench.ask(&person("ann"), "tools/call", params).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    let message = reply.json();
    assert_eq!(message["id"], 7);
    let result = &message["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["structuredContent"]["echo"], "hi");
    let text = result["content"][0]["text"].as_str().unwrap();
    let text: Value = serde_json::from_str(text).unwrap();
    assert_eq!(text, result["structuredContent"]);
    let about = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(about, &json!({"name": "portcullis", "version": "1.2.3"}));
}

#[tokio::test]
async fn discovery_names_both_revisions_and_only_what_is_served() {
    let bench = Bench::new();
    let reply = bench
        .ask(&person("ann"), "server/discover", json!({}))
        .await;
    let result = reply.json()["result"].clone();
    let versions = result["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")));
    assert_eq!(
        result["capabilities"],
        json!({
            "extensions": {"io.modelcontextprotocol/oauth-client-credentials": {}},
            "prompts": {},
            "resources": {},
            "tools": {},
        })
    );
    assert_eq!(result["cacheScope"], "public");
}

#[tokio::test]
async fn the_tools_are_always_listed_in_one_order() {
    let bench = Bench::new();
    let expected = ["echo", "timestamp", "calculate", "note_add", "note_list"];
    for _ in 0..3 {
        assert_eq!(tool_names(&bench, &person("ann")).await, expected);
    }
}

#[tokio::test]
async fn every_tool_shows_closed_schemas_and_hints() {
    let bench = Bench::new();
    let list = bench
        .ask(&person("ann"), "tools/list", json!({}))
        .await
        .json();
    let result = &list["result"];
    assert_eq!(result["cacheScope"], "public");
    assert_eq!(result["ttlMs"], 300_000);
    for tool in result["tools"].as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
        assert!(!tool.to_string().contains("$ref"), "{tool}");
    }
}

#[tokio::test]
async fn what_a_tool_answers_conforms_to_its_output_schema() {
    let bench = Bench::new();
    let ann = person("ann");
    for (tool, arguments) in [
        ("echo", json!({"message": "hi"})),
        (
            "timestamp",
            json!({"include_epoch": true, "relative": true}),
        ),
        ("timestamp", json!({})),
        (
            "calculate",
            json!({"operation": "divide", "operands": [1, 3]}),
        ),
        ("note_add", json!({"text": "milk"})),
        ("note_list", json!({})),
    ] {
        let schema = bench.registry.find(tool).unwrap().output_schema();
        let schema = Value::Object(schema.as_ref().clone());
        let answer = bench.call(&ann, tool, arguments).await;
        jsonschema::validate(&schema, &answer["structuredContent"]).unwrap();
    }
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error() {
    let bench = Bench::new();
    let params = json!({"name": "missing", "arguments": {}});
    let error = bench.ask(&person("ann"), "tools/call", params).await.json()["error"].clone();
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().unwrap().contains("missing"));
}

#[tokio::test]
async fn malformed_params_are_invalid_params_and_an_unknown_method_is_not_found() {
    let bench = Bench::new();
    let error = bench
        .ask(&person("ann"), "tools/call", json!({"arguments": {}}))
        .await;
    assert_eq!(error.json()["error"]["code"], -32602, "{}", error.text);
    let params = json!({"name": "echo", "arguments": ["hi"]});
    let error = bench.ask(&person("ann"), "tools/call", params).await;
    assert_eq!(error.json()["error"]["code"], -32602, "{}", error.text);
    let error = bench.ask(&person("ann"), "tools/none", json!({})).await;
    assert_eq!(error.status, 404);
    assert_eq!(error.json()["error"]["code"], -32601);
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_invalid() {
    let bench = Bench::new();
    for method in [
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    ] {
        let reply = bench
            .ask(&person("ann"), method, json!({"cursor": "x"}))
            .await;
        assert_eq!(reply.json()["error"]["code"], -32602, "{method}");
    }
}

#[tokio::test]
async fn a_request_without_the_metadata_of_the_revision_is_refused() {
    let bench = Bench::new();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let request = post("/mcp")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/list")
        .extension(person("ann"))
        .body(Body::from(body.to_string()));
    let reply = bench.send(request.unwrap()).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["error"]["code"]),
        (400, &json!(-32602))
    );
}

/// A call of the tool `echo` whose header names this tool, and that no guard has seen.
fn echo_under_the_name(name: &str) -> http::Request<Body> {
    let params = json!({"name": "echo", "arguments": {"message": "hi"}, "_meta": modern_meta()});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    post("/mcp")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", name)
        .body(Body::from(body.to_string()))
        .unwrap()
}

#[tokio::test]
async fn a_header_that_contradicts_the_body_is_refused() {
    let bench = Bench::new();
    let mut request = echo_under_the_name("calculate");
    request.extensions_mut().insert(person("ann"));
    let reply = bench.send(request).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["error"]["code"]),
        (400, &json!(-32020))
    );
}

#[tokio::test]
async fn a_request_that_no_guard_has_seen_gets_no_answer() {
    let bench = Bench::new();
    let reply = bench.send(echo_under_the_name("echo")).await;
    assert_eq!(reply.json()["error"]["code"], -32603);
}

#[tokio::test]
async fn another_host_and_a_strange_origin_are_refused() {
    let bench = Bench::new();
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let mut request = post("/mcp").body(Body::empty()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(bench.send(request).await.status, 403, "{name}");
    }
}

#[tokio::test]
async fn ports_of_hosts_are_left_to_the_guard_and_ports_of_origins_are_exact() {
    let bench = Bench::with(&McpOptions {
        allowed_hosts: vec!["mcp.example:443".to_owned()],
        allowed_origins: vec!["https://app.example".to_owned()],
        ..McpOptions::default()
    });
    for (host, origin, is_refused) in [
        ("mcp.example", "https://app.example", false),
        ("mcp.example:443", "https://app.example:443", false),
        ("localhost", "https://app.example", true),
        ("mcp.example", "https://app.example:8443", true),
        ("mcp.example", "http://app.example", true),
        ("mcp.example", "null", true),
    ] {
        let mut request = post("/mcp").body(Body::empty()).unwrap();
        let headers = request.headers_mut();
        headers.insert("host", host.parse().unwrap());
        headers.insert("origin", origin.parse().unwrap());
        let reply = bench.send(request).await;
        assert_eq!(reply.status == 403, is_refused, "{host} {origin}");
    }
}

#[tokio::test]
async fn an_empty_list_of_hosts_is_not_every_host() {
    let bench = Bench::with(&McpOptions {
        allowed_hosts: Vec::new(),
        ..McpOptions::default()
    });
    let mut request = post("/mcp").body(Body::empty()).unwrap();
    request
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    assert_eq!(bench.send(request).await.status, 403);
}
