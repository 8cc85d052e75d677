//! The message in a request: one JSON-RPC message, and headers that say what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::refusal::{HEADER_MISMATCH, INVALID_REQUEST};
use super::{Operation, Refusal};

/// Maps a request of the plain HTTP view (method, path, parsed body) to the message that means the
/// same over MCP; `None` for requests that any valid token may make.
pub type MessageOf = fn(&Method, &str, Option<Value>) -> Option<Value>;

/// What the guarded service speaks.
#[derive(Clone, Copy, Debug)]
pub enum Surface {
    /// MCP over streamable HTTP.
    Mcp,
    /// The plain HTTP view of the same operations.
    Rest(MessageOf),
}

/// The first revision whose requests say everything themselves: no sessions.
const MODERN: &str = "2026-07-28";
const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";

/// One message, or none where the HTTP method has no body.
#[derive(Debug)]
pub(super) struct Message(Option<Value>);

impl Surface {
    pub(super) fn message(self, head: &Parts, parsed: Option<Value>) -> Result<Message, Refusal> {
        match self {
            Self::Rest(message_of) => {
                if parsed.as_ref().is_some_and(|body| !body.is_object()) {
                    return Err(Refusal::bad_body(
                        "The body must be a JSON object with the arguments.",
                    ));
                }
                Ok(Message(message_of(&head.method, head.uri.path(), parsed)))
            }
            Self::Mcp => match parsed {
                None => Ok(Message(None)),
                Some(value) => Message::single(value),
            },
        }
    }
}

impl Message {
    /// MCP (streamable HTTP): the body is one JSON-RPC message; a batch is refused whole.
    fn single(value: Value) -> Result<Self, Refusal> {
        let refuse = |message: &str, id: Value| {
            Err(Refusal::Message {
                code: INVALID_REQUEST,
                message: message.to_owned(),
                id,
            })
        };
        let Some(members) = value.as_object() else {
            return refuse("Send one JSON-RPC message, not a batch.", Value::Null);
        };
        let id = match members.get("id") {
            None => Value::Null,
            Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
            Some(_) => return refuse("The id must be a string or a number.", Value::Null),
        };
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refuse("The member jsonrpc must be the string 2.0.", id);
        }
        let is_answer = members.contains_key("result") || members.contains_key("error");
        match members.get("method") {
            Some(Value::String(_)) if !is_answer => {}
            None if is_answer => {}
            _ => return refuse("The member method must be a string.", id),
        }
        // The parameters of every MCP method are an object.
        if members
            .get("params")
            .is_some_and(|params| !params.is_object())
        {
            return refuse("The member params must be an object.", id);
        }
        Ok(Self(Some(value)))
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    fn method(&self) -> Option<&str> {
        self.member("method")?.as_str()
    }

    /// The id, or null.
    pub(super) fn id(&self) -> Value {
        self.member("id").cloned().unwrap_or(Value::Null)
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

    /// The operation it asks for; notifications and answers ask for none that takes a scope.
    pub(super) fn operation(&self) -> Option<Operation<'_>> {
        let method = self.method()?;
        Some(Operation {
            method,
            name: self.name(),
            params: self.member("params"),
        })
    }

    /// Whether it belongs to a revision without sessions.
    pub(super) fn is_modern(&self, headers: &HeaderMap) -> bool {
        let in_body = self
            .member("params")
            .and_then(|params| params.get("_meta"))
            .is_some_and(|meta| meta.get(VERSION_MEMBER).is_some());
        in_body
            || headers
                .get("mcp-protocol-version")
                .is_some_and(|version| version == MODERN)
    }

    /// MCP 2026-07-28 (streamable HTTP, server validation): a header that repeats the body must say
    /// the same. Everything here and behind follows the body; headers that a message must have and
    /// lacks are refused by the protocol layer.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.0.is_none() || self.method().is_none() {
            return Ok(());
        }
        let version = self
            .member("params")
            .and_then(|params| params.get("_meta"))
            .and_then(|meta| meta.get(VERSION_MEMBER))
            .and_then(Value::as_str);
        let pairs = [
            ("mcp-method", self.method(), true),
            ("mcp-name", self.name(), true),
            ("mcp-protocol-version", version, version.is_some()),
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

    /// The arguments of a tool call, for handlers of the plain HTTP view.
    pub(super) fn into_arguments(self) -> Value {
        self.0
            .and_then(|mut message| {
                message
                    .get_mut("params")?
                    .get_mut("arguments")
                    .map(Value::take)
            })
            .unwrap_or(Value::Null)
    }
}

/// MCP 2026-07-28 (streamable HTTP): `=?base64?…?=` stands for the decoded text, anything else for
/// itself. `None` when the markers hold no strict base64 of UTF-8.
fn decode_sentinel(value: &str) -> Option<String> {
    let value = value.trim_matches([' ', '\t']);
    match value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}
