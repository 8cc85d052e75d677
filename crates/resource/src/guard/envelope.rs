//! The message in a request: one JSON-RPC message, and headers that say what it says.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use portcullis_common::strict_json::{Json, Members};
use portcullis_common::trace::{TRACE_PARENT, TraceContext};
use serde_json::Value;

use super::refusal::{HEADER_MISMATCH, INVALID_REQUEST};
use super::{Operation, Refusal};

/// Maps a path of the plain HTTP view to the operation that means the same over MCP.
pub type OperationOf = fn(&str) -> Operation<'_>;

/// What the guarded service speaks.
#[derive(Clone, Copy, Debug)]
pub enum Surface {
    /// MCP over streamable HTTP.
    Mcp,
    /// The plain HTTP view of the same operations.
    Rest(OperationOf),
}

/// The first revision whose requests say everything themselves: no sessions.
const MODERN: &str = "2026-07-28";
/// What a batch is told.
pub(super) const NO_BATCH: &str = "Send one JSON-RPC message, not a batch.";
const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";

// Names made once: making one of a text costs as much as looking it up.
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What a request says.
#[derive(Debug)]
pub(super) enum Message<'a> {
    /// One JSON-RPC message, or none where the HTTP method has no body.
    Rpc(Option<Json<'a>>),
    /// A path of the plain HTTP view and the arguments of the body.
    Rest {
        operation_of: OperationOf,
        path: String,
        arguments: Json<'a>,
    },
}

impl Surface {
    pub(super) fn message<'a>(
        self,
        head: &Parts,
        parsed: Option<Json<'a>>,
    ) -> Result<Message<'a>, Refusal> {
        match (self, parsed) {
            (Self::Mcp, None) => Ok(Message::Rpc(None)),
            (Self::Mcp, Some(value)) => Message::single(value),
            (Self::Rest(operation_of), parsed) => {
                let arguments = parsed.unwrap_or_else(|| Json::Object(Members::default()));
                Ok(Message::Rest {
                    operation_of,
                    path: head.uri.path().to_owned(),
                    arguments,
                })
            }
        }
    }
}

impl<'a> Message<'a> {
    /// MCP (streamable HTTP): the body is one JSON-RPC message; a batch is refused whole.
    fn single(value: Json<'a>) -> Result<Self, Refusal> {
        let refuse = |message: &str, id: Option<&Json<'_>>| {
            Err(Refusal::Message {
                code: INVALID_REQUEST,
                message: message.to_owned(),
                id: id.map_or(Value::Null, |id| id.clone().into_value()),
            })
        };
        let Some(members) = value.as_object() else {
            return refuse(NO_BATCH, None);
        };
        let id = members.get("id");
        if id.is_some_and(|id| !matches!(id, Json::Text(_) | Json::Number(_))) {
            return refuse("The id must be a string or a number.", None);
        }
        if members.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
            return refuse("The member jsonrpc must be the string 2.0.", id);
        }
        let is_answer = members.contains("result") || members.contains("error");
        match members.get("method") {
            Some(Json::Text(_)) if !is_answer => {}
            None if is_answer => {}
            _ => return refuse("The member method must be a string.", id),
        }
        // The parameters of every MCP method are an object.
        if members
            .get("params")
            .is_some_and(|params| params.as_object().is_none())
        {
            return refuse("The member params must be an object.", id);
        }
        Ok(Self::Rpc(Some(value)))
    }

    fn member(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Self::Rpc(message) => message.as_ref()?.get(name),
            Self::Rest { .. } => None,
        }
    }

    fn method(&self) -> Option<&str> {
        self.member("method")?.as_str()
    }

    /// The id, or null.
    pub(super) fn id(&self) -> Value {
        let id = self.member("id").cloned();
        id.map_or(Value::Null, Json::into_value)
    }

    /// `params.name`, or `params.uri`, whichever the method names its target by.
    fn name(&self) -> Option<&str> {
        let params = self.member("params")?;
        let member = match self.method()? {
            "tools/call" | "prompts/get" => "name",
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
            _ => return None,
        };
        params.get(member)?.as_str()
    }

    /// The operation it asks for; answers to our own requests ask for none.
    pub(super) fn operation(&self) -> Option<Operation<'_>> {
        if let Self::Rest {
            operation_of, path, ..
        } = self
        {
            return Some(operation_of(path));
        }
        let method = self.method()?;
        Some(Operation {
            method,
            name: self.name(),
            params: self.member("params"),
        })
    }

    /// The revision that the body names.
    fn version(&self) -> Option<&Json<'a>> {
        self.member("params")?.get("_meta")?.get(VERSION_MEMBER)
    }

    /// The trace that the caller names in the message.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let meta = self.member("params")?.get("_meta")?;
        TraceContext::parse(meta.get(TRACE_PARENT.as_str())?.as_str()?)
    }

    /// Whether it belongs to a revision without sessions.
    pub(super) fn is_modern(&self, headers: &HeaderMap) -> bool {
        let in_header = || {
            headers
                .get(VERSION)
                .is_some_and(|version| version == MODERN)
        };
        self.version().is_some() || in_header()
    }

    /// MCP 2026-07-28 (streamable HTTP, server validation): a header that repeats the body must say
    /// the same. Everything here and behind follows the body; headers that a message must have and
    /// lacks are refused by the protocol layer.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(method) = self.method() else {
            return Ok(());
        };
        let version = self.version().and_then(Json::as_str);
        let pairs = [
            (&METHOD, Some(method), true),
            (&NAME, self.name(), true),
            (&VERSION, version, version.is_some()),
        ];
        for (header, in_body, applies) in pairs {
            let mut values = headers.get_all(header).iter();
            let Some(value) = values.next().filter(|_| applies) else {
                continue;
            };
            let stated = value.to_str().ok().and_then(decode_sentinel);
            if values.next().is_some() || stated.as_deref() != in_body {
                return Err(Refusal::Message {
                    code: HEADER_MISMATCH,
                    message: format!("The header {header} and the body say different things."),
                    id: self.id(),
                });
            }
        }
        Ok(())
    }

    /// Whether the answer is a stream that stays open for as long as its reader likes (MCP
    /// 2025-11-25: GET; MCP 2026-07-28: `subscriptions/listen`).
    pub(super) fn listens(&self, method: &http::Method) -> bool {
        method == http::Method::GET || self.method() == Some("subscriptions/listen")
    }

    /// The parsed body, for handlers of the plain HTTP view.
    pub(super) fn into_arguments(self) -> Option<Value> {
        match self {
            Self::Rest { arguments, .. } => Some(arguments.into_value()),
            Self::Rpc(_) => None,
        }
    }
}

/// MCP 2026-07-28 (streamable HTTP): `=?base64?…?=` stands for the decoded text, anything else for
/// itself. `None` when the markers hold no strict base64 of UTF-8.
fn decode_sentinel(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim_matches([' ', '\t']);
    match value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => {
            let decoded = STANDARD.decode(encoded).ok()?;
            String::from_utf8(decoded).ok().map(Cow::Owned)
        }
    }
}
