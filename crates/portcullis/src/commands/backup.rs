//! `portcullis backup FILE` and `portcullis restore FILE`

use std::path::Path;

use portcullis_authz::store;
use portcullis_common::clock::SystemClock;
use portcullis_common::config::Role;

use super::{Context, Failure};

/// A backup without its key is no backup, and one with it is a copy of every secret.
const KEY: &str = "The key_encryption_key is NOT in the backup: without it the signing keys cannot be used again.";

pub(super) async fn back_up(context: Context<'_>, file: &Path) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    store::backup(&config.store.url, file).await?;
    context
        .output
        .line(format_args!("Backed up to {}.", file.display()));
    context.output.note(match config.authz.key_encryption_key {
        Some(_) => KEY,
        None => "The backup holds the signing keys in clear, because no key_encryption_key is set.",
    });
    Ok(())
}

pub(super) async fn restore(context: Context<'_>, file: &Path) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    let aside = store::restore(&config.store.url, file, &SystemClock).await?;
    let output = context.output;
    output.line(format_args!("Restored {}.", file.display()));
    if let Some(aside) = aside {
        output.line(format_args!("The old store is {}.", aside.display()));
    }
    output.line("Grants, sessions and invitations of the backup have ended; people log in again.");
    Ok(())
}
