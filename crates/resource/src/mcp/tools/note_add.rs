//! `note_add`: keeps a note for the person who calls.

use std::sync::Arc;

use portcullis_common::clock::SharedClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::tool::{Effect, Tool, ToolCard, ToolError};
use super::notebook::{Note, Notebook};
use crate::guard::Caller;

/// Keeps a note.
pub(super) struct NoteAdd {
    notebook: Arc<Notebook>,
    clock: SharedClock,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// What the note says; at least one character that is not a space.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answer {
    /// The note as it is kept.
    note: Note,
    /// How many notes there are now.
    total: usize,
}

impl NoteAdd {
    pub(super) fn new(notebook: Arc<Notebook>, clock: SharedClock) -> Self {
        Self { notebook, clock }
    }
}

impl Tool for NoteAdd {
    type Arguments = Arguments;
    type Answer = Answer;

    fn card(&self) -> ToolCard {
        ToolCard {
            name: "note_add",
            title: "Add a note",
            description: "Keeps a short note for the person who is logged in, until the server stops. Nobody else sees it.",
            scopes: "mcp:write",
            needs_user: true,
            effect: Effect::Additive,
        }
    }

    async fn call(&self, caller: &Caller, arguments: Arguments) -> Result<Answer, ToolError> {
        let now = super::rfc3339(self.clock.now());
        let (note, total) = self.notebook.add(caller, arguments.text, now)?;
        Ok(Answer { note, total })
    }
}
