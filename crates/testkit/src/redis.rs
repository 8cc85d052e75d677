//! A Redis for one test, which can be frozen, stopped and filled up.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use portcullis_common::config::{RedisConfig, WhenAway};
use portcullis_common::redis::RedisUrl;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// When set, a machine without `redis-server` is a failure instead of a skipped test.
const REQUIRED: &str = "PORTCULLIS_TEST_REQUIRE_REDIS";

/// A `redis-server` of its own: own port, own folder, ended with this value.
#[derive(Debug)]
pub struct TestRedis {
    port: u16,
    folder: TempDir,
    process: Option<Child>,
}

impl TestRedis {
    /// Starts one; `None`, with a line on standard error, where `redis-server` is not installed.
    pub fn start() -> Option<Self> {
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut redis = Self {
                port: listener.local_addr().unwrap().port(),
                folder: tempfile::tempdir().unwrap(),
                process: None,
            };
            drop(listener);
            match redis.run() {
                // Somebody else took the port meanwhile.
                Ok(false) => {}
                Ok(true) => return Some(redis),
                Err(cause) => {
                    skip(&cause);
                    return None;
                }
            }
        }
        panic!("no port is free for Redis");
    }

    /// One that is stopped already.
    pub fn stopped() -> Option<Self> {
        let mut redis = Self::start()?;
        redis.stop();
        Some(redis)
    }

    /// Runs the program until it accepts connections, or ends.
    fn run(&mut self) -> std::io::Result<bool> {
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

    /// How a server would be configured to use it.
    pub fn config(&self) -> RedisConfig {
        RedisConfig {
            url: RedisUrl::parse(&format!("redis://127.0.0.1:{}", self.port)).unwrap(),
            when_away: WhenAway::Local,
        }
    }

    /// Ends the program, and with it everything that it kept.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts the program again, empty, at the same place.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.run().unwrap(), "the port is free again");
    }

    /// From now on it accepts connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// It goes on where it was.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let process = self.process.as_ref().unwrap().id();
        let kill = format!("kill -{name} {process}");
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// Sends a command as an operator would type it, and gives what it answers.
    pub async fn command(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let lines = format!("{command}\r\nQUIT\r\n");
        connection.write_all(lines.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// How many commands it has run so far; asking is one.
    pub async fn commands(&self) -> u64 {
        let stats = self.command("INFO stats").await;
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.unwrap().trim().parse().unwrap()
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.stop();
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests are told by the environment whether Redis must be there; a skipped one must be seen"
)]
fn skip(cause: &std::io::Error) {
    assert!(
        std::env::var_os(REQUIRED).is_none(),
        "{REQUIRED} is set and redis-server does not run: {cause}"
    );
    eprintln!("skipped on Redis: redis-server: {cause}");
}
