//! The product: both servers wired into one process, and the operator's commands.

mod app;
mod certificate;
mod cli;
mod commands;
mod doctor;
mod output;
mod server;
mod settings;

pub use app::{Ambient, App, StartError};
pub use cli::Cli;
pub use commands::run;
pub use output::Output;
pub use server::{Limits, Tls, TlsError, serve};
pub use settings::{Environment, SettingsError};
