//! `note_list`: the notes of the person who calls.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::tool::{Effect, Tool, ToolCard, ToolError};
use super::notebook::{Note, Notebook};
use crate::guard::Caller;

/// Lists notes.
pub(super) struct NoteList {
    notebook: Arc<Notebook>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answer {
    /// The notes, oldest first.
    notes: Vec<Note>,
    /// How many there are.
    total: usize,
}

impl NoteList {
    pub(super) fn new(notebook: Arc<Notebook>) -> Self {
        Self { notebook }
    }
}

impl Tool for NoteList {
    type Arguments = Arguments;
    type Answer = Answer;

    fn card(&self) -> ToolCard {
        ToolCard {
            name: "note_list",
            title: "List notes",
            description: "Lists the notes that the person who is logged in has added.",
            scopes: "mcp:read",
            needs_user: true,
            effect: Effect::ReadOnly,
        }
    }

    async fn call(&self, caller: &Caller, _arguments: Arguments) -> Result<Answer, ToolError> {
        let notes = self.notebook.list(caller);
        Ok(Answer {
            total: notes.len(),
            notes,
        })
    }
}
