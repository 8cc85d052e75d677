//! The command line.
#![expect(
    clippy::doc_markdown,
    reason = "the texts are help texts, where backticks would stand"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use portcullis_common::config::parse_duration;
use url::Url;

/// OAuth 2.1 for any MCP server: authorization server and protected resource server in one.
///
/// Without a command it runs both on one address, with its data in ./portcullis-data/.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true)]
pub struct Cli {
    /// The configuration file; without it portcullis.toml is read if it is there
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the authorization server and the resource server on one address (the default)
    Serve,
    /// Run the authorization server alone
    Authz,
    /// Run the resource server alone
    Resource,
    /// Bring the database schema up to date
    Migrate(Migrate),
    /// Back a SQLite store up into a new file, also beside a running server
    Backup {
        /// The file to make
        file: PathBuf,
    },
    /// Put a backup in the place of the SQLite store; no server may run on it
    Restore {
        /// The file that `backup` made
        file: PathBuf,
    },
    /// Copy everything from one store into an empty one, such as SQLite into PostgreSQL
    Copy(Copy),
    /// Ask the running server whether it is ready; for container checks
    Health(Health),
    /// Register, list, show, remove and invite clients
    #[command(subcommand)]
    Client(Client),
    /// Add, list, change and remove the people who log in
    #[command(subcommand)]
    User(User),
    /// List and rotate signing keys
    #[command(subcommand)]
    Key(Key),
    /// Get an access token with client credentials and print it
    Token(Token),
    /// Examine an MCP server and its authorization server from outside, whoever made them
    Doctor(Doctor),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The database was just restored from a backup: refuse every code, refresh token, session and
    /// invitation in it, because they may have been used or ended since
    #[arg(long)]
    pub(crate) restored: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The store to copy, as in `[store] url`; without it the one of the configuration
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// The store to copy to, which nobody has used yet
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "to_file",
        conflicts_with = "to_file"
    )]
    pub(crate) to: Option<String>,
    /// A file with the URL to copy to, so that its password is not seen in the list of processes
    #[arg(long, value_name = "FILE")]
    pub(crate) to_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The server to ask; without it the address of the configuration
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Register a client; its secret is printed this once
    Add(ClientAdd),
    /// List the clients
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one client
    Show {
        /// Its client_id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a client; running servers refuse it within a second
    Remove {
        /// Its client_id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an initial access token, with which clients register themselves; it is printed this once
    Invite(ClientInvite),
}

#[derive(Debug, Args)]
pub(crate) struct ClientInvite {
    /// How many clients it lets register
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// How long it lasts, such as 30m, 1h or 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub(crate) ttl: Duration,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ClientAdd {
    /// Its name for people
    pub(crate) name: String,
    /// Its client_id; without it one is made
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// A public client: it has no secret
    #[arg(long)]
    pub(crate) public: bool,
    /// How it authenticates: none, client_secret_basic, client_secret_post, tls_client_auth
    #[arg(long, value_name = "METHOD")]
    pub(crate) auth_method: Option<String>,
    /// The subject of its certificate, such as CN=agent,O=Example; for tls_client_auth
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) tls_subject_dn: Option<String>,
    /// A grant it may use, several times: authorization_code, refresh_token, client_credentials
    #[arg(long = "grant", value_name = "GRANT")]
    pub(crate) grants: Vec<String>,
    /// Where its users may be sent back to, several times
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub(crate) redirect_uris: Vec<String>,
    /// The scopes it may ask for, in one text separated by spaces; without it all
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
    /// Its public keys, for private_key_jwt
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
    /// A resource about whose tokens it may ask, several times
    #[arg(long, value_name = "RESOURCE")]
    pub(crate) introspect: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user
    Add(UserAdd),
    /// List the users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a user; sessions and grants end
    Remove(OneUser),
    /// Keep a user from logging in; sessions and grants end
    Disable(OneUser),
    /// Let a user log in again
    Enable(OneUser),
    /// Set a new password; sessions and grants end
    Password(UserPassword),
    /// Make a user an admin, or no longer
    Role {
        /// The name
        name: String,
        /// admin or user
        role: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OneUser {
    /// The name
    pub(crate) name: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserAdd {
    /// The name
    pub(crate) name: String,
    /// admin or user
    #[arg(long, default_value = "user")]
    pub(crate) role: String,
    /// An address for mail
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserPassword {
    /// The name
    pub(crate) name: String,
    /// Read the password from standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List the signing keys with their states
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the next key sign from now on; the old one stays published while its tokens live
    Rotate {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The client
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,
    /// A file with its secret; without it the variable PORTCULLIS_CLIENT_SECRET, or - for standard
    /// input
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// The scopes to ask for, in one text separated by spaces
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
    /// The MCP server the token is for; without it the one of the configuration
    #[arg(long, value_name = "URL")]
    pub(crate) resource: Option<String>,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The MCP endpoint, as clients write it; without it the one of the configuration
    #[arg(value_name = "URL", value_parser = endpoint)]
    pub(crate) url: Option<Url>,
    /// A client to make requests as, instead of one that registers itself
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// A file with its secret, or - for standard input; a token is then asked for and examined
    #[arg(long, value_name = "FILE", requires = "client_id")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// A redirect URI of this client; with --login the browser comes back there
    #[arg(long, value_name = "URI", requires = "client_id")]
    pub(crate) redirect_uri: Option<String>,
    /// Register no clients
    #[arg(long)]
    pub(crate) no_register: bool,
    /// Print a URL, wait for somebody to log in there, and examine what only that shows; 5m without
    /// a DURATION
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m",
        value_parser = parse_duration
    )]
    pub(crate) login: Option<Duration>,
    /// The origin of the web page that calls are tried for
    #[arg(
        long,
        value_name = "ORIGIN",
        default_value = "https://portcullis-doctor.invalid"
    )]
    pub(crate) origin: String,
    /// A PEM file with authorities to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A URL that can be examined.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !is_http || has_user || url.fragment().is_some() {
        return Err("give an http or https URL without user and fragment".to_owned());
    }
    Ok(url)
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and report every mistake
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show every key with its value and where it was set; secrets are not shown
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
