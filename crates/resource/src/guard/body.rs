//! The body: bounded while it is read, parsed once.

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::BodyExt as _;
use portcullis_common::strict_json::{self, Json, StrictJsonError};
use serde_json::Value;

use super::refusal::{INVALID_REQUEST, PARSE_ERROR};
use super::{Refusal, Surface};

/// The parsed body of a request to the plain HTTP view; handlers read this and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedBody(pub Value);

/// What a body must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyRules {
    pub(super) max_bytes: usize,
}

/// A whole body, as it came; empty for methods that have none.
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    has_document: bool,
}

impl ReadBody {
    /// Parses it, once; `None` where there is nothing to parse.
    pub(super) fn parse(&self, surface: Surface) -> Result<Option<Json<'_>>, Refusal> {
        if !self.has_document {
            return Ok(None);
        }
        strict_json::read(&self.bytes)
            .map(Some)
            .map_err(|error| refusal(error, &self.bytes, surface))
    }
}

impl BodyRules {
    pub(super) async fn read<B>(
        self,
        head: &Parts,
        body: B,
        surface: Surface,
    ) -> Result<ReadBody, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        if head.method != Method::POST {
            return Ok(ReadBody {
                bytes: Bytes::new(),
                has_document: false,
            });
        }
        let (is_mcp, is_plain_json) = (matches!(surface, Surface::Mcp), is_plain_json(head));
        if is_mcp && !is_plain_json {
            return Err(Refusal::media_type());
        }
        let bytes = self.collect(head, body).await?;
        // The plain view takes a call without a body for a call without arguments.
        let has_document = is_mcp || !bytes.is_empty();
        if has_document && !is_plain_json {
            return Err(Refusal::media_type());
        }
        Ok(ReadBody {
            bytes,
            has_document,
        })
    }

    /// Reads at most the limit; a `Content-Length` over it is refused unread.
    async fn collect<B>(self, head: &Parts, body: B) -> Result<Bytes, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let too_large = || Refusal::too_large(self.max_bytes);
        let announced = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        if announced
            .and_then(|text| text.parse::<u64>().ok())
            .is_some_and(|length| {
                usize::try_from(length).map_or(true, |length| length > self.max_bytes)
            })
        {
            return Err(too_large());
        }
        let mut body = std::pin::pin!(body);
        let mut first: Option<Bytes> = None;
        let mut collected = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::incomplete())?.into_data() else {
                continue;
            };
            let so_far = first.as_ref().map_or(collected.len(), Bytes::len);
            if so_far + data.len() > self.max_bytes {
                return Err(too_large());
            }
            // Nearly every body is one frame; it is passed on without a copy.
            match (first.take(), collected.is_empty()) {
                (None, true) => first = Some(data),
                (Some(before), _) => {
                    collected.extend_from_slice(&before);
                    collected.extend_from_slice(&data);
                }
                (None, false) => collected.extend_from_slice(&data),
            }
        }
        Ok(first.unwrap_or_else(|| collected.freeze()))
    }
}

/// Whether the body says that it is JSON and not compressed.
fn is_plain_json(head: &Parts) -> bool {
    let essence = |text: &str| {
        let media_type = text.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/json")
    };
    let is_json = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(essence);
    let is_plain = head
        .headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    is_json && is_plain
}

fn refusal(error: StrictJsonError, bytes: &[u8], surface: Surface) -> Refusal {
    let (code, text) = match error {
        StrictJsonError::Syntax => (PARSE_ERROR, "The body is not valid JSON."),
        StrictJsonError::DuplicateMember => (
            INVALID_REQUEST,
            "An object in the body has the same member twice.",
        ),
        // A batch is refused as a batch, however long it is.
        StrictJsonError::TooMany if bytes.trim_ascii_start().starts_with(b"[") => {
            (INVALID_REQUEST, super::envelope::NO_BATCH)
        }
        StrictJsonError::TooDeep | StrictJsonError::TooMany => (
            PARSE_ERROR,
            "The body is nested too deeply or has too many values.",
        ),
    };
    match surface {
        Surface::Mcp => Refusal::Message {
            code,
            message: text.to_owned(),
            id: Value::Null,
        },
        Surface::Rest(_) => Refusal::bad_body(text),
    }
}
