//! What happened.

use std::net::IpAddr;

/// Longest text in a record, in characters.
const MAX_TEXT: usize = 256;

/// What happened, or was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server began to answer.
    ServerStarted,
    /// A server ended in order.
    ServerStopped,
    /// Somebody sent name and password.
    Login,
    /// Somebody sent name and password while that pair of account and source was locked.
    LoginLocked,
    /// A browser session was ended by its person.
    Logout,
    /// A person decided about a client.
    Consent,
    /// A client was sent an authorization code.
    CodeIssued,
    /// A client asked for a token.
    Token,
    /// A code or a refresh token came back that was spent before.
    TokenReuse,
    /// A client gave a token back.
    Revocation,
    /// A client asked about a token and may not.
    Introspection,
    /// A client could not prove who it is.
    ClientAuthentication,
    /// A client registered itself (RFC 7591).
    ClientRegistered,
    /// A client changed its registration (RFC 7592).
    ClientChanged,
    /// A client removed itself (RFC 7592), or an operator did.
    ClientRemoved,
    /// An operator made a client.
    ClientAdded,
    /// An operator made an initial access token.
    ClientInvited,
    /// An operator, or the first start, made an account.
    UserAdded,
    /// An operator removed an account.
    UserRemoved,
    /// An operator disabled an account.
    UserDisabled,
    /// An operator enabled an account.
    UserEnabled,
    /// An operator set a password.
    UserPasswordSet,
    /// An operator set a role.
    UserRoleSet,
    /// Another key signs from now on.
    KeyRotated,
    /// A tool was called.
    ToolCall,
    /// A token was presented for something else than a tool, and refused.
    Access,
    /// Records were lost because they could not be written in time.
    RecordsLost,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::ServerStarted,
        Self::ServerStopped,
        Self::Login,
        Self::LoginLocked,
        Self::Logout,
        Self::Consent,
        Self::CodeIssued,
        Self::Token,
        Self::TokenReuse,
        Self::Revocation,
        Self::Introspection,
        Self::ClientAuthentication,
        Self::ClientRegistered,
        Self::ClientChanged,
        Self::ClientRemoved,
        Self::ClientAdded,
        Self::ClientInvited,
        Self::UserAdded,
        Self::UserRemoved,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserPasswordSet,
        Self::UserRoleSet,
        Self::KeyRotated,
        Self::ToolCall,
        Self::Access,
        Self::RecordsLost,
    ];

    /// Its name in the line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerStarted => "server_started",
            Self::ServerStopped => "server_stopped",
            Self::Login => "login",
            Self::LoginLocked => "login_locked",
            Self::Logout => "logout",
            Self::Consent => "consent",
            Self::CodeIssued => "code_issued",
            Self::Token => "token",
            Self::TokenReuse => "token_reuse",
            Self::Revocation => "revocation",
            Self::Introspection => "introspection",
            Self::ClientAuthentication => "client_authentication",
            Self::ClientRegistered => "client_registered",
            Self::ClientChanged => "client_changed",
            Self::ClientRemoved => "client_removed",
            Self::ClientAdded => "client_added",
            Self::ClientInvited => "client_invited",
            Self::UserAdded => "user_added",
            Self::UserRemoved => "user_removed",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserPasswordSet => "user_password_set",
            Self::UserRoleSet => "user_role_set",
            Self::KeyRotated => "key_rotated",
            Self::ToolCall => "tool_call",
            Self::Access => "access",
            Self::RecordsLost => "records_lost",
        }
    }
}

/// Who acted, as far as they proved it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Actor {
    /// Nobody proved anything.
    #[default]
    Nobody,
    /// The person who is the subject of the record.
    Subject,
    /// The client of the record.
    Client,
    /// Whoever ran a command, by the number of the system's account where it is known.
    Operator(Option<u32>),
    /// The server itself, by the clock.
    Server,
}

/// How it ended; the words are ours, from a fixed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was refused, for this reason.
    Refused(&'static str),
    /// It was permitted and ended otherwise.
    Failed(&'static str),
}

/// How it ended while nobody has said so.
pub(super) const UNFINISHED: Outcome = Outcome::Failed("unfinished");

/// One event with everything that is known of it. Made by a [`Draft`](super::Draft) only.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// Milliseconds since the Unix epoch, when it ended.
    pub(super) at: i64,
    pub(super) event: Event,
    pub(super) outcome: Outcome,
    pub(super) actor: Actor,
    pub(super) client: Option<Box<str>>,
    pub(super) subject: Option<Box<str>>,
    pub(super) username: Option<Box<str>>,
    /// Whose subject that is; `None` for subjects of our own issuer.
    pub(super) issuer: Option<Box<str>>,
    pub(super) source: Option<IpAddr>,
    pub(super) target: Option<Box<str>>,
    pub(super) grant_type: Option<&'static str>,
    pub(super) scope: Option<Box<str>>,
    pub(super) grant: Option<Box<str>>,
    pub(super) correlation: Option<Box<str>>,
    /// How many records were lost.
    pub(super) lost: Option<u64>,
}

impl AuditRecord {
    /// What an event is before anything is known of it: it did not end as it should.
    pub(super) const fn new(event: Event) -> Self {
        Self {
            at: 0,
            event,
            outcome: UNFINISHED,
            actor: Actor::Nobody,
            client: None,
            subject: None,
            username: None,
            issuer: None,
            source: None,
            target: None,
            grant_type: None,
            scope: None,
            grant: None,
            correlation: None,
            lost: None,
        }
    }
}

/// A text for a record: cut, so that nobody fills the queue or the file with one name.
pub(super) fn cut(text: &str) -> Box<str> {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.into(),
        Some((end, _)) => {
            let mut short = text.get(..end).unwrap_or_default().to_owned();
            short.push('…');
            short.into()
        }
    }
}
