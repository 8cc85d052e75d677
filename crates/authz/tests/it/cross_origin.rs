//! CORS: any web page may call what programs call, without credentials, and never a page.

use axum::body::Body;
use http::Request;
use portcullis_testkit::authz::{Authz, BASIC, FORM, basic_header};
use portcullis_testkit::database::TestDatabase;

const ORIGIN: &str = "https://app.example";

#[tokio::test]
async fn a_web_page_of_any_origin_may_read_metadata_and_keys_and_ask_for_tokens() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let token = Request::post("/token")
        .header("content-type", FORM)
        .header("authorization", basic_header(BASIC.0, BASIC.1))
        .header("origin", ORIGIN)
        .body(Body::from("grant_type=client_credentials"))
        .unwrap();
    let get = |path: &str| {
        Request::get(path.to_owned())
            .header("origin", ORIGIN)
            .body(Body::empty())
            .unwrap()
    };
    let requests = [
        token,
        get("/jwks"),
        get("/.well-known/oauth-authorization-server"),
        get("/.well-known/openid-configuration"),
    ];
    for request in requests {
        let path = request.uri().path().to_owned();
        let answer = authz.send(request).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            "",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_refusal_can_be_read_by_the_page_that_got_it() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    let request = Request::post("/token")
        .header("origin", ORIGIN)
        .body(Body::empty())
        .unwrap();
    let answer = authz.send(request).await;
    answer.expect_error(415, "invalid_request");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(
        answer.header("access-control-expose-headers"),
        "www-authenticate,retry-after"
    );
}

#[tokio::test]
async fn a_preflight_allows_the_headers_that_clients_send() {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    for path in [
        "/token",
        "/revoke",
        "/userinfo",
        "/.well-known/oauth-authorization-server",
    ] {
        let preflight = Request::options(path)
            .header("origin", ORIGIN)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,mcp-protocol-version",
            )
            .body(Body::empty())
            .unwrap();
        let answer = authz.send(preflight).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "GET,POST");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "authorization,mcp-protocol-version"
        );
    }
    let preflight = Request::options("/authorize")
        .header("origin", ORIGIN)
        .header("access-control-request-method", "GET")
        .body(Body::empty())
        .unwrap();
    let answer = authz.send(preflight).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
