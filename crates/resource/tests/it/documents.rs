//! Resources and prompts.

use portcullis_resource::guard::Caller;
use serde_json::{Value, json};

use crate::bench::{Bench, admin, person};

const ABOUT: &str = "portcullis://server-info";
const SETTINGS: &str = "portcullis://settings";

async fn listed(bench: &Bench, caller: &Caller) -> Vec<String> {
    let list = bench.ask(caller, "resources/list", json!({})).await.json();
    assert_eq!(list["result"]["cacheScope"], "private");
    let resources = list["result"]["resources"].as_array().unwrap().clone();
    resources
        .iter()
        .map(|resource| resource["uri"].as_str().unwrap().to_owned())
        .collect()
}

async fn read(bench: &Bench, caller: &Caller, uri: &str) -> Value {
    bench
        .ask(caller, "resources/read", json!({"uri": uri}))
        .await
        .json()
}

#[tokio::test]
async fn everybody_reads_about_the_server() {
    let bench = Bench::new();
    let reply = read(&bench, &person("ann"), ABOUT).await;
    let text = reply["result"]["contents"][0]["text"].as_str().unwrap();
    let about: Value = serde_json::from_str(text).unwrap();
    assert_eq!(about["name"], "portcullis");
    assert_eq!(about["uptime_seconds"], 0);
    assert_eq!(
        about["tools"][0],
        json!({"name": "echo", "scopes": "mcp:read"})
    );
}

#[tokio::test]
async fn the_settings_exist_for_admins_only() {
    let bench = Bench::new();
    assert_eq!(listed(&bench, &person("ann")).await, [ABOUT]);
    assert_eq!(listed(&bench, &admin()).await, [ABOUT, SETTINGS]);
    let reply = read(&bench, &admin(), SETTINGS).await;
    assert_eq!(reply["result"]["cacheScope"], "private");
    let text = reply["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("https://mcp.example"));
}

#[tokio::test]
async fn a_hidden_resource_and_one_that_does_not_exist_are_refused_alike() {
    let bench = Bench::new();
    for uri in [SETTINGS, "portcullis://nothing", "file:///etc/passwd"] {
        let error = read(&bench, &person("ann"), uri).await["error"].clone();
        let expected =
            json!({"code": -32602, "message": "Resource not found", "data": {"uri": uri}});
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn the_usage_guide_names_every_tool_and_scope() {
    let bench = Bench::new();
    let ann = person("ann");
    let list = bench.ask(&ann, "prompts/list", json!({})).await.json();
    assert_eq!(list["result"]["prompts"][0]["name"], "usage-guide");
    let guide = bench
        .ask(&ann, "prompts/get", json!({"name": "usage-guide"}))
        .await
        .json();
    let text = guide["result"]["messages"][0]["content"]["text"]
        .as_str()
        .unwrap();
    for word in [
        "echo",
        "timestamp",
        "calculate",
        "note_add",
        "note_list",
        "mcp:infer",
    ] {
        assert!(text.contains(word), "{word}");
    }
    let error = bench
        .ask(&ann, "prompts/get", json!({"name": "other"}))
        .await
        .json();
    assert_eq!(error["error"]["code"], -32602);
}
