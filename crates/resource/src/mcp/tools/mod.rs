//! The demo tools, one per file. A new tool is a file and a line in [`demo`].

mod calculate;
mod calculate_formula;
mod echo;
mod note_add;
mod note_list;
mod notebook;
mod timestamp;

use std::sync::Arc;

use super::{Registry, RegistryError, RegistryOptions};
use notebook::Notebook;

/// The registry of the product.
pub fn demo(options: RegistryOptions) -> Result<Registry, RegistryError> {
    let clock = Arc::clone(&options.clock);
    let notebook = Arc::new(Notebook::default());
    Registry::new(options)
        .with(echo::Echo::new(Arc::clone(&clock)))?
        .with(timestamp::CurrentTime::new(Arc::clone(&clock)))?
        .with(calculate::Calculate)?
        .with(note_add::NoteAdd::new(Arc::clone(&notebook), clock))?
        .with(note_list::NoteList::new(notebook))
}

/// A moment in the form of RFC 3339, in UTC.
fn rfc3339(moment: portcullis_common::clock::Timestamp) -> String {
    jiff::Timestamp::from_second(moment.seconds())
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}
