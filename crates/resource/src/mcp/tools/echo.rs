//! `echo`: gives a message back.

use portcullis_common::clock::SharedClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::tool::{Effect, Tool, ToolCard, ToolError};
use crate::guard::Caller;

/// Gives a message back, in capitals if asked to.
pub(super) struct Echo {
    clock: SharedClock,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// The message to give back.
    #[schemars(length(min = 1, max = 10_000))]
    message: String,
    /// Whether to turn it into capitals.
    #[serde(default)]
    uppercase: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answer {
    /// The message as it came.
    original: String,
    /// The message as it goes.
    echo: String,
    /// When, in RFC 3339.
    timestamp: String,
    metadata: Metadata,
}

#[derive(Serialize, JsonSchema)]
struct Metadata {
    /// Characters in the message.
    length: usize,
    /// Words in the message.
    words: usize,
    /// Whether it was turned into capitals.
    uppercase_applied: bool,
}

impl Echo {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock }
    }
}

impl Tool for Echo {
    type Arguments = Arguments;
    type Answer = Answer;

    fn card(&self) -> ToolCard {
        ToolCard {
            name: "echo",
            title: "Echo",
            description: "Gives a message back, in capitals if asked to, and counts its characters and words.",
            scopes: "mcp:read",
            needs_user: false,
            effect: Effect::ReadOnly,
        }
    }

    async fn call(&self, _caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let Arguments { message, uppercase } = arguments;
        let metadata = Metadata {
            length: message.chars().count(),
            words: message.split_whitespace().count(),
            uppercase_applied: uppercase,
        };
        Ok(Answer {
            echo: if uppercase {
                message.to_uppercase()
            } else {
                message.clone()
            },
            original: message,
            timestamp: super::rfc3339(self.clock.now()),
            metadata,
        })
    }
}
