//! What replicas share beside the database: a Redis that may be away at any time.
//!
//! Nothing lives in Redis alone that must not be lost or come back: no code, no token, no session of
//! a person. Whoever uses it has something to fall back on, and finds out at once when Redis is away.

mod address;
mod circuit;
mod connection;
mod rate;
mod script;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::time::timeout;

pub use address::{RedisUrl, RedisUrlError};
pub use rate::{Exceeded, Rate};
pub use script::Script;

use crate::config::{Config, WhenAway};
use crate::metrics::SharedMetrics;
use crate::secret::SecretHash;
use circuit::{Change, Circuit, Pass};
use connection::{Connection, Dialler};

/// How long a request waits for Redis, connecting and logging in included.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the regular look may take, for which nobody waits.
const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// What proves that Redis is of use: it writes, and it runs scripts.
const PROBE: &str = "return redis.call('SET', KEYS[1], '1', 'PX', '60000')";

/// Redis did not do what it was asked: it is not there, does not answer in time, or answers with an
/// error. Why stands in the log, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis is away")]
pub struct Away;

/// The shared memory of all replicas. It connects when it is first used, again after a failure, and
/// every command ends within a quarter of a second; after a failure commands fail at once, and one
/// in a second tries again. Cloning is cheap.
///
/// Names of keys are short and our own; a prefix keeps two deployments on one Redis apart.
#[derive(Clone, Debug)]
pub struct SharedRedis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dialler: Dialler,
    when_away: WhenAway,
    prefix: String,
    metrics: SharedMetrics,
    circuit: Circuit,
    connection: Mutex<Option<Arc<Connection>>>,
    /// Held while connecting, so that one connects and the others wait for it.
    dialling: tokio::sync::Mutex<()>,
}

/// Why an attempt failed, for the log. The text of an error answer is left out: Redis repeats what
/// it was sent.
#[derive(Debug)]
struct Cause(String);

impl From<RedisError> for Cause {
    fn from(error: RedisError) -> Self {
        Self(match (error.kind(), error.code()) {
            (ErrorKind::Io, _) => error.to_string(),
            (_, Some(code)) => format!("it answers {code}"),
            (_, None) => error.category().to_owned(),
        })
    }
}

impl SharedRedis {
    /// The Redis of the configuration, if there is one. Nothing is sent yet. Fails if the operator's
    /// authorities cannot be read.
    pub fn of(config: &Config, metrics: SharedMetrics) -> io::Result<Option<Self>> {
        let Some(redis) = &config.redis else {
            return Ok(None);
        };
        let ca_file: Option<&Path> = config.outbound.ca_file.as_deref();
        // In braces, so that a cluster keeps all keys of a deployment together.
        let deployment = SecretHash::of(&config.server.public_url).to_hex();
        Ok(Some(Self(Arc::new(Inner {
            dialler: Dialler::new(redis.url.clone(), ca_file)?,
            when_away: redis.when_away,
            prefix: format!("portcullis:{{{deployment:.16}}}:"),
            metrics,
            circuit: Circuit::default(),
            connection: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
        }))))
    }

    /// Whether Redis was away when it was last tried.
    pub fn is_degraded(&self) -> bool {
        self.0.circuit.is_open()
    }

    /// What the operator wants while Redis is away.
    pub fn when_away(&self) -> WhenAway {
        self.0.when_away
    }

    /// The value of a key, if it has one.
    pub async fn find(&self, key: &str) -> Result<Option<Vec<u8>>, Away> {
        Ok(bytes(self.command(cmd("GET").arg(self.0.key(key))).await?))
    }

    /// The value of a key, if it has one, which then lives for `life` from now on.
    pub async fn find_and_keep(&self, key: &str, life: Duration) -> Result<Option<Vec<u8>>, Away> {
        let mut command = cmd("GETEX");
        command.arg(self.0.key(key)).arg("PX").arg(millis(life));
        Ok(bytes(self.command(&command).await?))
    }

    /// Sets a key; it ends by itself after `life`, which is at least a millisecond.
    pub async fn set(&self, key: &str, value: &[u8], life: Duration) -> Result<(), Away> {
        let mut command = cmd("SET");
        command
            .arg(self.0.key(key))
            .arg(value)
            .arg("PX")
            .arg(millis(life));
        self.command(&command).await.map(|_| ())
    }

    /// Sets a key that has no value yet; says whether it did.
    pub async fn set_if_absent(
        &self,
        key: &str,
        value: &[u8],
        life: Duration,
    ) -> Result<bool, Away> {
        let mut command = cmd("SET");
        command.arg(self.0.key(key)).arg(value);
        command.arg("NX").arg("PX").arg(millis(life));
        Ok(self.command(&command).await? == Value::Okay)
    }

    /// Removes a key; says whether there was one.
    pub async fn delete(&self, key: &str) -> Result<bool, Away> {
        Ok(self.command(cmd("DEL").arg(self.0.key(key))).await? == Value::Int(1))
    }

    /// Runs a script that gives whole numbers. A Redis that does not know it yet is told.
    pub async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[i64],
    ) -> Result<Vec<i64>, Away> {
        let command = |name, text: &str| {
            let mut command = cmd(name);
            command.arg(text).arg(keys.len());
            for key in keys {
                command.arg(self.0.key(key));
            }
            command.arg(arguments);
            command
        };
        let by_name = command("EVALSHA", script.sha1());
        let pass = self.0.circuit.pass().ok_or(Away)?;
        let ask = async |connection: &Connection| match connection.send(&by_name).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection.send(&command("EVAL", script.text())).await
            }
            result => result,
        };
        match self.0.tried(pass, PATIENCE, ask).await? {
            Value::Array(values) => Ok(values.iter().filter_map(number).collect()),
            other => Ok(number(&other).into_iter().collect()),
        }
    }

    /// Looks whether Redis is there, and connects if need be. Called every second or so, it notices
    /// both ends of an outage while no request does, and gives slow connections their time.
    pub async fn keep_warm(&self) {
        let pass = self.0.circuit.regular();
        let probe = self.0.probe();
        let ask = async |connection: &Connection| connection.send(&probe).await;
        let _known = self.0.tried(pass, LONG_PATIENCE, ask).await;
    }

    async fn command(&self, command: &Cmd) -> Result<Value, Away> {
        let pass = self.0.circuit.pass().ok_or(Away)?;
        let ask = async |connection: &Connection| connection.send(command).await;
        self.0.tried(pass, PATIENCE, ask).await
    }
}

impl Inner {
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn probe(&self) -> Cmd {
        let mut probe = cmd("EVAL");
        probe.arg(PROBE).arg(1).arg(self.key("probe"));
        probe
    }

    /// Asks in time, and takes note of how that went.
    async fn tried(
        &self,
        pass: Pass<'_>,
        patience: Duration,
        ask: impl AsyncFnOnce(&Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, Away> {
        let is_probe = pass.is_probe();
        let asked = timeout(patience, Box::pin(self.ask(is_probe, ask))).await;
        let result = asked.unwrap_or_else(|_| Err(Cause("no answer in time".to_owned())));
        match result {
            Ok(value) => {
                self.note(pass.succeeded(), None);
                Ok(value)
            }
            Err(cause) => {
                // Whether the connection is of use again is for a new one to find out.
                *self.connection() = None;
                self.note(pass.failed(), Some(&cause));
                Err(Away)
            }
        }
    }

    async fn ask(
        &self,
        is_probe: bool,
        ask: impl AsyncFnOnce(&Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, Cause> {
        if is_probe {
            *self.connection() = None;
        }
        let connection = self.connected().await?;
        // A Redis that is full still reads: only what writes shows that it is back.
        if is_probe {
            connection.send(&self.probe()).await?;
        }
        Ok(ask(&connection).await?)
    }

    fn connection(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn connected(&self) -> Result<Arc<Connection>, RedisError> {
        let open = self.connection().clone();
        if let Some(open) = open {
            return Ok(open);
        }
        let _turn = self.dialling.lock().await;
        let open = self.connection().clone();
        if let Some(open) = open {
            return Ok(open);
        }
        let open = Arc::new(self.dialler.dial().await?);
        *self.connection() = Some(Arc::clone(&open));
        Ok(open)
    }

    /// One line when it goes away and one when it is back, however many requests notice.
    fn note(&self, change: Change, cause: Option<&Cause>) {
        let redis = self.dialler.url();
        match change {
            Change::WentAway => {
                let cause = cause.map_or("", |cause| cause.0.as_str());
                tracing::warn!(%redis, cause, "Redis is away; replicas share nothing until it is back");
            }
            Change::CameBack => tracing::info!(%redis, "Redis is back"),
            Change::Nothing => return,
        }
        self.metrics.redis_degraded(change == Change::WentAway);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}
