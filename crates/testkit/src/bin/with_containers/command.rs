//! The command, and the signals that end it and the runner.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the command may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);

/// The signals that ask the runner to end.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they are waited for, and end nothing by themselves.
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one, and gives the exit code that says so.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

/// Runs it to its end, or to a signal's, and gives the exit code.
pub(crate) async fn run<const N: usize>(
    program: &OsStr,
    arguments: &[OsString],
    variables: [(&str, OsString); N],
    signals: &mut Signals,
) -> io::Result<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables)
        // Tests are grandchildren of cargo; as a group they are ended together.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| io::Error::new(cause.kind(), format!("{}: {cause}", program.display())))?;
    tokio::select! {
        status = child.wait() => Ok(code(status?)),
        code = signals.next() => {
            end(&mut child).await?;
            Ok(code)
        }
    }
}

async fn end(child: &mut Child) -> io::Result<()> {
    let Some(group) = child.id() else {
        return Ok(());
    };
    send("TERM", group).await?;
    let ended = tokio::time::timeout(GRACE, child.wait()).await;
    // Whoever of the group is left now did not want to go.
    send("KILL", group).await?;
    if ended.is_err() {
        child.wait().await?;
    }
    Ok(())
}

/// Nobody left to hear it is no failure.
async fn send(name: &str, group: u32) -> io::Result<()> {
    let kill = format!("kill -s {name} -- -{group} 2>/dev/null");
    Command::new("sh").args(["-c", &kill]).status().await?;
    Ok(())
}

/// What a shell would answer.
fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| signal + 128));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
