//! Where the configuration comes from: the file, the environment, secret files.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_common::config::{self, Config, Problem, Role, Sources, Written};

/// The environment of the process, read once.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process; variables that are not UTF-8 are passed over.
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "main hands the environment in")]
        let variables = std::env::vars_os();
        Self(
            variables
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// The value of a variable.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Environment")
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The named file cannot be read.
    #[error("the configuration file {path} cannot be read: {cause}")]
    File {
        /// The file.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// Mistakes, all of them.
    #[error("the configuration has {} to mend:\n{}", count(.0), lines(.0))]
    Problems(Vec<Problem>),
}

fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "one mistake".to_owned(),
        number => format!("{number} mistakes"),
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect();
    lines.join(
        "
",
    )
}

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "portcullis.toml";

/// The text of the configuration file: the named one must exist, the default one may.
fn file_text(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(SettingsError::File {
            path: path.display().to_string(),
            cause,
        }),
    }
}

fn with_sources<T>(
    file: Option<&Path>,
    environment: &Environment,
    use_them: impl FnOnce(Sources<'_>) -> T,
) -> Result<T, SettingsError> {
    let text = file_text(file)?;
    Ok(use_them(Sources {
        file: text
            .as_ref()
            .map(|(path, text)| (path.as_path(), text.as_str())),
        environment: &environment.0,
        read_secret: &|path| std::fs::read_to_string(path),
    }))
}

/// Reads the configuration for these servers.
pub(crate) fn load(
    role: Role,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Config, SettingsError> {
    with_sources(file, environment, |sources| config::load(role, sources))?
        .map_err(SettingsError::Problems)
}

/// Every key as it was written.
pub(crate) fn written(
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Vec<Written>, SettingsError> {
    with_sources(file, environment, config::written)
}

/// What is loosened on purpose, one line each, for the log at start.
pub(crate) fn loosened(config: &Config, environment: &Environment) -> Vec<String> {
    let mut lines = Vec::new();
    let named = environment.0.iter().filter_map(|(name, path)| {
        let is_secret = name.starts_with("PORTCULLIS_") && name.ends_with("_FILE");
        is_secret.then_some(Path::new(path))
    });
    let tls_key = config.server.tls.as_ref().map(|files| files.key.as_path());
    for path in named.chain(tls_key) {
        let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
        if let Ok(mode) = mode
            && mode & 0o077 != 0
        {
            let path = path.display();
            lines.push(format!(
                "{path} has mode {mode:o}; make it 600: others can read a secret"
            ));
        }
    }
    if let Some(headers) = &config.server.client_certificate_headers {
        lines.push(format!(
            "whoever speaks for [server] trusted_proxies says in {} and {} which client came: each \
             of them must write both anew in every request",
            headers.verdict, headers.subject
        ));
    }
    for server in &config.resource.authorization_servers {
        for kind in server.token_types.iter().filter(|kind| *kind != "at+jwt") {
            let issuer = &server.issuer;
            lines.push(format!(
                "tokens of {issuer} may have the type {kind}, not only at+jwt"
            ));
        }
    }
    lines
}
