//! The address of the database.

use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use super::StoreError;

/// A `[store] url`, read.
#[derive(Clone, Debug)]
pub(super) enum StoreUrl {
    /// Exactly the file used.
    Sqlite(PathBuf),
    /// A PostgreSQL server and database.
    Postgres(Box<PgConnectOptions>),
}

impl StoreUrl {
    /// Reads `sqlite://relative`, `sqlite:///absolute` or `postgres://…`.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return sqlite_path(path).map(Self::Sqlite);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return PgConnectOptions::from_str(text)
                .map(|options| Self::Postgres(Box::new(options)))
                // The cause may repeat the text, and the text may hold a password.
                .map_err(|_| StoreError::Url("it is not a PostgreSQL address".to_owned()));
        }
        Err(StoreError::Url(
            "it must begin with sqlite:// or postgres://".to_owned(),
        ))
    }
}

/// Everything after `sqlite://` is the path, unread: the address names exactly the file used.
fn sqlite_path(path: &str) -> Result<PathBuf, StoreError> {
    let refuse = |why: &str| Err(StoreError::Url(why.to_owned()));
    if path.is_empty() || path.ends_with('/') {
        return refuse("it names no file");
    }
    if path.starts_with(':') {
        return refuse("a database in memory is not supported: it would lose keys at every start");
    }
    if path.contains(['?', '#']) {
        return refuse("options after the file are not supported");
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Option<&str>) {
        let path = match StoreUrl::parse(input) {
            Ok(StoreUrl::Sqlite(path)) => Some(path),
            Ok(StoreUrl::Postgres(_)) => Some(PathBuf::from("postgres")),
            Err(_) => None,
        };
        assert_eq!(path, expected.map(PathBuf::from), "{input}");
    }

    #[test]
    fn an_address_names_exactly_the_file_used() {
        check("sqlite://data/p.db", Some("data/p.db"));
        check("sqlite://p.db", Some("p.db"));
        check("sqlite:///var/lib/p%20.db", Some("/var/lib/p%20.db"));
        check("postgres://u:p@h/db", Some("postgres"));
        check("postgresql://h/db", Some("postgres"));
    }

    #[test]
    fn other_addresses_are_refused() {
        for wrong in [
            "",
            "p.db",
            "mysql://h/db",
            "sqlite:p.db",
            "sqlite://",
            "sqlite://data/",
            "sqlite://:memory:",
            "sqlite://p.db?mode=memory",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_password() {
        let error = StoreUrl::parse("postgres://u:hunter2@h:notaport/db").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
