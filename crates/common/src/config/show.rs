//! The configuration as it was written, for people; secrets are never shown.

use toml::Value;

use super::keys::{KEYS, Key};
use super::raw::{Raw, Sources};

/// A key, what it was set to, and where.
#[derive(Clone, Debug)]
pub struct Written {
    /// The key.
    pub key: &'static Key,
    /// The value as text, or the default; a secret is only said to be set.
    pub value: String,
    /// Where it was set; `None` for a default.
    pub place: Option<String>,
}

/// Every key with its value, in the order of the documentation.
pub fn written(sources: Sources<'_>) -> Vec<Written> {
    let mut raw = Raw::gather(sources);
    KEYS.iter()
        .map(|key| {
            let text = raw.optional(key.section, key.name, |value| Ok(text_of(value)));
            let place = text.is_some().then(|| raw.place(key.section, key.name));
            let value = match text {
                Some(_) if key.secret => "(set, not shown)".to_owned(),
                Some(text) => text,
                None => key.default.to_owned(),
            };
            Written { key, value, place }
        })
        .collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
