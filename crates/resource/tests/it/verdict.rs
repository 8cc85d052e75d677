//! What the server says to a token, with everything that such an answer must and must not have.

use portcullis_testkit::answer::Answer;
use portcullis_testkit::resource::ProtectedServer;
use serde_json::json;

/// Where the challenge says that the metadata stands.
pub(crate) const METADATA: &str =
    "resource_metadata=\"https://mcp.test/.well-known/oauth-protected-resource/mcp\"";

/// The token opens the door.
#[track_caller]
pub(crate) fn accepted<'a>(
    server: &'a ProtectedServer,
    token: &'a str,
) -> impl Future<Output = ()> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let answer = server.echo(token).await;
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        let message = answer.message();
        let echo = &message["result"]["structuredContent"]["echo"];
        assert_eq!(echo, &json!("hi"), "{place}: {message}");
    }
}

/// The token is refused as RFC 6750 §3.1 and RFC 9728 §5.1 ask, and the answer gives nothing away.
#[track_caller]
pub(crate) fn refused<'a>(
    server: &'a ProtectedServer,
    token: &'a str,
) -> impl Future<Output = ()> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let answer = server.echo(token).await;
        assert_eq!(answer.status, 401, "{place}: {token}: {answer:?}");
        assert_invalid_token(&answer);
        let said = format!("{:?}{}", answer.headers, answer.text());
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(
                !said.contains(part),
                "{place}: the answer repeats the token"
            );
        }
    }
}

/// The challenge of a token that is no good.
pub(crate) fn assert_invalid_token(answer: &Answer) {
    answer.expect_error(401, "invalid_token");
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\", "),
        "{challenge}"
    );
    assert!(
        challenge.contains("scope=\"mcp:read mcp:write\""),
        "{challenge}"
    );
    assert!(challenge.ends_with(METADATA), "{challenge}");
}

/// Status and code of an answer that is a JSON-RPC error.
pub(crate) fn rpc_error(answer: &Answer) -> (u16, i64) {
    let code = answer.json()["error"]["code"].as_i64().unwrap();
    (answer.status.as_u16(), code)
}
