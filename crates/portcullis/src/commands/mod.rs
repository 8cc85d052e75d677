//! One file per command. Each ends with exit code 0, or 1 and a sentence that says what to do.

mod backup;
mod client;
mod config;
mod copy;
mod doctor;
mod greeting;
mod health;
mod key;
mod recorded;
mod serve;
mod token;
mod user;

use std::path::Path;

use portcullis_authz::store::{self, Store};
use portcullis_common::clock::{Clock as _, SystemClock};
use portcullis_common::config::{Config, Role};

use crate::cli::{Cli, Command, Migrate};
use crate::output::Output;
use crate::settings::{self, Environment};

/// How a command fails.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A failure that is a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Sentence(pub(crate) String);

impl Sentence {
    pub(crate) fn failure(text: impl Into<String>) -> Failure {
        Box::new(Self(text.into()))
    }
}

/// What every command is given.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) environment: &'a Environment,
    pub(crate) output: &'a Output,
}

impl Context<'_> {
    pub(crate) fn config(&self, role: Role) -> Result<Config, Failure> {
        Ok(settings::load(role, self.file, self.environment)?)
    }

    /// The store, for commands that work beside a running server or without one.
    pub(crate) async fn store(&self, config: &Config) -> Result<Store, Failure> {
        Ok(Store::open(&config.store, &SystemClock).await?)
    }
}

/// Runs the command of this command line.
pub async fn run(cli: Cli, environment: &Environment, output: &Output) -> Result<(), Failure> {
    let context = Context {
        file: cli.config.as_deref(),
        environment,
        output,
    };
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(context, Role::Both).await,
        Command::Authz => serve::run(context, Role::Authz).await,
        Command::Resource => serve::run(context, Role::Resource).await,
        Command::Migrate(options) => migrate(context, &options).await,
        Command::Backup { file } => backup::back_up(context, &file).await,
        Command::Restore { file } => backup::restore(context, &file).await,
        Command::Copy(options) => copy::run(context, options).await,
        Command::Health(options) => health::run(context, options).await,
        Command::Client(command) => client::run(context, command).await,
        Command::User(command) => user::run(context, command).await,
        Command::Key(command) => key::run(context, command).await,
        Command::Token(options) => token::run(context, options).await,
        Command::Doctor(options) => doctor::run(context, options).await,
        Command::Config(command) => config::run(context, &command),
    }
}

async fn migrate(context: Context<'_>, options: &Migrate) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    store::migrate(&config.store, &SystemClock).await?;
    context.output.line("The schema is up to date.");
    if options.restored {
        let store = context.store(&config).await?;
        store.mark_restored(SystemClock.now()).await?;
        store.close().await;
        context.output.line(
            "Grants, sessions and invitations of the backup have ended; people log in again.",
        );
    }
    Ok(())
}
