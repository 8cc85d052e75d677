//! The REST view.

use axum::body::Body;
use http::{Method, Request};
use portcullis_resource::guard::{Caller, OperationPolicy, Principal};
use portcullis_resource::rest::operation_of;
use serde_json::{Value, json};

use crate::bench::{Bench, NOW, person};

async fn call(tool: &str, arguments: Value) -> (u16, Value) {
    let bench = Bench::new();
    let path = format!("/api/v1/tools/{tool}");
    let reply = bench
        .rest(&person("ann"), Method::POST, &path, arguments)
        .await;
    (reply.status.as_u16(), reply.json())
}

#[tokio::test]
async fn me_tells_what_the_token_says_and_null_for_the_rest() {
    let bench = Bench::new();
    for path in ["/api/v1/me", "/api/v1/user"] {
        let reply = bench
            .rest(&person("ann"), Method::GET, path, Value::Null)
            .await;
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(
            reply.json(),
            json!({
                "sub": "ann",
                "username": "ann-name",
                "email": null,
                "email_verified": null,
                "scopes": ["mcp:read", "mcp:write"],
                "client_id": "inspector",
                "roles": ["user"],
                "issuer": "https://as.example",
                "expires_at": NOW + 600,
            })
        );
    }
}

#[tokio::test]
async fn the_list_says_which_tools_the_token_can_call() {
    let bench = Bench::new();
    let available = |list: &Value| -> Vec<String> {
        let tools = list["tools"].as_array().unwrap().iter();
        tools
            .filter(|tool| tool["available"] == true)
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let reader = Caller {
        scopes: "mcp:read".parse().unwrap(),
        ..person("ann")
    };
    let robot = Caller {
        scopes: "mcp:write".parse().unwrap(),
        principal: Principal::Client,
        ..person("client:robot")
    };
    let list = bench
        .rest(&reader, Method::GET, "/api/v1/tools", Value::Null)
        .await
        .json();
    assert_eq!(available(&list), ["echo", "timestamp", "note_list"]);
    assert_eq!((&list["total"], &list["available"]), (&json!(5), &json!(3)));
    assert_eq!(list["user_scopes"], json!(["mcp:read"]));
    let tool = &list["tools"][2];
    assert_eq!(tool["endpoint"], "/api/v1/tools/calculate");
    assert_eq!(tool["required_scope"], "mcp:write");
    assert_eq!(tool["parameters"]["type"], "object");
    let list = bench
        .rest(&robot, Method::GET, "/api/v1/tools", Value::Null)
        .await
        .json();
    assert_eq!(available(&list), ["echo", "timestamp", "calculate"]);
}

#[tokio::test]
async fn a_tool_answers_as_over_mcp() {
    let (status, reply) = call("echo", json!({"message": "hi", "uppercase": true})).await;
    assert_eq!((status, &reply["result"]["echo"]), (200, &json!("HI")));
    let (status, reply) = call("note_list", Value::Null).await;
    assert_eq!((status, &reply["result"]["total"]), (200, &json!(0)));
}

#[tokio::test]
async fn a_broken_schema_is_422_no_answer_400_and_no_tool_404() {
    let (status, reply) = call("calculate", json!({"operation": "add", "operands": []})).await;
    assert_eq!((status, &reply["field"]), (422, &json!("operands")));
    assert_eq!(reply["error"], "invalid_arguments");
    let (status, reply) = call(
        "calculate",
        json!({"operation": "divide", "operands": [1, 0]}),
    )
    .await;
    assert_eq!((status, &reply["field"]), (400, &json!("operands")));
    let (status, reply) = call("missing", json!({})).await;
    assert_eq!((status, &reply["error"]), (404, &json!("unknown_tool")));
    let (status, reply) = call("echo", json!(["hi"])).await;
    assert_eq!((status, &reply["field"]), (422, &json!("arguments")));
}

#[tokio::test]
async fn an_encoded_name_is_no_way_around_the_scope_of_a_tool() {
    let bench = Bench::new();
    let ann = person("ann");
    let path = "/api/v1/tools/%63alculate";
    let needed = bench.registry.requirement(&operation_of(path), &ann);
    let reply = bench.rest(&ann, Method::POST, path, json!({})).await;
    assert!(needed.scopes.is_empty());
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn policy_and_probes_name_the_same_scopes_over_both_views() {
    let bench = Bench::new();
    let ann = person("ann");
    let scopes = |path: &str| {
        bench
            .registry
            .requirement(&operation_of(path), &ann)
            .scopes
            .to_string()
    };
    assert_eq!(scopes("/api/v1/tools/echo"), "mcp:read");
    assert_eq!(scopes("/api/v1/tools/calculate"), "mcp:write");
    assert_eq!(scopes("/api/v1/me"), "");
    for (probe, scope) in [
        ("read", "mcp:read"),
        ("write", "mcp:write"),
        ("infer", "mcp:infer"),
    ] {
        let path = format!("/api/v1/protected/{probe}");
        assert_eq!(scopes(&path), scope);
        let reply = bench.rest(&ann, Method::GET, &path, Value::Null).await;
        assert_eq!(reply.json(), json!({"scope": scope, "sub": "ann"}));
    }
    let reply = bench
        .rest(&ann, Method::GET, "/api/v1/protected/other", Value::Null)
        .await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn a_request_that_no_guard_has_seen_tells_nothing() {
    let bench = Bench::new();
    for path in ["/api/v1/me", "/api/v1/tools", "/api/v1/protected/read"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(bench.send_rest(request).await.status, 500, "{path}");
    }
}
