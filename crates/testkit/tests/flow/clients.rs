//! Clients of others: rmcp with a token, and rmcp that finds its own way to one.

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, ClientCredentialsConfig, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientServiceExt as _, RoleClient};
use serde_json::json;

use crate::product::{AGENT, Place, Product};

/// A connected client.
pub(crate) type Client = RunningService<RoleClient, ()>;

const SCOPES: &str = "mcp:read mcp:write";

/// rmcp's client with this token.
pub(crate) async fn connect(
    product: &Product,
    token: &str,
    lifecycle: ClientLifecycleMode,
) -> Client {
    let config = StreamableHttpClientTransportConfig::with_uri(product.mcp()).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    ().serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

/// The lifecycle of the newest revision.
pub(crate) fn newest() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    }
}

async fn lists_and_calls(client: &Client) {
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(
        names,
        ["echo", "timestamp", "calculate", "note_add", "note_list"]
    );
    let arguments = json!({ "operation": "multiply", "operands": [4, 15] });
    let request = CallToolRequestParams::new("calculate")
        .with_arguments(arguments.as_object().unwrap().clone());
    let result = client.call_tool(request).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    let answer = result.structured_content.unwrap();
    assert_eq!(answer["result"].as_f64(), Some(60.0), "{answer}");
}

#[tokio::test]
async fn the_rust_sdk_lists_and_calls_tools_on_both_revisions() {
    let place = Place::new();
    let product = place.start().await;
    let token = product.token(SCOPES).await;
    for (lifecycle, version) in [
        (newest(), ProtocolVersion::V_2026_07_28),
        (
            ClientLifecycleMode::Initialize,
            ProtocolVersion::V_2025_11_25,
        ),
    ] {
        let client = connect(&product, &token, lifecycle).await;
        let info = client.peer_info().unwrap();
        assert_eq!(info.protocol_version, version);
        lists_and_calls(&client).await;
        client.cancel().await.unwrap();
    }
    product.stop().await;
}

#[tokio::test]
async fn the_rust_sdk_finds_the_issuer_and_logs_in_by_itself() {
    let place = Place::new();
    let product = place.start().await;
    let mut state = OAuthState::new(product.mcp(), None).await.unwrap();
    let credentials = ClientCredentialsConfig::ClientSecret {
        client_id: AGENT.0.to_owned(),
        client_secret: AGENT.1.to_owned(),
        scopes: SCOPES.split(' ').map(str::to_owned).collect(),
        resource: Some(product.mcp()),
    };
    state
        .authenticate_client_credentials(credentials)
        .await
        .unwrap();
    let manager = state.into_authorization_manager().unwrap();
    let http = AuthClient::new(reqwest::Client::default(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(product.mcp());
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let client = ().serve_with_lifecycle(transport, newest()).await.unwrap();
    lists_and_calls(&client).await;
    client.cancel().await.unwrap();
    product.stop().await;
}

#[tokio::test]
async fn a_token_with_too_little_scope_lists_but_does_not_call() {
    let place = Place::new();
    let product = place.start().await;
    let token = product.token("mcp:read").await;
    let client = connect(&product, &token, newest()).await;
    assert_eq!(client.list_all_tools().await.unwrap().len(), 5);
    let arguments = json!({ "operation": "add", "operands": [1, 2] });
    let request = CallToolRequestParams::new("calculate")
        .with_arguments(arguments.as_object().unwrap().clone());
    let refused = client.call_tool(request).await.unwrap_err().to_string();
    assert!(refused.contains("Insufficient scope"), "{refused}");
    client.cancel().await.unwrap();
    product.stop().await;
}
