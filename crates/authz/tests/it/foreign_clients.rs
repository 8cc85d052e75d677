//! Client libraries of others, against the real router: discovery, code exchange, refresh,
//! revocation, introspection, user info, and the verification of the ID token.

use std::convert::Infallible;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, HttpRequest, HttpResponse,
    IntrospectionUrl, PkceCodeVerifier, RedirectUrl, RefreshToken, RevocationUrl, Scope,
    StandardRevocableToken, TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreUserInfoClaims};
use openidconnect::{IssuerUrl, Nonce, TokenResponse as _};
use portcullis_common::clock::Clock as _;
use portcullis_common::issuer::Issuer;
use portcullis_testkit::authz::{self, Authz, MCP};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{ALICE, Approve, CALLBACK, GATE, NATIVE, People, SITE};

const HTTPS: &str = "https://as.example";

async fn start() -> People {
    let database = TestDatabase::sqlite();
    let mut config = authz::config(database.config());
    config.authz.issuer = Issuer::parse(HTTPS).unwrap();
    People::start_with(database, config).await
}

/// Sends what a library wants to send to the router, and nowhere else.
async fn send(authz: Authz, request: HttpRequest) -> Result<HttpResponse, Infallible> {
    assert_eq!(request.uri().host(), Some("as.example"));
    let answer = authz.send(request.map(Body::from)).await;
    let mut response = HttpResponse::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

#[tokio::test]
async fn openidconnect_goes_the_whole_way() {
    let people = start().await;
    for (client_id, secret) in [(NATIVE, None), (SITE.0, Some(SITE.1))] {
        let server = people.authz.clone();
        let http = move |request| send(server.clone(), request);
        let issuer = IssuerUrl::new(HTTPS.to_owned()).unwrap();
        let metadata = CoreProviderMetadata::discover_async(issuer, &http)
            .await
            .unwrap();
        let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
        let client_id_owned = ClientId::new(client_id.to_owned());
        let client = CoreClient::from_provider_metadata(metadata, client_id_owned, secret)
            .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap());

        let approve = Approve {
            client_id,
            nonce: Some("n-7"),
            ..Approve::default()
        };
        let code = people.approve(approve).await;
        let tokens = client
            .exchange_code(AuthorizationCode::new(code.code))
            .unwrap()
            .set_pkce_verifier(PkceCodeVerifier::new(code.verifier))
            .request_async(&http)
            .await
            .unwrap();
        let clock = std::sync::Arc::clone(&people.authz.clock);
        let verifier = client.id_token_verifier().set_time_fn(move || {
            let seconds = u64::try_from(clock.now().seconds()).unwrap();
            (UNIX_EPOCH + Duration::from_secs(seconds)).into()
        });
        let claims = tokens
            .id_token()
            .unwrap()
            .claims(&verifier, &Nonce::new("n-7".to_owned()))
            .unwrap();
        assert_eq!(claims.subject().as_str(), ALICE);

        let subject = claims.subject().clone();
        let access = tokens.access_token().clone();
        let info: CoreUserInfoClaims = client
            .user_info(access, Some(subject))
            .unwrap()
            .request_async(&http)
            .await
            .unwrap();
        assert_eq!(info.preferred_username().unwrap().as_str(), "alice");

        let refreshed = client
            .exchange_refresh_token(tokens.refresh_token().unwrap())
            .unwrap()
            .add_scope(Scope::new("mcp:read".to_owned()))
            .request_async(&http)
            .await
            .unwrap();
        assert!(refreshed.refresh_token().is_some());
        assert_ne!(
            refreshed.access_token().secret(),
            tokens.access_token().secret()
        );
    }
}

#[tokio::test]
async fn oauth2_exchanges_refreshes_introspects_and_revokes() {
    let people = start().await;
    let server = people.authz.clone();
    let http = move |request| send(server.clone(), request);
    let url = |path: &str| format!("{HTTPS}{path}");
    let client = BasicClient::new(ClientId::new(SITE.0.to_owned()))
        .set_client_secret(ClientSecret::new(SITE.1.to_owned()))
        .set_auth_type(AuthType::BasicAuth)
        .set_token_uri(TokenUrl::new(url("/token")).unwrap())
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap())
        .set_revocation_url(RevocationUrl::new(url("/revoke")).unwrap());
    let gate = BasicClient::new(ClientId::new(GATE.0.to_owned()))
        .set_client_secret(ClientSecret::new(GATE.1.to_owned()))
        .set_introspection_url(IntrospectionUrl::new(url("/introspect")).unwrap());

    let approve = Approve {
        client_id: SITE.0,
        scope: "mcp:read mcp:write",
        ..Approve::default()
    };
    let code = people.approve(approve).await;
    let first = client
        .exchange_code(AuthorizationCode::new(code.code))
        .set_pkce_verifier(PkceCodeVerifier::new(code.verifier))
        .add_extra_param("resource", MCP)
        .request_async(&http)
        .await
        .unwrap();
    let scopes = first.scopes().unwrap();
    assert_eq!(scopes.len(), 2);
    let second = client
        .exchange_refresh_token(first.refresh_token().unwrap())
        .request_async(&http)
        .await
        .unwrap();
    let told = gate
        .introspect(second.access_token())
        .request_async(&http)
        .await
        .unwrap();
    assert!(told.active());
    assert_eq!(told.client_id().unwrap().as_str(), SITE.0);
    assert_eq!(told.sub(), Some(ALICE));

    let refresh = RefreshToken::new(second.refresh_token().unwrap().secret().clone());
    client
        .revoke_token(StandardRevocableToken::RefreshToken(refresh))
        .unwrap()
        .request_async(&http)
        .await
        .unwrap();
    let told = gate
        .introspect(second.access_token())
        .request_async(&http)
        .await
        .unwrap();
    assert!(!told.active());
    let refused = client
        .exchange_refresh_token(second.refresh_token().unwrap())
        .request_async(&http)
        .await
        .unwrap_err();
    let refused = format!("{refused:?}");
    assert!(refused.contains("error: invalid_grant"), "{refused}");
}
