//! OAuth 2.1 §2.4 and §3.2: who may ask at the token endpoint, how, and what a refusal says.

use axum::body::Body;
use http::{Method, Request};
use portcullis_testkit::authz::{
    self, Authz, BASIC, FORM, POST, PUBLIC, WEB, basic_header, token_request,
};
use portcullis_testkit::database::TestDatabase;

const GRANT: &str = "grant_type=client_credentials";

async fn start() -> (TestDatabase, Authz) {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    (database, authz)
}

fn in_body((id, secret): (&str, &str)) -> String {
    format!("{GRANT}&client_id={id}&client_secret={secret}")
}

#[tokio::test]
async fn a_client_gets_a_token_with_its_registered_method() {
    let (_database, authz) = start().await;
    let with_header = authz.token(Some(BASIC), GRANT).await;
    let with_body = authz.token(None, &in_body(POST)).await;
    for answer in [with_header, with_body] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("set-cookie"), "");
        let body = answer.json();
        let names: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["access_token", "token_type", "expires_in", "scope"]);
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 600);
        assert_eq!(body["scope"], "mcp:read");
    }
}

#[tokio::test]
async fn the_client_id_may_be_repeated_in_the_body_beside_the_header() {
    let (_database, authz) = start().await;
    let same = format!("{GRANT}&client_id={}", BASIC.0);
    assert_eq!(authz.token(Some(BASIC), &same).await.status, 200);
    let other = format!("{GRANT}&client_id={}", POST.0);
    authz
        .token(Some(BASIC), &other)
        .await
        .expect_error(400, "invalid_request");
}

#[tokio::test]
async fn two_ways_to_authenticate_in_one_request_are_refused() {
    let (_database, authz) = start().await;
    authz
        .token(Some(BASIC), &in_body(BASIC))
        .await
        .expect_error(400, "invalid_request");
    let assertion = format!("{GRANT}&client_assertion_type=x&client_assertion=y");
    authz
        .token(Some(BASIC), &assertion)
        .await
        .expect_error(400, "invalid_request");
    let mut twice = token_request(Some(BASIC), GRANT);
    twice
        .headers_mut()
        .append("authorization", "Bearer x".parse().unwrap());
    authz.send(twice).await.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn unknown_clients_wrong_secrets_and_wrong_methods_look_alike() {
    let (_database, authz) = start().await;
    let mut refusals = Vec::new();
    for basic in [
        (BASIC.0, "wrong"),
        (BASIC.0, POST.1),
        (BASIC.0, ""),
        ("nobody", BASIC.1),
        POST,
        (PUBLIC, ""),
        (PUBLIC, "x"),
    ] {
        let answer = authz.token(Some(basic), GRANT).await;
        answer.expect_error(401, "invalid_client");
        assert_eq!(
            answer.header("www-authenticate"),
            "Basic realm=\"portcullis\", charset=\"UTF-8\""
        );
        refusals.push(answer.body);
    }
    for body in [
        in_body((POST.0, "wrong")),
        in_body(("nobody", "x")),
        in_body(BASIC),
        in_body((PUBLIC, "x")),
        format!("{GRANT}&client_id={}", BASIC.0),
        format!("{GRANT}&client_id={}", POST.0),
        format!("{GRANT}&client_id=nobody"),
        format!("{GRANT}&client_id={}&client_secret=", POST.0),
    ] {
        let answer = authz.token(None, &body).await;
        answer.expect_error(401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), "", "{body}");
        refusals.push(answer.body);
    }
    assert!(
        refusals.windows(2).all(|pair| pair[0] == pair[1]),
        "{refusals:?}"
    );
}

#[tokio::test]
async fn a_request_that_names_no_client_is_not_authenticated() {
    let (_database, authz) = start().await;
    authz
        .token(None, GRANT)
        .await
        .expect_error(401, "invalid_client");
    let secret = format!("{GRANT}&client_secret=x");
    authz
        .token(None, &secret)
        .await
        .expect_error(400, "invalid_request");
}

#[tokio::test]
async fn a_client_assertion_is_refused_by_name() {
    let (_database, authz) = start().await;
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let body = format!("{GRANT}&client_assertion_type={kind}&client_assertion=a.b.c");
    let answer = authz.token(None, &body).await;
    answer.expect_error(401, "invalid_client");
    assert!(answer.text().contains("private_key_jwt"));
}

#[tokio::test]
async fn broken_authorization_headers_are_refused() {
    let (_database, authz) = start().await;
    for value in [
        "Basic",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Basic Og==",
        "Basic JTp4",
        "Basic //86eA==",
        "Bearer abc",
        "Digest x",
    ] {
        let request = Request::post("/token")
            .header("content-type", FORM)
            .header("authorization", value)
            .body(Body::from(GRANT))
            .unwrap();
        let answer = authz.send(request).await;
        answer.expect_error(401, "invalid_client");
        assert!(
            answer.header("www-authenticate").starts_with("Basic "),
            "{value}"
        );
    }
}

#[tokio::test]
async fn id_and_secret_in_the_header_are_decoded_after_they_were_split() {
    let database = TestDatabase::sqlite();
    let mut config = authz::config(database.config());
    let (id, secret) = ("a:b%c+d", "s:e c%r+ét");
    let client = config.authz.clients.first_mut().unwrap();
    id.clone_into(&mut client.id);
    client.authentication = portcullis_common::config::Authentication::Secret(
        portcullis_common::config::TokenEndpointAuthMethod::ClientSecretBasic,
        portcullis_common::secret::ClientSecret::new(secret),
    );
    let authz = Authz::start_with(config).await;
    assert_eq!(authz.token(Some((id, secret)), GRANT).await.status, 200);
    let lower_case = basic_header(id, secret).replace("Basic", "bAsIc");
    let request = Request::post("/token")
        .header("content-type", FORM)
        .header("authorization", lower_case)
        .body(Body::from(GRANT))
        .unwrap();
    assert_eq!(authz.send(request).await.status, 200);
}

#[tokio::test]
async fn parameters_in_the_query_are_refused_even_when_they_are_right() {
    let (_database, authz) = start().await;
    let path = format!("/token?{}", in_body(POST));
    for body in [String::new(), in_body(POST)] {
        let request = Request::post(&path).header("content-type", FORM);
        let answer = authz.send(request.body(Body::from(body)).unwrap()).await;
        answer.expect_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn the_token_endpoint_has_one_method() {
    let (_database, authz) = start().await;
    for method in [
        Method::GET,
        Method::PUT,
        Method::HEAD,
        Method::DELETE,
        Method::PATCH,
    ] {
        let request = Request::builder().method(method.clone()).uri("/token");
        let answer = authz.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "POST", "{method}");
    }
}

#[tokio::test]
async fn every_parameter_may_stand_once() {
    let (_database, authz) = start().await;
    for name in [
        "grant_type",
        "scope",
        "client_id",
        "client_secret",
        "code",
        "unheard_of",
    ] {
        let body = format!("{}&{name}=x&{name}=x", in_body(POST));
        authz
            .token(None, &body)
            .await
            .expect_error(400, "invalid_request");
    }
    for body in [
        format!(
            "{GRANT}&{GRANT}&client_id={}&client_secret={}",
            POST.0, POST.1
        ),
        format!("{}&scope=mcp:read&%73cope=", in_body(POST)),
    ] {
        authz
            .token(None, &body)
            .await
            .expect_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let (_database, authz) = start().await;
    let body = format!("{GRANT}&audience=x&code_verifier=y&unheard_of=z");
    assert_eq!(authz.token(Some(BASIC), &body).await.status, 200);
}

#[tokio::test]
async fn only_a_form_of_bounded_size_is_read() {
    let (_database, authz) = start().await;
    for content_type in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
    ] {
        let request = Request::post("/token").header("content-type", content_type);
        let answer = authz
            .send(request.body(Body::from(in_body(POST))).unwrap())
            .await;
        answer.expect_error(415, "invalid_request");
    }
    let large = format!("{}&x={}", in_body(POST), "y".repeat(64 * 1024));
    authz
        .token(None, &large)
        .await
        .expect_error(413, "invalid_request");
    for broken in ["%", "%zz=1", "a=%ff", "a=%e2%82"] {
        authz
            .token(Some(BASIC), broken)
            .await
            .expect_error(400, "invalid_request");
    }
    let charset = Request::post("/token").header("content-type", format!("{FORM};charset=utf-8"));
    let answer = authz
        .send(charset.body(Body::from(in_body(POST))).unwrap())
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_grant_that_is_not_offered_is_refused() {
    let (_database, authz) = start().await;
    for (grant, code) in [
        ("password", "unsupported_grant_type"),
        ("implicit", "unsupported_grant_type"),
        ("CLIENT_CREDENTIALS", "unsupported_grant_type"),
        ("authorization_code", "unauthorized_client"),
        ("refresh_token", "unauthorized_client"),
        (
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "unsupported_grant_type",
        ),
        (
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "unsupported_grant_type",
        ),
        (
            "urn:ietf:params:oauth:grant-type:device_code",
            "unsupported_grant_type",
        ),
        (
            "urn:openid:params:grant-type:ciba",
            "unsupported_grant_type",
        ),
        ("", "invalid_request"),
    ] {
        let answer = authz
            .token(Some(BASIC), &format!("grant_type={grant}"))
            .await;
        answer.expect_error(400, code);
    }
    authz
        .token(Some(BASIC), "scope=mcp:read")
        .await
        .expect_error(400, "invalid_request");
}

#[tokio::test]
async fn a_client_uses_only_grants_it_is_registered_for_and_a_public_one_never_this() {
    let (_database, authz) = start().await;
    authz
        .token(Some(WEB), GRANT)
        .await
        .expect_error(400, "unauthorized_client");
    let public = format!("{GRANT}&client_id={PUBLIC}");
    authz
        .token(None, &public)
        .await
        .expect_error(400, "unauthorized_client");
}

#[tokio::test]
async fn an_endpoint_served_over_a_socket_answers_the_same() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_database, authz) = start().await;
    let address = authz.listen().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: {FORM}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{GRANT}",
        basic_header(BASIC.0, BASIC.1),
        GRANT.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
