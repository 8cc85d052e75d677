//! A metadata document, fetched as clients fetch it.

use http::StatusCode;
use serde_json::{Map, Value};

use super::probe::Probe;

/// A JSON object and where it stands.
pub(super) struct Document {
    pub(super) url: String,
    pub(super) members: Map<String, Value>,
    /// Whether its type says JSON.
    pub(super) is_json: bool,
}

impl Document {
    /// Fetches it; otherwise the reason in words.
    pub(super) async fn load(probe: &Probe, url: &str) -> Result<Self, String> {
        if !probe.permits(url) {
            return Err(format!("{url} is no https URL that may be asked from here"));
        }
        let answer = probe.get(url).await.map_err(|error| error.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!("{url}: {}", answer.summary()));
        }
        let members = answer.object().ok_or_else(|| {
            format!("{url}: 200, but not one JSON object without repeated members")
        })?;
        Ok(Self {
            url: url.to_owned(),
            is_json: answer.is_json(),
            members,
        })
    }

    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// A member that is a list of texts.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        let list = self.members.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    /// Whether a member is `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.members.get(name) == Some(&Value::Bool(true))
    }
}
