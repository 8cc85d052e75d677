//! `portcullis key list|rotate`

use portcullis_authz::keys::admin::{self, KeySummary};
use portcullis_common::clock::{SystemClock, Timestamp};
use portcullis_common::config::Role;
use portcullis_common::entropy::SystemEntropy;
use serde_json::{Value, json};

use super::{Context, Failure};
use crate::cli::Key;

pub(super) async fn run(context: Context<'_>, command: Key) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    let store = context.store(&config).await?;
    let (keys, json) = match command {
        Key::List { json } => (admin::list(&store).await?, json),
        Key::Rotate { json } => (
            admin::rotate(&store, &config.authz, &SystemClock, &SystemEntropy).await?,
            json,
        ),
    };
    store.close().await;
    if json {
        context
            .output
            .json(&Value::Array(keys.iter().map(as_json).collect()));
        return Ok(());
    }
    if keys.is_empty() {
        context
            .output
            .note("There are no keys yet: the first start of the server makes them.");
    }
    for key in keys {
        let state = key.state.name();
        context.output.line(format_args!(
            "{}  {}  {state}",
            key.kid,
            key.algorithm.name()
        ));
    }
    Ok(())
}

fn as_json(key: &KeySummary) -> Value {
    let seconds = |time: Option<Timestamp>| time.map(Timestamp::seconds);
    json!({
        "kid": key.kid,
        "alg": key.algorithm.name(),
        "state": key.state.name(),
        "created_at": key.created_at.seconds(),
        "activated_at": seconds(key.activated_at),
        "retired_at": seconds(key.retired_at),
        "published_until": seconds(key.published_until),
    })
}
