//! How the REST view answers.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::mcp::CallOutcome;

/// Why a request has no answer; each has its status and its code in one table.
#[derive(Debug)]
pub(super) enum Fault {
    UnknownTool,
    UnknownProbe,
    NoSuchPath,
    InvalidArguments {
        field: String,
        message: String,
    },
    Failed {
        field: Option<String>,
        message: String,
    },
    Broken {
        message: &'static str,
    },
    Unguarded,
}

/// An answer that no cache may keep, because it depends on who asks.
pub(super) fn private(value: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

/// The answer to a call.
pub(super) fn of(outcome: CallOutcome) -> Result<Response, Fault> {
    match outcome {
        CallOutcome::Done(result) => Ok(private(json!({ "result": result }))),
        CallOutcome::Unknown => Err(Fault::UnknownTool),
        CallOutcome::InvalidArguments { field, message } => {
            Err(Fault::InvalidArguments { field, message })
        }
        CallOutcome::Failed { field, message } => Err(Fault::Failed { field, message }),
        CallOutcome::Broken { message } => Err(Fault::Broken { message }),
    }
}

impl Fault {
    pub(super) fn render(self) -> Response {
        let (status, code, field, description) = match self {
            Self::UnknownTool => plain(StatusCode::NOT_FOUND, "unknown_tool", "no such tool"),
            Self::UnknownProbe => plain(StatusCode::NOT_FOUND, "not_found", "no such probe"),
            Self::NoSuchPath => plain(StatusCode::NOT_FOUND, "not_found", "no such path"),
            Self::InvalidArguments { field, message } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_arguments",
                Some(field),
                message,
            ),
            Self::Failed { field, message } => {
                (StatusCode::BAD_REQUEST, "tool_failed", field, message)
            }
            Self::Broken { message } => {
                plain(StatusCode::INTERNAL_SERVER_ERROR, "tool_broken", message)
            }
            Self::Unguarded => {
                tracing::error!("a request reached the REST view without passing the guard");
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "server_error",
                    "this server is not set up to answer",
                )
            }
        };
        let mut body = json!({ "error": code, "error_description": description });
        if let (Some(field), Some(members)) = (field, body.as_object_mut()) {
            members.insert("field".to_owned(), Value::String(field));
        }
        (status, private(body)).into_response()
    }
}

type Row = (StatusCode, &'static str, Option<String>, String);

fn plain(status: StatusCode, code: &'static str, description: &str) -> Row {
    (status, code, None, description.to_owned())
}
