//! The load: connections that send one prepared request again and again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// What one round of load measured.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Answers per second.
    pub(crate) rate: f64,
    /// The time under which half of the answers came.
    pub(crate) p50: Duration,
    /// The time under which 99 of 100 answers came.
    pub(crate) p99: Duration,
}

/// Sends `request` over `connections` for `time`; every answer must begin with `HTTP/1.1 200`.
pub(crate) fn round(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Result<Round, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let began = Instant::now();
        let end = began + time;
        let tasks: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(connection(address, request.to_vec(), end)))
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.map_err(|error| error.to_string())??);
        }
        let elapsed = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: usize| {
            times
                .get(times.len() * share / 100)
                .copied()
                .unwrap_or_default()
        };
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let rate = times.len() as f64 / elapsed;
        Ok(Round {
            rate,
            p50: at(50),
            p99: at(99),
        })
    })
}

async fn connection(
    address: SocketAddr,
    request: Vec<u8>,
    end: Instant,
) -> Result<Vec<Duration>, String> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let mut times = Vec::with_capacity(100_000);
    let mut buffer = Vec::with_capacity(16 * 1024);
    while Instant::now() < end {
        let sent = Instant::now();
        stream
            .write_all(&request)
            .await
            .map_err(|error| error.to_string())?;
        answer(&mut stream, &mut buffer).await?;
        times.push(sent.elapsed());
    }
    Ok(times)
}

/// Reads one whole answer and checks its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), String> {
    buffer.clear();
    loop {
        let read = stream
            .read_buf(buffer)
            .await
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the server closed the connection".to_owned());
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default()).to_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|text| text.trim().parse::<usize>().ok())
            .ok_or_else(|| format!("an answer without a length: {text}"))?;
        if buffer.len() >= head + 4 + length {
            let status_line = text.lines().next().unwrap_or_default();
            return match status_line.starts_with("http/1.1 200") {
                true => Ok(()),
                false => Err(format!("not 200: {}", String::from_utf8_lossy(buffer))),
            };
        }
    }
}
