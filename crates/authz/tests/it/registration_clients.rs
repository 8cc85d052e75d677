//! Clients that registered themselves, as long as they live: what real ones send, who knows them,
//! when they end.

use std::collections::HashSet;
use std::time::Duration;

use portcullis_authz::clients::{ClientId, admin};
use portcullis_authz::jobs;
use portcullis_testkit::authz::{Authz, FORM};
use portcullis_testkit::database::{FaultyLink, Link, TestDatabase};
use portcullis_testkit::{authz, on_both_engines};
use serde_json::{Value, json};

use crate::registration::{confidential, count, public, registered, with};

const GRANT: &str = "grant_type=client_credentials";

/// What the registration of each client was, with a proxy in between; `PORT` is a port that the
/// client chose.
const RECORDED: [(&str, &str); 16] = [
    (
        "python-mcp 2.3.0",
        r#"{"response_types": ["code"], "scope": "mcp:read offline_access", "client_name": "python",
            "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "application_type": "native"}"#,
    ),
    (
        "python-mcp 1.30.0",
        r#"{"redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "scope": "mcp:read", "client_name": "python"}"#,
    ),
    (
        "fastmcp 4.1.1",
        r#"{"response_types": ["code"], "scope": "mcp:read offline_access",
            "client_name": "FastMCP Client", "redirect_uris": ["http://localhost:PORT/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "application_type": "native"}"#,
    ),
    (
        "rmcp 3.8.0",
        r#"{"client_name": "rmcp", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none", "response_types": ["code"],
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
    ),
    (
        "typescript 1.32.2",
        r#"{"client_name": "typescript", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "scope": "mcp:read"}"#,
    ),
    (
        "typescript 2.4.0",
        r#"{"client_name": "typescript", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "application_type": "native",
            "scope": "mcp:read offline_access"}"#,
    ),
    (
        "oauth4webapi 3.8.8",
        r#"{"client_name": "oauth4webapi", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "application_type": "native", "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}"#,
    ),
    (
        "openid-client 6.8.9",
        r#"{"client_name": "openid-client", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "application_type": "native", "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}"#,
    ),
    (
        "go-sdk 1.8.0",
        r#"{"redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "client_name": "go",
            "application_type": "native"}"#,
    ),
    (
        "mcp-remote 0.15.1",
        r#"{"redirect_uris": ["http://localhost:PORT/oauth/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "client_name": "MCP CLI Proxy",
            "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
            "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d", "software_version": "0.15.1",
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
    ),
    (
        "inspector 2.12.0",
        r#"{"redirect_uris": ["http://127.0.0.1:6276/oauth/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "client_name": "MCP Inspector",
            "client_uri": "https://github.com/modelcontextprotocol/inspector",
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
    ),
    (
        "mcporter 0.12.3",
        r#"{"client_name": "mcporter ", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "scope": "mcp:read"}"#,
    ),
    (
        "claude-code 2.1.329",
        r#"{"client_name": "Claude Code ", "redirect_uris": ["http://localhost:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "application_type": "native",
            "scope": "mcp:read offline_access"}"#,
    ),
    (
        "codex 0.169.0",
        r#"{"client_name": "Codex", "redirect_uris": ["http://127.0.0.1:PORT/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none", "response_types": ["code"],
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
    ),
    (
        "opencode 1.18.33",
        r#"{"redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
            "client_name": "OpenCode", "client_uri": "https://opencode.ai",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "scope": "mcp:read offline_access"}"#,
    ),
    (
        "gemini-cli 0.61.0",
        r#"{"client_name": "Gemini CLI MCP Client",
            "redirect_uris": ["http://localhost:PORT/oauth/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "openid offline_access mcp:read mcp:write mcp:infer"}"#,
    ),
];

fn recorded(body: &str, port: u16) -> Value {
    serde_json::from_str(&body.replace("PORT", &port.to_string())).unwrap()
}

on_both_engines! {
    async fn every_recorded_client_registers_at_first_try_and_is_recognised_at_the_second(database) {
        let authz = Authz::start(&database).await;
        for (client, body) in RECORDED {
            let first = registered(&authz, &recorded(body, 40_001)).await;
            let sent = recorded(body, 50_002);
            let second = registered(&authz, &sent).await;
            for (name, value) in sent.as_object().unwrap() {
                assert_eq!(&second[name], value, "{client}: {name}");
            }
            assert_eq!(second["response_types"], json!(["code"]), "{client}");
            let is_public = sent["token_endpoint_auth_method"] == "none";
            assert_eq!(first["client_id"] == second["client_id"], is_public, "{client}");
            assert_eq!(second.get("client_secret").is_none(), is_public, "{client}");
            authz.clock.advance(Duration::from_secs(10));
        }
    }

    async fn every_server_knows_a_new_client_at_once_and_forgets_a_removed_one(database) {
        let here = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        let client = registered(&here, &confidential()).await;
        let id = client["client_id"].as_str().unwrap();
        let basic = Some((id, client["client_secret"].as_str().unwrap()));
        for authz in [&here, &elsewhere] {
            // It may not use this grant, and to be told so it has to be known.
            authz.token(basic, GRANT).await.expect_error(400, "unauthorized_client");
        }
        let (store, config) = (here.state.store(), &here.state.config().authz);
        admin::remove(store, config, here.clock.as_ref(), id).await.unwrap();
        for authz in [&here, &elsewhere] {
            authz.state.refresh().await.unwrap();
            authz.token(basic, GRANT).await.expect_error(401, "invalid_client");
        }
    }

    async fn a_client_that_nobody_used_ends_and_is_then_as_unknown_as_any_other(database) {
        let authz = Authz::start(&database).await;
        let client = registered(&authz, &confidential()).await;
        let used = registered(&authz, &with(public(), &json!({ "client_name": "used" }))).await;
        let again = registered(&authz, &public()).await;
        let id = client["client_id"].as_str().unwrap();
        let basic = Some((id, client["client_secret"].as_str().unwrap()));
        let used_id = ClientId::parse(used["client_id"].as_str().unwrap()).unwrap();
        authz.clock.advance(Duration::from_hours(23));
        let now = portcullis_common::clock::Clock::now(authz.clock.as_ref());
        authz.state.store().mark_client_used(&used_id, now).await.unwrap();
        // Registering again counts like registering.
        registered(&authz, &public()).await;
        jobs::tick(&authz.state).await;
        assert_eq!(count(&authz).await, 3);
        authz.token(basic, GRANT).await.expect_error(400, "unauthorized_client");

        authz.clock.advance(Duration::from_hours(1));
        jobs::tick(&authz.state).await;
        assert_eq!(count(&authz).await, 2);
        let reaped = authz.token(basic, GRANT).await;
        let unknown = authz.token(Some(("nobody", "x")), GRANT).await;
        reaped.expect_error(401, "invalid_client");
        assert_eq!((reaped.headers, reaped.body), (unknown.headers, unknown.body));

        authz.clock.advance(Duration::from_hours(1000));
        jobs::tick(&authz.state).await;
        assert_eq!(count(&authz).await, 1, "the one that was used");
        let new = registered(&authz, &public()).await;
        assert_ne!(new["client_id"], again["client_id"]);
    }
}

#[tokio::test]
async fn what_operators_made_is_never_swept_and_a_sweep_does_a_bounded_amount() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    registered(&authz, &confidential()).await;
    database
        .execute(
            "INSERT INTO registered_clients
                 (client_id, metadata, secret_hash, registration_token_hash, created_at, renewed_at)
             WITH RECURSIVE numbers (number) AS
                  (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 600)
             SELECT 'many-' || number, metadata, secret_hash, registration_token_hash, 1, 1
               FROM registered_clients, numbers",
        )
        .await;
    jobs::tick(&authz.state).await;
    assert_eq!(count(&authz).await, 101);
    jobs::tick(&authz.state).await;
    assert_eq!(count(&authz).await, 1);
    authz.issue().await;
}

#[tokio::test]
async fn while_the_store_is_away_nobody_registers_and_afterwards_everybody_does() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let link = FaultyLink::to(&database).await;
    let authz = Authz::start_with(authz::config(link.database().config())).await;
    link.set(Link::Down).await;
    for metadata in [public(), confidential()] {
        let refused = authz.register(&metadata).await;
        refused.expect_error(503, "temporarily_unavailable");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let request = http::Request::post("/token")
        .header("content-type", FORM)
        .body(axum::body::Body::from(format!("{GRANT}&client_id=nobody")));
    authz
        .send(request.unwrap())
        .await
        .expect_error(503, "temporarily_unavailable");
    link.set(Link::Up).await;
    for metadata in [public(), confidential()] {
        registered(&authz, &metadata).await;
    }
    assert_eq!(count(&authz).await, 2);
}

#[tokio::test]
async fn two_thousand_secrets_ids_and_registration_tokens_are_all_different() {
    let database = TestDatabase::sqlite();
    let mut config = authz::config(database.config());
    config.authz.registration_per_minute = 1000;
    let authz = Authz::start_with(config).await;
    let mut seen = HashSet::new();
    for round in 0..40 {
        if round % 10 == 9 {
            authz.clock.advance(Duration::from_mins(1));
        }
        // Together, because the store writes together what comes together.
        let registering: Vec<_> = (0..50)
            .map(|_| {
                let authz = authz.clone();
                tokio::spawn(async move { registered(&authz, &confidential()).await })
            })
            .collect();
        for client in registering {
            let client = client.await.unwrap();
            for (member, length) in [
                ("client_secret", 43),
                ("registration_access_token", 43),
                ("client_id", 22),
            ] {
                let text = client[member].as_str().unwrap();
                // Base64url: 256 bits for secrets, 128 for ids.
                assert_eq!(text.len(), length, "{member}: {text}");
                assert!(seen.insert(text[..8].to_owned()), "{member}: {text}");
            }
        }
    }
    assert_eq!(seen.len(), 6000);
}
