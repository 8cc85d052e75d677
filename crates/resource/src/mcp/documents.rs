//! The resources of the server: documents about itself.

use serde_json::{Value, json};

use super::Registry;
use crate::guard::Caller;

/// The role that may read the settings.
const ADMIN: &str = "admin";

/// A document, and who may know of it.
pub(super) struct Document {
    pub(super) uri: &'static str,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    admin_only: bool,
    read: fn(&Registry) -> Value,
}

const DOCUMENTS: [Document; 2] = [
    Document {
        uri: "portcullis://server-info",
        name: "server-info",
        title: "About this server",
        description: "Name, version, uptime, tools and scopes of this server.",
        admin_only: false,
        read: about,
    },
    Document {
        uri: "portcullis://settings",
        name: "settings",
        title: "Settings",
        description: "How this server is configured, without secrets. For admins.",
        admin_only: true,
        read: |registry| registry.options().settings.clone(),
    },
];

/// The documents that this caller may know of; to anybody else a document does not exist.
pub(super) fn visible(caller: &Caller) -> impl Iterator<Item = &'static Document> {
    let is_admin = caller.has_role(ADMIN);
    DOCUMENTS
        .iter()
        .filter(move |document| is_admin || !document.admin_only)
}

impl Document {
    /// Its text, as indented JSON.
    pub(super) fn text(&self, registry: &Registry) -> String {
        format!("{:#}", (self.read)(registry))
    }
}

fn about(registry: &Registry) -> Value {
    let options = registry.options();
    let tools: Vec<Value> = registry
        .tools()
        .iter()
        .map(|tool| json!({ "name": tool.card().name, "scopes": tool.scopes() }))
        .collect();
    json!({
        "name": options.name,
        "version": options.version,
        "uptime_seconds": registry.uptime().as_secs(),
        "tools": tools,
        "scopes": options.scopes.names(),
    })
}
