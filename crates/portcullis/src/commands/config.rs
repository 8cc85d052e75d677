//! `portcullis config check|show`

use portcullis_common::config::Role;
use serde_json::{Value, json};

use super::{Context, Failure};
use crate::cli::ConfigCommand;
use crate::settings;

pub(super) fn run(context: Context<'_>, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { json } => check(context, *json),
        ConfigCommand::Show { json } => show(context, *json),
    }
}

/// Mistakes come out as the error of the command.
fn check(context: Context<'_>, json: bool) -> Result<(), Failure> {
    context.config(Role::Both)?;
    if json {
        context.output.json(&json!({ "ok": true }));
    } else {
        context.output.line("The configuration is fine.");
    }
    Ok(())
}

fn show(context: Context<'_>, json: bool) -> Result<(), Failure> {
    let written = settings::written(context.file, context.environment)?;
    if json {
        let keys = written.iter().map(|entry| {
            json!({
                "section": entry.key.section,
                "key": entry.key.name,
                "value": entry.value,
                "set_in": entry.place,
                "variable": entry.key.variable(),
            })
        });
        context.output.json(&Value::Array(keys.collect()));
        return Ok(());
    }
    for entry in written {
        let origin = entry.place.unwrap_or_else(|| "default".to_owned());
        let (section, name) = (entry.key.section, entry.key.name);
        context.output.line(format_args!(
            "[{section}] {name} = {}   # {origin}",
            entry.value
        ));
    }
    Ok(())
}
