use http::HeaderValue;
use serde_json::json;

use super::*;

const ID: &str = "https://client.test/app.json";

fn good() -> Value {
    json!({
        "client_id": ID,
        "client_name": "App",
        "redirect_uris": ["http://127.0.0.1/cb", "https://client.test/cb"],
        "token_endpoint_auth_method": "none",
    })
}

fn response(content_type: &str, body: &str) -> GuardedResponse {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    GuardedResponse {
        status: StatusCode::OK,
        headers,
        body: body.as_bytes().to_vec(),
    }
}

fn judge(response: &GuardedResponse) -> Result<Client, DocumentFault> {
    let url = DocumentUrl::parse(ID).unwrap();
    read(
        &url,
        response,
        &["cursor".to_owned()],
        Timestamp::from_seconds(1),
    )
}

/// The good document with one member changed, or taken out with null.
fn with(name: &str, value: Value) -> Result<Client, DocumentFault> {
    let mut document = good();
    let members = document.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    judge(&response("application/json", &document.to_string()))
}

#[test]
fn a_good_document_is_a_public_client_with_code_and_refresh() {
    let client = judge(&response("application/json", &good().to_string())).unwrap();
    assert_eq!(client.id.as_str(), ID);
    assert_eq!(client.name, "App");
    assert!(client.is_public() && client.is_self_registered());
    assert!(client.allows_grant(portcullis_common::config::GrantType::RefreshToken));
    assert!(matches!(&client.origin, ClientOrigin::Document { host, .. } if host == "client.test"));
    // The method may be left out, and what nobody knows is ignored.
    assert!(with("token_endpoint_auth_method", Value::Null).is_ok());
    assert_eq!(with("x_unknown", json!([1])).unwrap(), client);
}

#[test]
fn a_change_of_what_is_read_changes_the_digest() {
    let digest = |client: Client| client.digest();
    let first = digest(with("x", json!(1)).unwrap());
    for (name, value) in [
        ("client_name", json!("App ")),
        ("redirect_uris", json!(["https://client.test/cb"])),
        ("logo_uri", json!("https://client.test/logo")),
        ("client_uri", json!("https://client.test/")),
        ("scope", json!("mcp:read")),
    ] {
        assert_ne!(digest(with(name, value).unwrap()), first, "{name}");
    }
}

#[test]
fn the_client_id_is_the_url_character_by_character() {
    for other in [
        json!("https://other.test/app.json"),
        json!("https://CLIENT.test/app.json"),
        json!("https://client.test:443/app.json"),
        json!("https://client.test/app.json/"),
        json!("https://client.test/app%2Ejson"),
        json!("https://client.test/app.json "),
        json!("http://client.test/app.json"),
        json!([ID]),
        Value::Null,
    ] {
        let fault = with("client_id", other.clone()).unwrap_err();
        assert_eq!(fault, DocumentFault::OtherClientId, "{other}");
    }
}

#[test]
fn secrets_and_methods_that_need_one_are_refused() {
    for method in [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "",
    ] {
        let fault = with("token_endpoint_auth_method", json!(method)).unwrap_err();
        assert_eq!(fault, DocumentFault::AuthMethod, "{method}");
    }
    for (name, value) in [
        ("client_secret", json!("x")),
        ("client_secret", json!("")),
        ("client_secret_expires_at", json!(0)),
    ] {
        assert_eq!(with(name, value).unwrap_err(), DocumentFault::ClientSecret);
    }
    for key in [
        json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "d"}),
        json!({"kty": "oct", "k": "k"}),
    ] {
        assert!(with("jwks", json!({"keys": [key]})).is_err());
    }
}

#[test]
fn what_is_needed_may_not_be_missing_and_redirect_uris_obey_the_rules() {
    assert_eq!(
        with("client_name", Value::Null).unwrap_err(),
        DocumentFault::NameMissing
    );
    for uris in [
        Value::Null,
        json!([]),
        json!("https://client.test/cb"),
        json!(["javascript:alert(1)"]),
        json!(["http://client.test/cb"]),
        json!(["https://client.test/*"]),
        json!(["https://client.test/cb#x"]),
        json!([1]),
    ] {
        let fault = with("redirect_uris", uris.clone()).unwrap_err();
        assert!(matches!(fault, DocumentFault::Metadata(_)), "{uris}");
    }
}

#[test]
fn only_an_unencoded_200_with_json_inside_is_read() {
    let body = good().to_string();
    for right in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/client-metadata+json",
    ] {
        assert!(judge(&response(right, &body)).is_ok(), "{right}");
    }
    for wrong in [
        "text/html",
        "text/plain",
        "application/jsonx",
        "text/x+json",
        "",
    ] {
        let fault = judge(&response(wrong, &body)).unwrap_err();
        assert_eq!(fault, DocumentFault::MediaType, "{wrong}");
    }
    for status in [
        201, 202, 203, 204, 206, 301, 302, 303, 304, 307, 308, 404, 410, 500, 503,
    ] {
        let mut other = response("application/json", &body);
        other.status = StatusCode::from_u16(status).unwrap();
        assert_eq!(
            judge(&other).unwrap_err(),
            DocumentFault::Status(other.status)
        );
    }
    let mut encoded = response("application/json", &body);
    encoded
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(judge(&encoded).unwrap_err(), DocumentFault::Encoded);
    for broken in [
        "",
        "{",
        "[]",
        "null",
        "{\"client_id\":1,\"client_id\":2}",
        "\u{feff}{}",
    ] {
        let fault = judge(&response("application/json", broken)).unwrap_err();
        assert!(matches!(fault, DocumentFault::NotAnObject(_)), "{broken}");
    }
}
