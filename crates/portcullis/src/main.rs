//! The only binary. It hands in what is ambient: arguments, environment, terminal.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use portcullis::{Cli, Environment, Output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let output = Output::new(
        std::io::stdout().is_terminal(),
        std::io::stderr().is_terminal(),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(portcullis::run(cli, &environment, &output)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&*error);
            ExitCode::FAILURE
        }
    }
}
