//! The notes of everybody, in memory and bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::super::tool::ToolError;
use crate::guard::Caller;

/// How many people may keep notes.
const MAX_OWNERS: usize = 1000;
/// How many notes one person may keep.
const MAX_NOTES: usize = 50;

/// Whose notes: a subject means something only together with its issuer (RFC 7519 §4.1.2).
#[derive(PartialEq, Eq, Hash)]
struct Owner {
    issuer: String,
    subject: String,
}

/// One note.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct Note {
    /// Its number among the notes of this person, from 1.
    pub(super) id: usize,
    /// What it says.
    pub(super) text: String,
    /// When it was written, in RFC 3339.
    pub(super) created_at: String,
}

/// The notes of everybody.
#[derive(Default)]
pub(super) struct Notebook {
    notes: Mutex<HashMap<Owner, Vec<Note>>>,
}

impl Notebook {
    /// Adds a note of this caller; answers it and how many there are now.
    pub(super) fn add(
        &self,
        caller: &Caller,
        text: String,
        created_at: String,
    ) -> Result<(Note, usize), ToolError> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = Owner::of(caller);
        if notes.len() >= MAX_OWNERS && !notes.contains_key(&owner) {
            return Err(full("notes of too many people are kept already"));
        }
        let own = notes.entry(owner).or_default();
        if own.len() >= MAX_NOTES {
            return Err(full("you keep 50 notes already, which is the most"));
        }
        let note = Note {
            id: own.len() + 1,
            text,
            created_at,
        };
        own.push(note.clone());
        Ok((note, own.len()))
    }

    /// The notes of this caller, oldest first.
    pub(super) fn list(&self, caller: &Caller) -> Vec<Note> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(&Owner::of(caller)).cloned().unwrap_or_default()
    }
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        Self {
            issuer: caller.issuer.clone(),
            subject: caller.subject.clone(),
        }
    }
}

fn full(message: &str) -> ToolError {
    ToolError::Failed {
        field: None,
        message: message.to_owned(),
    }
}
