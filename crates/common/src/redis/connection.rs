//! One connection, which all commands share.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, RedisError, Value};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::RedisUrl;

/// Opens connections. The certificate is checked against the system's authorities and the operator's.
#[derive(Debug)]
pub(super) struct Dialler {
    url: RedisUrl,
    tls: Option<TlsParts>,
}

struct TlsParts {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Dialler {
    pub(super) fn new(url: RedisUrl, ca_file: Option<&Path>) -> io::Result<Self> {
        let tls = match url.is_tls {
            false => None,
            true => Some(TlsParts {
                connector: TlsConnector::from(Arc::new(crate::outbound::tls(ca_file)?)),
                name: ServerName::try_from(url.host.clone()).map_err(io::Error::other)?,
            }),
        };
        Ok(Self { url, tls })
    }

    pub(super) const fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// Connects and logs in.
    pub(super) async fn dial(&self) -> Result<Connection, RedisError> {
        let tcp = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => self.log_in(tcp).await,
            Some(tls) => {
                let stream = tls.connector.connect(tls.name.clone(), tcp).await?;
                self.log_in(stream).await
            }
        }
    }

    async fn log_in<S>(&self, stream: S) -> Result<Connection, RedisError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        // Our own time-outs are around everything.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (commands, driver) =
            MultiplexedConnection::new_with_config(&self.url.login, stream, config).await?;
        let driver = tokio::spawn(driver).abort_handle();
        Ok(Connection { commands, driver })
    }
}

impl std::fmt::Debug for TlsParts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsParts")
    }
}

/// A connection that is logged in. It is closed when the last command on it is done.
#[derive(Debug)]
pub(super) struct Connection {
    commands: MultiplexedConnection,
    driver: AbortHandle,
}

impl Connection {
    pub(super) async fn send(&self, command: &::redis::Cmd) -> Result<Value, RedisError> {
        self.commands.clone().send_packed_command(command).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // One that waits for an answer would keep the connection for ever.
        self.driver.abort();
    }
}
