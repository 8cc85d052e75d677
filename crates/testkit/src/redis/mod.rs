//! A Redis for one test, which can be frozen, stopped and filled up.

mod installed;
mod lent;

use portcullis_common::config::{RedisConfig, WhenAway};
use portcullis_common::redis::RedisUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::installed::Installed;
use self::lent::Lent;

/// When set, a machine without `redis-server` is a failure instead of a skipped test.
const REQUIRED: &str = "PORTCULLIS_TEST_REQUIRE_REDIS";

/// A Redis of its own, ended with this value: the `redis-server` of this machine, or a container
/// where the runner `with-containers` lends them.
#[derive(Debug)]
pub struct TestRedis {
    address: String,
    server: Server,
}

#[derive(Debug)]
enum Server {
    Installed(Installed),
    Lent(Lent),
}

impl TestRedis {
    /// Starts one; `None`, with a line on standard error, where `redis-server` is not installed.
    pub fn start() -> Option<Self> {
        if let Some((address, lent)) = Lent::start() {
            return Some(Self {
                address,
                server: Server::Lent(lent),
            });
        }
        match Installed::start() {
            Ok(installed) => Some(Self {
                address: format!("127.0.0.1:{}", installed.port()),
                server: Server::Installed(installed),
            }),
            Err(cause) => {
                skip(&cause);
                None
            }
        }
    }

    /// One that is stopped already.
    pub fn stopped() -> Option<Self> {
        let mut redis = Self::start()?;
        redis.stop();
        Some(redis)
    }

    /// How a server would be configured to use it.
    pub fn config(&self) -> RedisConfig {
        RedisConfig {
            url: RedisUrl::parse(&format!("redis://{}", self.address)).unwrap(),
            when_away: WhenAway::Local,
        }
    }

    /// Ends the program, and with it everything that it kept.
    pub fn stop(&mut self) {
        match &mut self.server {
            Server::Installed(installed) => installed.stop(),
            Server::Lent(lent) => lent.order("stop"),
        }
    }

    /// Starts the program again, empty, at the same place.
    pub fn restart(&mut self) {
        self.stop();
        match &mut self.server {
            Server::Installed(installed) => installed.restart(),
            Server::Lent(lent) => lent.order("start"),
        }
    }

    /// From now on it accepts connections and answers nothing.
    pub fn freeze(&self) {
        match &self.server {
            Server::Installed(installed) => installed.signal("STOP"),
            Server::Lent(lent) => lent.order("freeze"),
        }
    }

    /// It goes on where it was.
    pub fn thaw(&self) {
        match &self.server {
            Server::Installed(installed) => installed.signal("CONT"),
            Server::Lent(lent) => lent.order("thaw"),
        }
    }

    /// Sends a command as an operator would type it, and gives what it answers.
    pub async fn command(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).await.unwrap();
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
