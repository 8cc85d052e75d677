//! `portcullis key list|rotate`

use portcullis_authz::keys::KeyRingError;
use portcullis_authz::keys::admin::{self, KeySummary};
use portcullis_authz::store::KeyState;
use portcullis_common::audit::Event;
use portcullis_common::clock::{SystemClock, Timestamp};
use portcullis_common::config::{Config, Role};
use portcullis_common::entropy::SystemEntropy;
use serde_json::{Value, json};

use super::recorded::Recorder;
use super::{Context, Failure};
use crate::cli::Key;

pub(super) async fn run(context: Context<'_>, command: Key) -> Result<(), Failure> {
    let config = context.config(Role::Both)?;
    let (keys, json) = match command {
        Key::List { json } => {
            let store = context.store(&config).await?;
            let keys = admin::list(&store).await?;
            store.close().await;
            (keys, json)
        }
        Key::Rotate { json } => (rotate(context, &config).await?, json),
    };
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

async fn rotate(context: Context<'_>, config: &Config) -> Result<Vec<KeySummary>, Failure> {
    let recorder = Recorder::open(config)?;
    let store = context.store(config).await?;
    let keys = recorder
        .change(Event::KeyRotated, async |record| {
            let keys = admin::rotate(&store, &config.authz, &SystemClock, &SystemEntropy).await?;
            if let Some(active) = keys.iter().find(|key| key.state == KeyState::Active) {
                record.target(&active.kid);
            }
            Ok::<_, KeyRingError>(keys)
        })
        .await?;
    store.close().await;
    Ok(keys)
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
