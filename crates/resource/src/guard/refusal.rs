//! Every way in which the guard says no, and the one place where it becomes an answer.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::Challenge;

/// Why a request was not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token is missing, bad or too weak.
    Challenge(Challenge),
    /// No key of the token's issuer is at hand now.
    KeysUnavailable,
    /// The message is malformed: a JSON-RPC error.
    Message {
        /// The JSON-RPC error code.
        code: i32,
        /// What is wrong, and what to do.
        message: String,
        /// The id of the request, where it could be read.
        id: Value,
    },
    /// The session does not exist for this caller.
    UnknownSession {
        /// The id of the request.
        id: Value,
    },
    /// Anything else: an OAuth-like body with a code and a sentence.
    Plain {
        /// The status.
        status: StatusCode,
        /// The code.
        error: &'static str,
        /// What is wrong, and what to do.
        text: String,
    },
}

/// The code of a token that is good, of the wrong kind of caller.
const ACCESS_DENIED: &str = "access_denied";
/// JSON-RPC: the message is not a request we can take.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC: the body is not JSON.
pub(super) const PARSE_ERROR: i32 = -32700;
/// MCP 2026-07-28: a header and the body disagree.
pub(super) const HEADER_MISMATCH: i32 = -32020;

impl Refusal {
    fn plain(status: StatusCode, error: &'static str, text: impl Into<String>) -> Self {
        Self::Plain {
            status,
            error,
            text: text.into(),
        }
    }

    /// No `Host`, two, or one that contradicts the target.
    pub(super) fn bad_host() -> Self {
        let text = "Name exactly one host, in the Host header.";
        Self::plain(StatusCode::BAD_REQUEST, "invalid_request", text)
    }

    /// A `Host` that is not ours; `right` is the URL to use (RFC 9110 §15.5.20).
    pub(super) fn misdirected(right: &str) -> Self {
        let text = format!("This server does not answer for that host. Use {right}.");
        Self::plain(StatusCode::MISDIRECTED_REQUEST, "misdirected_request", text)
    }

    /// An `Origin` that is not on the list.
    pub(super) fn foreign_origin() -> Self {
        let text =
            "Web pages of that origin may not call this server. Its operator can allow them.";
        Self::plain(StatusCode::FORBIDDEN, "origin_not_allowed", text)
    }

    /// A client's own token where a person is needed.
    pub(super) fn needs_user() -> Self {
        let text = "This operation needs a person: use a token that a user gave the client.";
        Self::plain(StatusCode::FORBIDDEN, ACCESS_DENIED, text)
    }

    /// The body is larger than the limit, in bytes.
    pub(super) fn too_large(limit: usize) -> Self {
        let text = format!("The body is larger than {limit} bytes. Send less.");
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", text)
    }

    /// The body is not JSON, or compressed.
    pub(super) fn media_type() -> Self {
        let text = "Send the body as application/json, not compressed.";
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", text)
    }

    /// The body did not arrive whole.
    pub(super) fn incomplete() -> Self {
        let text = "The body did not arrive whole. Send the request again.";
        Self::plain(StatusCode::REQUEST_TIMEOUT, "invalid_request", text)
    }

    /// The body does not fit the plain HTTP view.
    pub(super) fn bad_body(text: &str) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "invalid_request", text)
    }

    /// Whether it says that this caller may not do this, and not that the request is broken, that
    /// nobody called, or that we cannot tell.
    pub(super) fn is_about_caller(&self) -> bool {
        match self {
            Self::Challenge(challenge) => challenge.names_error(),
            Self::UnknownSession { .. } => true,
            Self::Plain { error, .. } => *error == ACCESS_DENIED,
            Self::KeysUnavailable | Self::Message { .. } => false,
        }
    }

    /// The word under which it is counted.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Challenge(challenge) => challenge.label(),
            Self::KeysUnavailable => "keys_unavailable",
            Self::Message { .. } => "malformed_message",
            Self::UnknownSession { .. } => "unknown_session",
            Self::Plain { error, .. } => error,
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        match self {
            Self::Challenge(challenge) => challenge.into_response(),
            Self::Plain {
                status,
                error,
                text,
            } => plain_response(status, error, &text),
            Self::Message { code, message, id } => {
                rpc_error(StatusCode::BAD_REQUEST, code, &message, &id)
            }
            // MCP 2025-11-25 (session management): 404 makes the client begin a new session. A
            // session of somebody else looks exactly like none.
            Self::UnknownSession { id } => rpc_error(
                StatusCode::NOT_FOUND,
                INVALID_REQUEST,
                "There is no such session. Begin a new one with initialize.",
                &id,
            ),
            Self::KeysUnavailable => {
                let text = "The keys of the token's issuer cannot be had now. Try again later.";
                let error = "temporarily_unavailable";
                let mut response = plain_response(StatusCode::SERVICE_UNAVAILABLE, error, text);
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("5"));
                response
            }
        }
    }
}

fn plain_response(status: StatusCode, error: &str, description: &str) -> Response<Body> {
    json_response(
        status,
        &json!({ "error": error, "error_description": description }),
    )
}

fn rpc_error(status: StatusCode, code: i32, message: &str, id: &Value) -> Response<Body> {
    let error = json!({ "code": code, "message": message });
    json_response(
        status,
        &json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    )
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
