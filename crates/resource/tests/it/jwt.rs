//! Access tokens (RFC 9068, RFC 8725): what is taken and what is refused, through the whole server.

use std::time::Duration;

use portcullis_common::config::SigningAlgorithm;
use portcullis_testkit::issuer::{TestIssuer, key};
use portcullis_testkit::resource::{IDENTIFIER, ISSUER, ProtectedServer};
use portcullis_testkit::token::{TokenDraft, public_forms, tampered};
use serde_json::json;

use crate::verdict::{accepted, refused};

const ALL: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Es256,
    SigningAlgorithm::EdDsa,
    SigningAlgorithm::Rs256,
];

#[tokio::test]
async fn a_good_token_of_each_algorithm_opens_the_door() {
    let server = ProtectedServer::start().await;
    server
        .issuer
        .publish(ALL.map(|algorithm| key(algorithm, 0)));
    for algorithm in ALL {
        accepted(&server, &server.token().key(key(algorithm, 0)).sign()).await;
    }
    let list = server
        .token()
        .claim("aud", json!(["https://x.test", IDENTIFIER]));
    accepted(&server, &list.sign()).await;
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_however_it_names_its_algorithm() {
    let server = ProtectedServer::start().await;
    let good = server.token().sign();
    let signature = good.rsplit_once('.').unwrap().1;
    for algorithm in ["none", "None", "nOnE", "NONE", "", " "] {
        let input = server.token().header("alg", algorithm).signing_input();
        for token in [format!("{input}."), format!("{input}.{signature}"), input] {
            refused(&server, &token).await;
        }
    }
    let input = server.token().without_header("alg").signing_input();
    refused(&server, &format!("{input}.")).await;
    refused(&server, &format!("{input}.{signature}")).await;
    refused(&server, &format!("{}.", good.rsplit_once('.').unwrap().0)).await;
    refused(
        &server,
        &server.token().header("alg", json!(["ES256"])).sign(),
    )
    .await;
    refused(&server, &server.token().header("alg", json!(null)).sign()).await;
}

#[tokio::test]
async fn a_secret_signature_made_with_the_published_key_is_refused() {
    let server = ProtectedServer::start().await;
    server
        .issuer
        .publish(ALL.map(|algorithm| key(algorithm, 0)));
    for algorithm in ALL {
        let key = key(algorithm, 0);
        for form in public_forms(&key) {
            for bits in [256, 384, 512] {
                let draft = server.token().key(key.clone());
                refused(&server, &draft.sign_with_secret(bits, &form)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_used() {
    let server = ProtectedServer::start().await;
    let evil = key(SigningAlgorithm::Es256, 9);
    let draft = server.token().key(evil.clone());
    refused(&server, &draft.sign()).await;
    let with_key = draft.header("jwk", evil.public_jwk().clone());
    refused(&server, &with_key.sign()).await;
    let own_kid = server.issuer.signing_key().kid().to_owned();
    refused(&server, &with_key.header("kid", own_kid).sign()).await;
}

#[tokio::test]
async fn an_address_in_a_token_is_never_fetched() {
    let server = ProtectedServer::start().await;
    accepted(&server, &server.token().sign()).await;
    let before = server.network.asked();
    for member in ["jku", "x5u"] {
        let draft = server.token().header(member, "https://trap.test/keys");
        refused(&server, &draft.sign()).await;
        refused(&server, &draft.key(key(SigningAlgorithm::Es256, 9)).sign()).await;
    }
    let chain = server.token().header("x5c", json!(["MIIB"]));
    refused(&server, &chain.sign()).await;
    let elsewhere = server.token().claim("iss", "https://trap.test");
    refused(&server, &elsewhere.sign()).await;
    let kid = server.token().header("kid", "https://trap.test/keys");
    refused(&server, &kid.sign()).await;
    assert_eq!(server.network.asked(), before);
    let own = format!("{ISSUER}/");
    assert!(before.iter().all(|url| url.starts_with(&own)), "{before:?}");
}

#[tokio::test]
async fn a_changed_signature_or_a_changed_part_is_refused() {
    let server = ProtectedServer::start().await;
    let token = server.token().sign();
    refused(&server, &tampered(&token)).await;
    let other = server.token().claim("sub", "root").sign();
    let parts: Vec<&str> = token.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    refused(&server, &[parts[0], others[1], parts[2]].join(".")).await;
    accepted(&server, &token).await;
    refused(&server, &tampered(&token)).await;
}

#[tokio::test]
async fn what_is_not_a_compact_token_is_refused() {
    let server = ProtectedServer::start().await;
    let good = server.token().sign();
    let parts: Vec<&str> = good.split('.').collect();
    for wrong in [
        "x".to_owned(),
        "..".to_owned(),
        "a.b.c.d.e".to_owned(),
        format!("{good}.{}", parts[2]),
        format!("{good}="),
        good.replacen('.', "..", 1),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
    ] {
        refused(&server, &wrong).await;
    }
}

#[tokio::test]
async fn a_header_member_that_changes_the_reading_is_refused() {
    let server = ProtectedServer::start().await;
    let token = || server.token();
    for draft in [
        token().header("crit", json!(["exp"])),
        token().header("crit", json!(["b64"])).header("b64", false),
        token().header("crit", json!([])),
        token().header("crit", json!("exp")),
        token().header("b64", false),
        token().header("b64", true),
        token().header("zip", "DEF"),
        token().header("enc", "A256GCM"),
    ] {
        refused(&server, &draft.sign()).await;
    }
}

#[tokio::test]
async fn only_the_type_of_an_access_token_passes_in_any_case() {
    let server = ProtectedServer::start().await;
    refused(&server, &server.token().without_header("typ").sign()).await;
    refused(&server, &server.token().header("typ", json!(7)).sign()).await;
    for wrong in [
        "JWT",
        "jwt",
        "dpop+jwt",
        "logout+jwt",
        "entity+jwt",
        "",
        "application/application/at+jwt",
        "text/at+jwt",
        "at+jwt ",
    ] {
        refused(&server, &server.token().header("typ", wrong).sign()).await;
    }
    for right in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/At+Jwt",
    ] {
        accepted(&server, &server.token().header("typ", right).sign()).await;
    }
}

#[tokio::test]
async fn another_kind_of_token_of_the_same_issuer_is_no_access_token() {
    let server = ProtectedServer::start().await;
    let evil = key(SigningAlgorithm::Es256, 9);
    let token = || server.token();
    let id_token = token().header("typ", "JWT").claim("aud", "inspector");
    let assertion = token()
        .header("typ", "client-authentication+jwt")
        .claim("iss", "inspector")
        .claim("sub", "inspector")
        .claim("aud", ISSUER);
    let proof = token()
        .header("typ", "dpop+jwt")
        .header("jwk", evil.public_jwk().clone())
        .claim("htm", "POST")
        .claim("htu", IDENTIFIER);
    let request_object = token()
        .header("typ", "oauth-authz-req+jwt")
        .claim("iss", "inspector")
        .claim("aud", ISSUER);
    for draft in [
        id_token.clone(),
        id_token.header("typ", "at+jwt"),
        assertion,
        proof,
        request_object,
    ] {
        refused(&server, &draft.sign()).await;
    }
    // A registration token, a code and a refresh token are opaque texts.
    refused(&server, "qzXx8pE2rU0cR6dV4bN1mK7jH3gF9sA5wY0tZ2iO8uL").await;
}

#[tokio::test]
async fn times_count_to_the_second_with_the_leeway_on_both_sides() {
    let server = ProtectedServer::start().await;
    let now = server.token().number("iat");
    for (claim, refused_at, accepted_at) in [
        ("exp", now - 30, now - 29),
        ("nbf", now + 31, now + 30),
        ("iat", now + 31, now + 30),
    ] {
        let token = |time: i64| {
            let draft = server.token().claim("iat", now - 100);
            draft.claim(claim, time).sign()
        };
        refused(&server, &token(refused_at)).await;
        accepted(&server, &token(accepted_at)).await;
    }
}

#[tokio::test]
async fn a_token_that_was_taken_before_is_refused_when_its_time_is_over() {
    let server = ProtectedServer::start().await;
    let draft = server.token();
    let token = draft.sign();
    let life = u64::try_from(draft.number("exp") - draft.number("iat")).unwrap();
    accepted(&server, &token).await;
    server.clock.advance(Duration::from_secs(life + 29));
    accepted(&server, &token).await;
    server.clock.advance(Duration::from_secs(1));
    refused(&server, &token).await;
}

#[tokio::test]
async fn a_leeway_that_was_configured_is_the_one_that_counts() {
    let leeway = Duration::from_secs(2);
    let server = ProtectedServer::start_with(|config| config.resource.leeway = leeway).await;
    let now = server.token().number("iat");
    let ended = |ago: i64| {
        server
            .token()
            .claim("iat", now - 100)
            .claim("exp", now - ago)
    };
    refused(&server, &ended(2).sign()).await;
    accepted(&server, &ended(1).sign()).await;
}

#[tokio::test]
async fn the_audience_must_name_this_server_and_nothing_stands_in_for_it() {
    let server = ProtectedServer::start().await;
    refused(&server, &server.token().without("aud").sign()).await;
    let for_us = server.token().without("aud").claim("azp", IDENTIFIER);
    refused(&server, &for_us.claim("client_id", IDENTIFIER).sign()).await;
    for wrong in [
        json!([]),
        json!(""),
        json!(null),
        json!(7),
        json!([IDENTIFIER, 7]),
        json!({ "aud": IDENTIFIER }),
        json!("https://other.test/mcp"),
        json!(["https://other.test/mcp"]),
        json!(ISSUER),
        json!("inspector"),
        json!("https://mcp.test"),
        json!("https://mcp.test/mcp/"),
        json!("https://MCP.test/mcp"),
        json!("https://mcp.test:443/mcp"),
        json!("https://mcp.test/mcp https://other.test"),
        json!("*"),
    ] {
        refused(&server, &server.token().claim("aud", wrong).sign()).await;
    }
}

#[tokio::test]
async fn the_issuer_is_compared_as_text_and_must_be_one_of_ours() {
    let stranger = TestIssuer::new("https://issuer.test/tenant-b");
    let server = ProtectedServer::start().await;
    // The other tenant signs with the very same key.
    refused(&server, &server.token_of(&stranger).sign()).await;
    refused(&server, &server.token().without("iss").sign()).await;
    for wrong in [
        json!("https://issuer.test/"),
        json!("https://ISSUER.test"),
        json!("https://issuer.test:443"),
        json!("http://issuer.test"),
        json!(""),
        json!([ISSUER]),
        json!(null),
    ] {
        refused(&server, &server.token().claim("iss", wrong).sign()).await;
    }
}

#[tokio::test]
async fn one_issuer_cannot_sign_for_another() {
    let (first, second) = (TestIssuer::new(ISSUER), TestIssuer::new("https://two.test"));
    let own = key(SigningAlgorithm::EdDsa, 1);
    second.publish([own.clone()]);
    second.sign_with(own.clone());
    let issuers = vec![first.clone(), second.clone()];
    let server = ProtectedServer::start_among(issuers, |_| {}).await;
    accepted(&server, &server.token_of(&first).sign()).await;
    accepted(&server, &server.token_of(&second).sign()).await;
    refused(&server, &server.token_of(&first).key(own).sign()).await;
}

#[tokio::test]
async fn a_repeated_member_in_header_or_claims_is_refused() {
    let server = ProtectedServer::start().await;
    for member in [
        r#""aud":"https://mcp.test/mcp""#,
        r#""exp":9999999999"#,
        r#""sub":"root""#,
        r#""\u0073ub":"root""#,
        r#""scope":"mcp:admin""#,
    ] {
        refused(&server, &server.token().and_again(member).sign()).await;
    }
    let kid = server.issuer.signing_key().kid().to_owned();
    let twice = format!(r#"{{"typ":"JWT","typ":"at+jwt","alg":"ES256","kid":"{kid}"}}"#);
    refused(&server, &server.token().raw_header(&twice).sign()).await;
    let unlike = format!(r#"{{"alg":"none","typ":"at+jwt","alg":"ES256","kid":"{kid}"}}"#);
    refused(&server, &server.token().raw_header(&unlike).sign()).await;
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_is_a_refusal_and_never_an_absence() {
    let server = ProtectedServer::start().await;
    let now = server.token().number("iat");
    for (claim, wrong) in [
        ("exp", json!(1e300)),
        ("exp", json!(9_999_999_999_999_i64)),
        ("exp", json!(f64::from(2_000_000_000))),
        ("exp", json!((now + 600).to_string())),
        ("exp", json!(-1)),
        ("exp", json!(null)),
        ("exp", json!([now + 600])),
        ("nbf", json!("0")),
        ("nbf", json!(null)),
        ("iat", json!(null)),
        ("iat", json!(true)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("client_id", json!(["a"])),
        ("client_id", json!("")),
        ("scope", json!(["mcp:read", "mcp:write"])),
        ("scope", json!("mcp:read  \"x\"")),
        ("roles", json!("admin")),
        ("roles", json!([1])),
        ("email_verified", json!("true")),
    ] {
        refused(&server, &server.token().claim(claim, wrong).sign()).await;
    }
    for claim in ["exp", "iat", "sub"] {
        refused(&server, &server.token().without(claim).sign()).await;
    }
    let text = server.token().raw_claims("[]");
    refused(&server, &text.sign()).await;
    refused(&server, &server.token().raw_claims("{\"iss\":").sign()).await;
}

#[tokio::test]
async fn a_huge_token_costs_nothing() {
    let server = ProtectedServer::start().await;
    accepted(&server, &server.token().sign()).await;
    let before = server.network.asked();
    for kilobytes in [8, 64, 1024] {
        refused(&server, &"x".repeat(kilobytes * 1024)).await;
        let padded = server.token().claim("pad", "x".repeat(kilobytes * 1024));
        if kilobytes > 8 {
            refused(&server, &padded.sign()).await;
        }
    }
    // An encrypted token that asks for a key derivation of two thousand million rounds.
    let header = json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_000_000_000_u32, "p2s": "AA"});
    let draft = server.token().raw_header(&header.to_string());
    refused(&server, &format!("{}.AA.AA.AA", draft.signing_input())).await;
    refused(&server, &draft.sign()).await;
    assert_eq!(server.network.asked(), before);
}

#[tokio::test]
async fn an_algorithm_that_is_not_on_the_list_is_refused_though_the_key_is_published() {
    let server = ProtectedServer::start_with(|config| {
        config.resource.authorization_servers[0].algorithms = vec!["ES256".to_owned()];
    })
    .await;
    server
        .issuer
        .publish(ALL.map(|algorithm| key(algorithm, 0)));
    accepted(&server, &server.token().sign()).await;
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256] {
        refused(&server, &server.token().key(key(algorithm, 0)).sign()).await;
    }
    let confused: TokenDraft = server.token().header("alg", "ES384");
    refused(&server, &confused.sign()).await;
}
