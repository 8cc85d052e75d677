//! The public pages.

use axum::body::Body;
use http::Request;
use serde_json::Value;

use crate::bench::{Bench, Reply};

async fn fetch(path: &str) -> Reply {
    let request = Request::get(path).body(Body::empty()).unwrap();
    Bench::new().send_rest(request).await
}

#[tokio::test]
async fn the_openapi_document_names_every_rest_path_and_what_it_needs() {
    let reply = fetch("/openapi.json").await;
    assert_eq!(reply.header("content-type"), "application/json");
    let document: Value = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "https://mcp.example");
    let paths = &document["paths"];
    for path in [
        "/api/v1/me",
        "/api/v1/user",
        "/api/v1/tools",
        "/health",
        "/",
    ] {
        assert!(paths[path]["get"].is_object(), "{path}");
    }
    for probe in ["read", "write", "infer"] {
        let get = &paths[format!("/api/v1/protected/{probe}")]["get"];
        assert_eq!(get["security"][0]["bearer"][0], format!("mcp:{probe}"));
    }
    for tool in Bench::new().registry.tools() {
        let post = &paths[format!("/api/v1/tools/{}", tool.card().name)]["post"];
        assert_eq!(post["security"][0]["bearer"][0], tool.card().scopes);
        let schema = &post["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(schema["type"], "object");
    }
}

#[tokio::test]
async fn every_operation_of_the_openapi_document_has_its_own_id() {
    let document = fetch("/openapi.json").await.json();
    let mut ids: Vec<String> = Vec::new();
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[tokio::test]
async fn the_docs_are_plain_html_without_script_or_foreign_origin() {
    let reply = fetch("/docs").await;
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"));
    assert!(!reply.text.contains("<script") && !reply.text.contains("http"));
    assert!(reply.text.contains("width=device-width"));
    for tool in Bench::new().registry.tools() {
        assert!(
            reply
                .text
                .contains(&format!("/api/v1/tools/{}", tool.card().name))
        );
    }
    assert_eq!(
        fetch("/docs/style.css").await.header("content-type"),
        "text/css; charset=utf-8"
    );
}

#[tokio::test]
async fn the_root_names_the_server_and_its_documents() {
    let root = fetch("/").await.json();
    assert_eq!(root["name"], "portcullis");
    assert_eq!(root["status"], "running");
    assert_eq!(root["docs"], "/docs");
}
