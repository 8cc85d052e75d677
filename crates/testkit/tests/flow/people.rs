//! rmcp's own client goes the whole way with a person: 401, metadata, registration, login and consent,
//! code, list, call, 403, step-up, refresh.

use std::error::Error;

use portcullis_testkit::website::{Page, TestAuthority, Website};
use rmcp::ClientServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationCallback, AuthorizationManager, AuthorizationRequest, OAuthState,
    OAuthTokenResponse,
};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, InsufficientScopeError, StreamableHttpClientTransportConfig,
};
use serde_json::json;

use crate::clients::{Client, newest};
use crate::person::Person;
use crate::product::{Place, Product};

const CALLBACK: &str = "http://127.0.0.1:3920/callback";
/// rmcp refreshes before every request while less than half a minute of lifetime is left.
const SHORT_LIFE: &str = "20s";

/// The challenge that a refusal carries.
fn challenge(refused: &(dyn Error + 'static)) -> String {
    let mut next = Some(refused);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<AuthRequiredError>() {
            return error.www_authenticate_header.clone();
        }
        if let Some(error) = error.downcast_ref::<InsufficientScopeError>() {
            return error.www_authenticate_header.clone();
        }
        next = error.source();
    }
    panic!("{refused} carries no challenge");
}

async fn connect(
    product: &Product,
    auth: AuthClient<reqwest::Client>,
    lifecycle: ClientLifecycleMode,
) -> Result<Client, ClientInitializeError> {
    let config = StreamableHttpClientTransportConfig::with_uri(product.mcp());
    let transport = StreamableHttpClientTransport::with_client(auth, config);
    ().serve_with_lifecycle(transport, lifecycle).await
}

/// Connects without a token; answers the challenge.
async fn turned_away(product: &Product, lifecycle: ClientLifecycleMode) -> String {
    let manager = AuthorizationManager::new(product.mcp()).await.unwrap();
    let auth = AuthClient::new(reqwest::Client::default(), manager);
    match connect(product, auth, lifecycle).await {
        Err(ClientInitializeError::TransportError { error, .. }) => challenge(error.error.as_ref()),
        other => panic!("{other:?}"),
    }
}

async fn calculate(client: &Client) -> Result<CallToolResult, ServiceError> {
    let arguments = json!({ "operation": "add", "operands": [10, 20, 30] });
    let request = CallToolRequestParams::new("calculate");
    let request = request.with_arguments(arguments.as_object().unwrap().clone());
    client.peer().call_tool(request).await
}

/// What the client holds now.
async fn tokens(auth: &AuthClient<reqwest::Client>) -> OAuthTokenResponse {
    let manager = auth.auth_manager.lock().await;
    let (_, tokens) = manager.get_credentials().await.unwrap();
    tokens.unwrap()
}

fn scope(tokens: &OAuthTokenResponse) -> Vec<String> {
    let scopes = oauth2::TokenResponse::scopes(tokens).unwrap();
    scopes.iter().map(|scope| scope.to_string()).collect()
}

/// The client asks for more, and the person consents to all of it.
async fn step_up(auth: &AuthClient<reqwest::Client>, person: &Person, wanted: &str) {
    let manager = auth.auth_manager.lock().await;
    let url = manager.request_scope_upgrade(wanted).await.unwrap();
    let callback = person.lets_in(&url, &[]).await;
    let answer = AuthorizationCallback::from_redirect_url(&callback).unwrap();
    let (code, state, issuer) = (answer.code, answer.csrf_token, answer.issuer);
    manager
        .exchange_code_for_token_with_issuer(&code, &state, issuer.as_deref())
        .await
        .unwrap();
}

/// From the first 401 to a client with a token that is too narrow to write.
async fn log_in(
    product: &Product,
    person: &Person,
    refused: String,
    request: AuthorizationRequest,
) -> AuthClient<reqwest::Client> {
    let mut state = OAuthState::new(product.mcp(), None).await.unwrap();
    let request = request.with_challenge(refused);
    state.start_authorization(request).await.unwrap();
    let url = state.get_authorization_url().await.unwrap();
    let callback = person.lets_in(&url, &["mcp:write"]).await;
    assert!(callback.starts_with(CALLBACK), "{callback}");
    state.handle_callback_url(&callback).await.unwrap();
    let manager = state.into_authorization_manager().unwrap();
    AuthClient::new(reqwest::Client::default(), manager)
}

async fn goes_the_whole_way(
    product: &Product,
    person: &Person,
    lifecycle: ClientLifecycleMode,
    revision: ProtocolVersion,
    request: AuthorizationRequest,
) {
    let refused = turned_away(product, lifecycle.clone()).await;
    assert!(refused.contains("resource_metadata="), "{refused}");
    let auth = log_in(product, person, refused, request).await;
    let narrow = tokens(&auth).await;
    // It asks for every scope of the resource's metadata beside those of the challenge.
    assert_eq!(scope(&narrow), ["mcp:infer", "mcp:read", "offline_access"]);

    let client = connect(product, auth.clone(), lifecycle).await.unwrap();
    assert_eq!(client.peer_info().unwrap().protocol_version, revision);
    assert_eq!(client.list_all_tools().await.unwrap().len(), 5);
    let refreshed = tokens(&auth).await;
    let access = |tokens: &OAuthTokenResponse| {
        let token = oauth2::TokenResponse::access_token(tokens);
        token.secret().clone()
    };
    assert_ne!(access(&refreshed), access(&narrow));
    assert_eq!(scope(&refreshed), scope(&narrow));

    let Err(ServiceError::TransportSend(error)) = calculate(&client).await else {
        panic!("it was let through");
    };
    let refused = challenge(error.error.as_ref());
    assert!(refused.contains("insufficient_scope"), "{refused}");
    let (_, wanted) = refused.split_once("scope=\"").unwrap();
    step_up(&auth, person, wanted.split('"').next().unwrap()).await;
    let result = calculate(&client).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    let wide = tokens(&auth).await;
    assert!(scope(&wide).contains(&"mcp:write".to_owned()), "{wide:?}");
    client.cancel().await.unwrap();
}

fn revisions() -> [(ClientLifecycleMode, ProtocolVersion); 2] {
    [
        (newest(), ProtocolVersion::V_2026_07_28),
        (
            ClientLifecycleMode::Initialize,
            ProtocolVersion::V_2025_11_25,
        ),
    ]
}

#[tokio::test]
async fn the_rust_sdk_registers_and_goes_the_whole_way_with_a_person() {
    let place = Place::with_tokens_of(SHORT_LIFE);
    let product = place.start().await;
    let person = Person::of(&product).await;
    for (lifecycle, revision) in revisions() {
        let request = AuthorizationRequest::new(CALLBACK).with_client_name("rmcp");
        goes_the_whole_way(&product, &person, lifecycle, revision, request).await;
    }
    product.stop().await;
}

/// A site with the document of a client that is called rmcp; answers the URL of the document too.
async fn publishes_a_document(authority: &TestAuthority) -> (Website, String) {
    let site = Website::start(authority.certify(&["localhost"])).await;
    let url = format!("https://localhost:{}/rmcp.json", site.address().port());
    let document = json!({
        "client_id": url,
        "client_name": "rmcp",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    site.publish("/rmcp.json", Page::json(&document));
    (site, url)
}

#[tokio::test]
async fn the_rust_sdk_goes_the_whole_way_with_a_metadata_document_where_nobody_registers() {
    let authority = TestAuthority::new("flow");
    let place = Place::with_tokens_of(SHORT_LIFE).fetching_documents(&authority);
    let product = place.start().await;
    let metadata = product.get("/.well-known/oauth-authorization-server").await;
    assert!(metadata["registration_endpoint"].is_null(), "{metadata}");
    let person = Person::of(&product).await;
    for (lifecycle, revision) in revisions() {
        let (site, document) = publishes_a_document(&authority).await;
        let request = AuthorizationRequest::new(CALLBACK).with_client_metadata_url(document);
        goes_the_whole_way(&product, &person, lifecycle, revision, request).await;
        let host = format!("localhost:{}", site.address().port());
        assert_eq!(site.requests(), [format!("{host}/rmcp.json")]);
    }
    product.stop().await;
}
