//! What a person reads after the start: where everything is, and the lines to paste.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_authz::accounts::Role as AccountRole;
use portcullis_authz::accounts::admin::{self, FirstAccount};
use portcullis_authz::state::AppState;
use portcullis_common::audit::{Actor, AuditTrail, Event};
use portcullis_common::clock::SystemClock;
use portcullis_common::config::{Config, Role};
use portcullis_common::entropy::SystemEntropy;
use serde_json::json;

use super::Failure;
use crate::output::Output;

/// Where the first password goes when nobody looks.
const PASSWORD_FILE: &str = "admin-password";
/// Where data is when the store is no file.
const DATA_FOLDER: &str = "portcullis-data";

/// Makes the account of the first start. Without a terminal its password goes to a file that only
/// the owner can read.
pub(super) async fn first_account(
    output: Output,
    config: &Config,
    authz: &AppState,
    audit: &AuditTrail,
) -> Result<Option<FirstAccount>, Failure> {
    let first = admin::add_first(authz.store(), &SystemClock, &SystemEntropy).await?;
    let Some(account) = &first else {
        return Ok(None);
    };
    let mut record = audit.draft(Event::UserAdded).by(Actor::Server);
    record.username(account.username.as_str());
    record.target(AccountRole::Admin.name()).succeed();
    drop(record);
    if output.is_terminal() {
        return Ok(first);
    }
    let path = data_folder(config).join(PASSWORD_FILE);
    // Whoever reads the log may stand in another folder than the server.
    let path = std::path::absolute(&path).unwrap_or(path);
    match write_secret(&path, account.password.expose()) {
        Ok(()) => tracing::warn!(
            username = account.username.as_str(),
            path = %path.display(),
            "the first account was made; its password is in this file: log in, set another, delete the file"
        ),
        Err(error) => tracing::error!(
            username = account.username.as_str(),
            path = %path.display(),
            %error,
            "the first account was made and its password could not be written; set one with the command user password"
        ),
    }
    Ok(None)
}

/// The folder of the database file, else the usual one.
fn data_folder(config: &Config) -> PathBuf {
    let folder = config.store.url.strip_prefix("sqlite://").and_then(|path| {
        let folder = Path::new(path).parent()?;
        Some(folder.to_owned())
    });
    folder.unwrap_or_else(|| PathBuf::from(DATA_FOLDER))
}

/// Writes a file of mode 0600, whatever the umask, in a folder that is made if it is missing.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    // A file that is there already may be readable by others, or a link to somewhere else.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// What to do next, for a person at a terminal.
pub(super) fn greet(output: Output, role: Role, config: &Config, first: Option<&FirstAccount>) {
    output.line("");
    output.line("Portcullis is up. Ctrl-C stops it.");
    if role != Role::Authz {
        let url = config.resource.identifier.as_str();
        output.line(format_args!("  MCP endpoint   {url}"));
        output.line(format_args!(
            "  documentation  {}/docs",
            config.server.public_url
        ));
    }
    if role != Role::Resource {
        output.line(format_args!("  issuer         {}", config.authz.issuer));
    }
    if let Some(account) = first {
        output.line("");
        output.line("Log in with this account; the password is not shown again:");
        output.line(format_args!("  user name      {}", account.username));
        output.line(format_args!(
            "  password       {}",
            account.password.expose()
        ));
        output.line("  more people    portcullis user add NAME --password-stdin");
    }
    if role != Role::Authz {
        output.line("");
        output.line("Connect a client:");
        for (client, line) in client_lines(config.resource.identifier.as_str()) {
            output.line(format_args!("  {client:14} {line}"));
        }
    }
    output.line("");
}

/// What to paste, client by client.
fn client_lines(url: &str) -> [(&'static str, String); 4] {
    let cursor = json!({ "mcpServers": { "portcullis": { "url": url } } });
    let code = json!({ "name": "portcullis", "type": "http", "url": url });
    [
        (
            "Claude Code",
            format!("claude mcp add --transport http portcullis {url}"),
        ),
        ("VS Code", format!("code --add-mcp '{code}'")),
        ("Cursor", format!("~/.cursor/mcp.json: {cursor}")),
        (
            "MCP Inspector",
            format!("npx @modelcontextprotocol/inspector --transport http --server-url {url}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_belongs_to_its_owner_alone_and_replaces_what_was_there() {
        let folder = std::env::temp_dir().join(format!("portcullis-{}", std::process::id()));
        let path = folder.join("deep").join(PASSWORD_FILE);
        for text in ["one", "two"] {
            write_secret(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        write_secret(&path, "three").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_line_to_paste_names_the_endpoint() {
        let url = "https://mcp.example/mcp";
        for (client, line) in client_lines(url) {
            assert!(line.contains(url), "{client}: {line}");
        }
    }
}
