//! What a tool is: one type with a card, typed arguments and a typed answer.

use std::pin::Pin;
use std::sync::Arc;

use portcullis_common::scope::{Scope, ScopeError};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::schema::{ArgumentSchema, Violation, answer_schema};
use crate::guard::{Caller, Requirement};

/// What clients and the guard learn of a tool before it is called.
#[derive(Clone, Copy, Debug)]
pub struct ToolCard {
    /// Its name, 1–128 characters of `[A-Za-z0-9_.-]` (MCP 2026-07-28, tool names).
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does, for models and people.
    pub description: &'static str,
    /// Every scope that a call needs, separated by spaces.
    pub scopes: &'static str,
    /// Whether a person must stand behind the token.
    pub needs_user: bool,
    /// What a call changes.
    pub effect: Effect,
}

/// What a call changes; becomes the hints of MCP's tool annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    ReadOnly,
    /// It adds and never takes away.
    Additive,
}

/// Why a tool did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// An argument breaks a rule that a JSON schema cannot say.
    #[error("{field}: {message}")]
    InvalidArgument {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The arguments are well formed, but have no answer.
    #[error("{message}")]
    Failed {
        /// The member to blame, if one is.
        field: Option<&'static str>,
        /// Why there is no answer.
        message: String,
    },
}

impl ToolError {
    /// An argument that breaks a rule of its form.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidArgument {
            field,
            message: message.into(),
        }
    }

    /// A well-formed argument for which there is no answer.
    pub fn failed(field: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            field: Some(field),
            message: message.into(),
        }
    }
}

/// A tool. It has one file, and one line in the registry.
///
/// `Arguments` should deny unknown fields, and carry every bound that a schema can say: they are
/// checked before [`Tool::call`].
pub trait Tool: Send + Sync + 'static {
    /// What it is called with.
    type Arguments: DeserializeOwned + JsonSchema + Send;
    /// What it answers.
    type Answer: Serialize + JsonSchema + Send;

    /// Its card.
    fn card(&self) -> ToolCard;

    /// Answers one call.
    fn call(
        &self,
        caller: &Caller,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::Answer, ToolError>> + Send;
}

/// A tool as the registry holds it: checked, compiled, its types erased.
pub struct RegisteredTool {
    card: ToolCard,
    requirement: Requirement,
    input: ArgumentSchema,
    output: Arc<Map<String, Value>>,
    body: Box<dyn ErasedTool>,
}

/// Why a tool cannot be registered.
#[derive(Debug, thiserror::Error)]
pub(super) enum CardError {
    #[error("the name is empty, too long, or has a character outside [A-Za-z0-9_.-]")]
    Name,
    #[error("its scopes: {0}")]
    Scopes(#[from] ScopeError),
    #[error("its schema: {0}")]
    Schema(String),
}

pub(super) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, ToolError>> + Send + 'a>>;

trait ErasedTool: Send + Sync {
    fn call<'a>(&'a self, caller: &'a Caller, arguments: Value) -> Answer<'a>;
}

struct Typed<T>(T);

impl<T: Tool> ErasedTool for Typed<T> {
    fn call<'a>(&'a self, caller: &'a Caller, arguments: Value) -> Answer<'a> {
        Box::pin(async move {
            let arguments = serde_json::from_value(arguments)
                .map_err(|error| ToolError::invalid("arguments", error.to_string()))?;
            let answer = self.0.call(caller, arguments).await?;
            serde_json::to_value(answer).map_err(|error| ToolError::Failed {
                field: None,
                message: error.to_string(),
            })
        })
    }
}

impl RegisteredTool {
    pub(super) fn new<T: Tool>(tool: T) -> Result<Self, CardError> {
        let card = tool.card();
        if !is_tool_name(card.name) {
            return Err(CardError::Name);
        }
        Ok(Self {
            card,
            requirement: Requirement {
                scopes: card.scopes.parse()?,
                needs_user: card.needs_user,
            },
            input: ArgumentSchema::of::<T::Arguments>().map_err(CardError::Schema)?,
            output: answer_schema::<T::Answer>(),
            body: Box::new(Typed(tool)),
        })
    }

    /// Its card.
    pub fn card(&self) -> &ToolCard {
        &self.card
    }

    /// What a caller must have.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// Every scope a call needs.
    pub fn scopes(&self) -> &Scope {
        &self.requirement.scopes
    }

    /// The JSON Schema 2020-12 of its arguments.
    pub fn input_schema(&self) -> &Arc<Map<String, Value>> {
        self.input.document()
    }

    /// The JSON Schema 2020-12 of its answer.
    pub fn output_schema(&self) -> &Arc<Map<String, Value>> {
        &self.output
    }

    pub(super) fn check(&self, arguments: &Value) -> Result<(), Violation> {
        self.input.check(arguments)
    }

    pub(super) fn call<'a>(&'a self, caller: &'a Caller, arguments: Value) -> Answer<'a> {
        self.body.call(caller, arguments)
    }
}

impl std::fmt::Debug for RegisteredTool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RegisteredTool")
            .field("card", &self.card)
            .finish_non_exhaustive()
    }
}

fn is_tool_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}
