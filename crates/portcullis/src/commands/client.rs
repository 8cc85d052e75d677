//! `portcullis client add|list|show|remove|invite`

use portcullis_authz::clients::Client as Record;
use portcullis_authz::clients::admin::{self, ClientAdminError, NewClient};
use portcullis_authz::clients::registration::admin as registration;
use portcullis_common::audit::Event;
use portcullis_common::clock::SystemClock;
use portcullis_common::config::{Config, GrantType, Registration, Role, TokenEndpointAuthMethod};
use portcullis_common::distinguished_name::DistinguishedName;
use portcullis_common::entropy::SystemEntropy;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_common::scope::Scope;
use serde_json::{Value, json};

use super::recorded::Recorder;
use super::{Context, Failure, Sentence};
use crate::cli::{Client, ClientAdd, ClientInvite};

pub(super) async fn run(context: Context<'_>, command: Client) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    match command {
        Client::Add(options) => add(context, &config, options).await,
        Client::List { json } => list(context, &config, json).await,
        Client::Show { id, json } => show(context, &config, &id, json).await,
        Client::Remove { id, json } => remove(context, &config, &id, json).await,
        Client::Invite(options) => invite(context, &config, &options).await,
    }
}

async fn add(context: Context<'_>, config: &Config, options: ClientAdd) -> Result<(), Failure> {
    let json = options.json;
    let new = new_client(options)?;
    let recorder = Recorder::open(config)?;
    let store = context.store(config).await?;
    let added = recorder
        .change(Event::ClientAdded, async |record| {
            let added = admin::add(&store, config, &SystemClock, &SystemEntropy, new).await?;
            record.target(added.client.id.as_str());
            Ok::<_, ClientAdminError>(added)
        })
        .await?;
    store.close().await;
    let output = context.output;
    let subject = added.client.credential.subject();
    if subject.is_some() && !config.server.learns_of_client_certificates() {
        output.note(
            "Nobody looks at certificates of clients yet: set [server] tls_client_ca or \
             client_certificate_headers.",
        );
    }
    if json {
        let mut value = as_json(&added.client);
        if let (Some(secret), Some(members)) = (&added.secret, value.as_object_mut()) {
            members.insert("client_secret".to_owned(), json!(secret.expose()));
        }
        output.json(&value);
        return Ok(());
    }
    output.line(format_args!("client_id     {}", added.client.id));
    if let Some(subject) = subject {
        output.line(format_args!("subject       {subject}"));
    }
    if let Some(secret) = &added.secret {
        output.line(format_args!("client_secret {}", secret.expose()));
        output.note("The secret is not shown again: keep it where the client can read it.");
    }
    Ok(())
}

fn new_client(options: ClientAdd) -> Result<NewClient, Failure> {
    if options.jwks.is_some() || options.auth_method.as_deref() == Some("private_key_jwt") {
        return Err(Sentence::failure(
            "private_key_jwt is not built yet; use client_secret_basic",
        ));
    }
    let auth_method = options.auth_method.map(|name| {
        TokenEndpointAuthMethod::parse(&name).ok_or_else(|| {
            let known = TokenEndpointAuthMethod::ALL
                .map(TokenEndpointAuthMethod::name)
                .join(", ");
            Sentence::failure(format!("{name} is not one of: {known}"))
        })
    });
    let grant = |name: &String| {
        let known = GrantType::ALL.map(GrantType::name).join(", ");
        GrantType::parse(name)
            .ok_or_else(|| Sentence::failure(format!("{name} is not one of: {known}")))
    };
    let resource = |text: &String| {
        ResourceIndicator::parse(text)
            .map_err(|error| Sentence::failure(format!("{text}: {error}")))
    };
    Ok(NewClient {
        name: options.name,
        id: options.id,
        is_public: options.public,
        auth_method: auth_method.transpose()?,
        certificate_subject: options
            .tls_subject_dn
            .map(|text| DistinguishedName::parse(&text))
            .transpose()?,
        grants: options.grants.iter().map(grant).collect::<Result<_, _>>()?,
        redirect_uris: options.redirect_uris,
        scope: options
            .scope
            .map(|text| text.parse::<Scope>())
            .transpose()?,
        introspect: options
            .introspect
            .iter()
            .map(resource)
            .collect::<Result<_, _>>()?,
    })
}

async fn list(context: Context<'_>, config: &Config, json: bool) -> Result<(), Failure> {
    let store = context.store(config).await?;
    let clients = admin::list(&store, &config.authz).await?;
    store.close().await;
    if json {
        context
            .output
            .json(&Value::Array(clients.iter().map(as_json).collect()));
        return Ok(());
    }
    for client in clients {
        let origin = if client.is_self_registered() {
            "  (registered itself)"
        } else {
            ""
        };
        context
            .output
            .line(format_args!("{}  {:?}{origin}", client.id, client.name));
    }
    Ok(())
}

async fn show(context: Context<'_>, config: &Config, id: &str, json: bool) -> Result<(), Failure> {
    let store = context.store(config).await?;
    let client = admin::show(&store, &config.authz, id).await?;
    store.close().await;
    let value = as_json(&client);
    match value.as_object().filter(|_| !json) {
        None => context.output.json(&value),
        Some(members) => {
            for (name, value) in members {
                context.output.line(format_args!("{name:27} {value}"));
            }
        }
    }
    Ok(())
}

async fn remove(
    context: Context<'_>,
    config: &Config,
    id: &str,
    json: bool,
) -> Result<(), Failure> {
    let recorder = Recorder::open(config)?;
    let store = context.store(config).await?;
    recorder
        .change(Event::ClientRemoved, async |record| {
            admin::remove(&store, &config.authz, &SystemClock, id).await?;
            record.target(id);
            Ok::<_, ClientAdminError>(())
        })
        .await?;
    store.close().await;
    if json {
        context.output.json(&json!({ "removed": id }));
    } else {
        context.output.line(format_args!("{id} is removed."));
    }
    Ok(())
}

async fn invite(
    context: Context<'_>,
    config: &Config,
    options: &ClientInvite,
) -> Result<(), Failure> {
    let recorder = Recorder::open(config)?;
    let store = context.store(config).await?;
    let (uses, ttl) = (options.uses, options.ttl);
    let made = recorder
        .change(Event::ClientInvited, async |_| {
            registration::invite(&store, &SystemClock, &SystemEntropy, uses, ttl).await
        })
        .await?;
    store.close().await;
    let output = context.output;
    if config.authz.registration == Registration::Off {
        output.note("[authz] registration is off: nobody can register until it is open or token.");
    }
    if options.json {
        output.json(&json!({
            "initial_access_token": made.token.expose(),
            "uses": made.uses,
            "expires_at": made.expires_at.seconds(),
        }));
    } else {
        output.line(made.token.expose());
        let clients = if uses == 1 { "client" } else { "clients" };
        let seconds = ttl.as_secs();
        output.note(format_args!(
            "It lets {uses} {clients} register within {seconds} seconds, and is not shown again."
        ));
    }
    Ok(())
}

/// A client in the words of RFC 7591 §2.
fn as_json(client: &Record) -> Value {
    let method = client.credential.method();
    let grants: Vec<&str> = client.grants.iter().map(|grant| grant.name()).collect();
    let subject = client.credential.subject();
    let mut value = json!({
        "client_id": client.id.as_str(),
        "client_name": client.name,
        "token_endpoint_auth_method": method.name(),
        "grant_types": grants,
        "redirect_uris": client.redirect_uris,
        "scope": client.scope,
        "introspect": client.introspect,
        "client_id_issued_at": client.created_at.seconds(),
        "self_registered": client.is_self_registered(),
    });
    if let (Some(subject), Some(members)) = (subject, value.as_object_mut()) {
        members.insert(
            "tls_client_auth_subject_dn".to_owned(),
            json!(subject.to_string()),
        );
    }
    value
}
