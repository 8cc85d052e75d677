//! Where Redis is.

use std::fmt;

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};
use url::Url;

/// Why a text is not the URL of a Redis. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// It has another form.
    #[error("write redis://[user:password@]host[:port][/database], or rediss:// for TLS")]
    Form,
    /// It says more than where Redis is.
    #[error("leave out query and fragment")]
    Extra,
}

/// Where Redis is, and how to log in there. It is never printed whole.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) host: String,
    pub(super) port: u16,
    /// Whether the connection is encrypted (`rediss`).
    pub(super) is_tls: bool,
    pub(super) login: RedisConnectionInfo,
}

impl RedisUrl {
    /// Reads `redis://…` or `rediss://…`, with user, password, port and number of the database
    /// where they are not the usual ones.
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let url = Url::parse(text).map_err(|_| RedisUrlError::Form)?;
        let is_tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisUrlError::Form),
        };
        // `#insecure` would turn off the check of the certificate.
        if url.query().is_some() || url.fragment().is_some() {
            return Err(RedisUrlError::Extra);
        }
        let rest = url.as_str().split_once("://").map(|(_, rest)| rest);
        let plain = format!("redis://{}", rest.ok_or(RedisUrlError::Form)?);
        let info: ConnectionInfo = plain
            .into_connection_info()
            .map_err(|_| RedisUrlError::Form)?;
        let ConnectionAddr::Tcp(host, port) = info.addr().clone() else {
            return Err(RedisUrlError::Form);
        };
        if host.is_empty() || info.redis_settings().db() < 0 {
            return Err(RedisUrlError::Form);
        }
        let login = info.redis_settings().clone().set_skip_set_lib_name();
        Ok(Self {
            host,
            port,
            is_tls,
            login,
        })
    }
}

/// Host and port alone.
impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_login_and_shows_only_where_it_is() {
        let url = RedisUrl::parse("rediss://app:p%40ss@redis.test:7000/3").unwrap();
        assert_eq!(url.login.username(), Some("app"));
        assert_eq!(url.login.password(), Some("p@ss"));
        assert_eq!((url.login.db(), url.is_tls), (3, true));
        assert_eq!(
            format!("{url} {url:?}"),
            "redis.test:7000 RedisUrl(redis.test:7000)"
        );
        let plain = RedisUrl::parse("redis://[::1]").unwrap();
        assert_eq!(
            (plain.host.as_str(), plain.port, plain.is_tls),
            ("::1", 6379, false)
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for wrong in [
            "",
            "hunter2",
            "http://hunter2",
            "redis://",
            "redis://x/hunter2",
            "redis://x/-1",
            "unix:///hunter2",
            "redis:hunter2",
            "rediss://hunter2#insecure",
            "redis://x?hunter2=1",
        ] {
            let error = RedisUrl::parse(wrong).expect_err(wrong);
            assert!(!error.to_string().contains("hunter2"), "{wrong}");
        }
    }
}
