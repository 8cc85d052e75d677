//! `portcullis user add|list|remove|disable|enable|password|role`

use std::io::Read as _;
use std::pin::Pin;

use portcullis_authz::accounts::admin::{self, AccountAdminError, NewAccount};
use portcullis_authz::accounts::{Account, Role, Username};
use portcullis_authz::store::Store;
use portcullis_common::audit::Event;
use portcullis_common::clock::SystemClock;
use portcullis_common::config::Role as ServerRole;
use portcullis_common::entropy::SystemEntropy;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::recorded::Recorder;
use super::{Context, Failure, Sentence};
use crate::cli::{User, UserAdd, UserPassword};

/// More than any password, so that a longer one is refused and not cut.
const MAX_INPUT: u64 = 4096;

pub(super) async fn run(context: Context<'_>, command: User) -> Result<(), Failure> {
    let config = context.config(ServerRole::Both)?;
    if let User::List { json } = command {
        let store = context.store(&config).await?;
        let result = list(context, &store, json).await;
        store.close().await;
        return result;
    }
    let recorder = Recorder::open(&config)?;
    let store = context.store(&config).await?;
    let result = change(context, (&store, recorder), command).await;
    store.close().await;
    result
}

/// Every command that changes something, each with its event.
async fn change(
    context: Context<'_>,
    (store, recorder): (&Store, Recorder),
    command: User,
) -> Result<(), Failure> {
    match command {
        User::List { .. } => Ok(()),
        User::Add(options) => add(context, (store, recorder), options).await,
        User::Password(options) => password(context, (store, recorder), options).await,
        User::Remove(one) => {
            let change = Box::pin(admin::remove(store, &one.name));
            let name = changed(recorder, Event::UserRemoved, "", change).await?;
            say(context, one.json, name.as_str(), "removed");
            Ok(())
        }
        User::Disable(one) => {
            let change = Box::pin(admin::disable(store, &SystemClock, &one.name));
            let name = changed(recorder, Event::UserDisabled, "", change).await?;
            say(context, one.json, name.as_str(), "disabled");
            Ok(())
        }
        User::Enable(one) => {
            let change = Box::pin(admin::enable(store, &one.name));
            let name = changed(recorder, Event::UserEnabled, "", change).await?;
            say(context, one.json, name.as_str(), "enabled");
            Ok(())
        }
        User::Role { name, role, json } => {
            let change = Box::pin(admin::set_role(store, &name, parse_role(&role)?));
            let name = changed(recorder, Event::UserRoleSet, &role, change).await?;
            say(context, json, name.as_str(), &role);
            Ok(())
        }
    }
}

/// A change to the account that it answers; boxed, because such futures are large.
type Change<'a> = Pin<Box<dyn Future<Output = Result<Username, AccountAdminError>> + 'a>>;

/// Makes a change, and its record.
async fn changed(
    recorder: Recorder,
    event: Event,
    target: &str,
    change: Change<'_>,
) -> Result<Username, Failure> {
    let change = recorder.change(event, async |record| {
        let name = change.await?;
        record.username(name.as_str());
        if !target.is_empty() {
            record.target(target);
        }
        Ok::<_, AccountAdminError>(name)
    });
    change.await
}

async fn add(
    context: Context<'_>,
    (store, recorder): (&Store, Recorder),
    options: UserAdd,
) -> Result<(), Failure> {
    let password = read_password(options.password_stdin)?;
    let new = NewAccount {
        username: options.name,
        email: options.email,
        role: parse_role(&options.role)?,
        password: password.to_string(),
    };
    let change = recorder.change(Event::UserAdded, async |record| {
        let account = admin::add(store, &SystemClock, &SystemEntropy, new).await?;
        record
            .subject(account.id.as_str())
            .username(account.username.as_str())
            .target(account.role.name());
        Ok::<_, AccountAdminError>(account)
    });
    let account = change.await?;
    if options.json {
        context.output.json(&as_json(&account));
    } else {
        let role = account.role.name();
        let name = &account.username;
        context
            .output
            .line(format_args!("{name} can log in ({role})."));
    }
    Ok(())
}

async fn list(context: Context<'_>, store: &Store, json: bool) -> Result<(), Failure> {
    let accounts = admin::list(store).await?;
    if json {
        let values = accounts.iter().map(as_json).collect();
        context.output.json(&Value::Array(values));
        return Ok(());
    }
    if accounts.is_empty() {
        context
            .output
            .note("There are no users yet: the first start of the server makes admin.");
    }
    for account in accounts {
        context.output.line(format_args!(
            "{}  {}  {}",
            account.username,
            account.role.name(),
            account.state.name()
        ));
    }
    Ok(())
}

async fn password(
    context: Context<'_>,
    (store, recorder): (&Store, Recorder),
    options: UserPassword,
) -> Result<(), Failure> {
    let password = read_password(options.password_stdin)?;
    let (clock, entropy) = (&SystemClock, &SystemEntropy);
    let change = Box::pin(admin::set_password(
        store,
        clock,
        entropy,
        &options.name,
        &password,
    ));
    let name = changed(recorder, Event::UserPasswordSet, "", change).await?;
    if options.json {
        context
            .output
            .json(&json!({ "username": name.as_str(), "password": "changed" }));
    } else {
        context.output.line(format_args!(
            "{name} has a new password; sessions and grants have ended."
        ));
    }
    Ok(())
}

fn say(context: Context<'_>, json: bool, name: &str, state: &str) {
    if json {
        context
            .output
            .json(&json!({ "username": name, "state": state }));
    } else {
        context.output.line(format_args!("{name} is {state}."));
    }
}

fn parse_role(text: &str) -> Result<Role, Failure> {
    Role::parse(text).ok_or_else(|| {
        let known = Role::ALL.map(Role::name).join(", ");
        Sentence::failure(format!("{text} is not one of: {known}"))
    })
}

/// The password, from standard input, without the line feed at its end. An argument would stand in
/// the list of processes and in the history of the shell.
fn read_password(from_stdin: bool) -> Result<Zeroizing<String>, Failure> {
    if !from_stdin {
        return Err(Sentence::failure(
            "hand the password in on standard input, with --password-stdin",
        ));
    }
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(MAX_INPUT).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Zeroizing::new(
        line.strip_suffix('\r').unwrap_or(line).to_owned(),
    ))
}

fn as_json(account: &Account) -> Value {
    json!({
        "id": account.id.as_str(),
        "username": account.username.as_str(),
        "email": account.email,
        "email_verified": account.email_verified,
        "role": account.role.name(),
        "state": account.state.name(),
        "created_at": account.created_at.seconds(),
    })
}
