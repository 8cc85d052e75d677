//! Runs a command whose tests find PostgreSQL and Redis in containers:
//! `with-containers COMMAND ARGUMENT…`.
//!
//! The command's exit code becomes that of the runner; without a container engine it is 77. Whatever
//! happens, SIGINT and SIGTERM included, the containers are gone when the runner ends.

mod command;
mod engine;
mod images;
mod lending;
mod patience;
mod postgres;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use self::command::Signals;
use self::engine::{Engine, Failure};
use self::lending::Lending;
use self::postgres::Postgres;

const USAGE: &str = "usage: with-containers [--] COMMAND ARGUMENT…
Starts PostgreSQL and Redis in containers, tells the command's tests of them, and removes them.
STACK_POSTGRES_IMAGE and STACK_REDIS_IMAGE name other images; DOCKER_HOST names the engine.";
/// What scripts here answer when something could not be tried.
const NOT_CHECKED: u8 = 77;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let command = match arguments.split_first() {
        Some((dashes, command)) if dashes == "--" => command,
        _ => &arguments,
    };
    let code = match command.split_first() {
        Some((flag, [])) if flag == "--help" || flag == "-h" => {
            say(USAGE);
            0
        }
        Some((program, arguments)) => match run(program, arguments).await {
            Ok(code) => code,
            Err(failure) => {
                say(&failure.to_string());
                failure.code()
            }
        },
        None => {
            say(USAGE);
            2
        }
    };
    ExitCode::from(code)
}

async fn run(program: &OsString, arguments: &[OsString]) -> Result<u8, Failure> {
    let mut signals = Signals::watch()?;
    let engine = Engine::find().await?;
    let mut lending = None;
    let outcome = tests(&engine, &mut signals, &mut lending, (program, arguments)).await;
    if let Some(lending) = lending {
        lending.end().await;
    }
    let removal = engine.remove_all().await;
    let code = outcome?;
    removal?;
    Ok(code)
}

async fn tests(
    engine: &Engine,
    signals: &mut Signals,
    lending: &mut Option<Lending>,
    command: (&OsString, &[OsString]),
) -> Result<u8, Failure> {
    let start = async {
        let postgres = Postgres::start(engine).await?;
        lending::try_image(engine).await?;
        Ok::<_, Failure>(postgres)
    };
    let postgres = tokio::select! {
        postgres = start => postgres?,
        code = signals.next() => return Ok(code),
    };
    let lending = lending.insert(Lending::open(engine.clone())?);
    say(&format!("{engine}: PostgreSQL and Redis are up"));
    let variables = [
        ("PORTCULLIS_TEST_POSTGRES_URL", postgres.url().into()),
        ("PORTCULLIS_TEST_REQUIRE_POSTGRES", "1".into()),
        (
            "PORTCULLIS_TEST_REDIS_CONTAINERS",
            lending.socket().as_os_str().to_owned(),
        ),
        ("PORTCULLIS_TEST_REQUIRE_REDIS", "1".into()),
    ];
    let code = command::run(command.0, command.1, variables, signals).await?;
    match postgres.databases().await {
        Ok(databases) => say(&format!(
            "the tests made {databases} databases in PostgreSQL's container and used {} Redis containers",
            lending.lent()
        )),
        Err(cause) if code == 0 => return Err(cause),
        Err(cause) => say(&cause.to_string()),
    }
    Ok(code)
}

/// One line for whoever runs this; standard output belongs to the command.
fn say(line: &str) {
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(io::stderr(), "with-containers: {line}");
}
