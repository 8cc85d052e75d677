//! The `redis-server` of this machine.

use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A process with its own port and its own folder.
#[derive(Debug)]
pub(super) struct Installed {
    port: u16,
    folder: TempDir,
    process: Option<Child>,
}

impl Installed {
    /// Starts one; fails where the program is not installed.
    pub(super) fn start() -> io::Result<Self> {
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut redis = Self {
                port: listener.local_addr().unwrap().port(),
                folder: tempfile::tempdir().unwrap(),
                process: None,
            };
            drop(listener);
            // Otherwise somebody else took the port meanwhile.
            if redis.run()? {
                return Ok(redis);
            }
        }
        panic!("no port is free for Redis");
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Runs the program until it accepts connections, or ends.
    fn run(&mut self) -> io::Result<bool> {
        let port = self.port.to_string();
        let mut process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(process.stdout.take().unwrap());
        let is_ready = |line: String| line.contains("Ready to accept connections");
        let is_up = output.lines().map_while(Result::ok).any(is_ready);
        self.process = Some(process);
        Ok(is_up)
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts a stopped one again.
    pub(super) fn restart(&mut self) {
        assert!(self.run().unwrap(), "the port is free again");
    }

    pub(super) fn signal(&self, name: &str) {
        let process = self.process.as_ref().unwrap().id();
        let kill = format!("kill -{name} {process}");
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.stop();
    }
}
