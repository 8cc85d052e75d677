//! Lends a Redis of its own to every test that asks for one.
//!
//! Each connection to the socket is one loan. Its first line is the address of a fresh Redis; then
//! `stop`, `start`, `freeze` and `thaw` are each answered with `ok` or a line that says what is wrong.
//! The container goes when the connection does, so a test that dies leaves none behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use testcontainers::{ImageExt as _, TestcontainersError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::engine::{Engine, Failure, Running};
use crate::images::REDIS;
use crate::patience;

const LONGEST_START: Duration = Duration::from_secs(30);
/// Nothing is kept, and whoever reaches the published port may use it: that is this machine alone.
const COMMAND: [&str; 9] = [
    "redis-server",
    "--bind",
    "0.0.0.0",
    "--protected-mode",
    "no",
    "--save",
    "",
    "--appendonly",
    "no",
];

/// The place where tests ask.
pub(crate) struct Lending {
    socket: PathBuf,
    lent: Arc<AtomicUsize>,
    desk: JoinHandle<()>,
    _folder: TempDir,
}

impl Lending {
    /// Opens it, in a folder that only this account can enter.
    pub(crate) fn open(engine: Engine) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("redis");
        let listener = UnixListener::bind(&socket)?;
        let lent = Arc::new(AtomicUsize::new(0));
        let desk = tokio::spawn(serve(listener, engine, Arc::clone(&lent)));
        Ok(Self {
            socket,
            lent,
            desk,
            _folder: folder,
        })
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// How many tests have been lent one so far.
    pub(crate) fn lent(&self) -> usize {
        self.lent.load(Ordering::SeqCst)
    }

    /// Takes everything back that is still out.
    pub(crate) async fn end(self) {
        self.desk.abort();
        // It was told to end, and did.
        let _ = self.desk.await;
    }
}

/// Sees to it that the image is there and runs, before a test waits for it.
pub(crate) async fn try_image(engine: &Engine) -> Result<(), Failure> {
    let running = start(engine).await?;
    running
        .container
        .rm()
        .await
        .map_err(|cause| REDIS.fails(cause))
}

async fn serve(listener: UnixListener, engine: Engine, lent: Arc<AtomicUsize>) {
    let mut loans = JoinSet::new();
    while let Ok((test, _)) = listener.accept().await {
        let (engine, lent) = (engine.clone(), Arc::clone(&lent));
        loans.spawn(async move {
            // A test that went away needs no answer.
            let _ = lend(test, &engine, &lent).await;
        });
        while loans.try_join_next().is_some() {}
    }
}

async fn lend(test: UnixStream, engine: &Engine, lent: &AtomicUsize) -> io::Result<()> {
    let (orders, mut answers) = test.into_split();
    let redis = match start(engine).await {
        Ok(redis) => redis,
        Err(failure) => return answers.write_all(format!("{failure}\n").as_bytes()).await,
    };
    lent.fetch_add(1, Ordering::SeqCst);
    let address = format!("127.0.0.1:{}\n", redis.port);
    answers.write_all(address.as_bytes()).await?;
    let mut orders = BufReader::new(orders).lines();
    while let Some(order) = orders.next_line().await? {
        let answer = match obey(&redis, &order).await {
            Ok(()) => "ok\n".to_owned(),
            Err(cause) => format!("{cause}\n"),
        };
        answers.write_all(answer.as_bytes()).await?;
    }
    redis.container.rm().await.map_err(io::Error::other)
}

async fn obey(redis: &Running, order: &str) -> Result<(), TestcontainersError> {
    match order {
        // No time to say goodbye, as a crash gives none.
        "stop" => redis.container.stop_with_timeout(Some(0)).await,
        "start" => {
            redis.container.start().await?;
            Ok(wait(redis).await?)
        }
        "freeze" => redis.container.pause().await,
        "thaw" => redis.container.unpause().await,
        unknown => Err(io::Error::other(format!("unknown order {unknown}")).into()),
    }
}

async fn start(engine: &Engine) -> Result<Running, Failure> {
    let running = engine
        .start(REDIS, 6379, |request| request.with_cmd(COMMAND))
        .await?;
    wait(&running).await.map_err(|cause| REDIS.fails(cause))?;
    Ok(running)
}

/// Waits until it answers: the published port is open before Redis is.
async fn wait(redis: &Running) -> io::Result<()> {
    let answer = patience::until(LONGEST_START, || async { ping(redis.port).await.ok() }).await;
    answer.ok_or_else(|| io::Error::other("Redis does not answer"))
}

async fn ping(port: u16) -> io::Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.write_all(b"PING\r\nQUIT\r\n").await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    match answer.starts_with("+PONG") {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}
