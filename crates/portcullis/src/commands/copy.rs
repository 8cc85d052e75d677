//! `portcullis copy`

use std::path::Path;

use portcullis_authz::store::{self, CopiedTable};
use portcullis_common::clock::SystemClock;
use portcullis_common::config::Role;
use serde_json::{Map, Value};

use super::{Context, Failure, Sentence};
use crate::cli::Copy;

/// How many rows of a table make a line for whoever waits.
const STEP: i64 = 100_000;

pub(super) async fn run(context: Context<'_>, options: Copy) -> Result<(), Failure> {
    let output = context.output;
    let from = match options.from {
        Some(url) => url,
        None => context.config(Role::Both)?.store.url,
    };
    let to = match (options.to, options.to_file) {
        (Some(url), _) => url,
        (None, Some(file)) => url_of(&file)?,
        (None, None) => return Err(Sentence::failure("give --to or --to-file")),
    };
    let mut told = 0;
    let mut progress = |table: CopiedTable| {
        if !output.logs_to_terminal() {
            return;
        }
        if table.rows < told {
            told = 0;
        }
        if table.rows >= told + STEP {
            told = table.rows;
            output.note(format_args!("{}: {} rows so far", table.name, table.rows));
        }
    };
    let copied = store::copy((&from, &to), &SystemClock, &mut progress).await?;
    if options.json {
        let tables: Map<_, _> = copied
            .into_iter()
            .map(|table| (table.name.to_owned(), table.rows.into()))
            .collect();
        output.json(&Value::Object(tables));
        return Ok(());
    }
    for table in &copied {
        output.line(format_args!("{:>12}  {}", table.rows, table.name));
    }
    output.line("Copied, and the counts agree. Now point [store] url at the copy, with the same key_encryption_key.");
    Ok(())
}

fn url_of(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Sentence::failure(format!("{}: {error}", file.display())))?;
    Ok(text.trim().to_owned())
}
