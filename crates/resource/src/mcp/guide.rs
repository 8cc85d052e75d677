//! The prompt `usage-guide`: how to use this server, in words.

use std::fmt::Write;

use super::Registry;

/// The name of the prompt.
pub(super) const NAME: &str = "usage-guide";
/// What it is for.
pub(super) const DESCRIPTION: &str = "Explains the tools of this server and the scopes they need.";

/// The text of the guide.
pub(super) fn text(registry: &Registry) -> String {
    let options = registry.options();
    let mut text = format!(
        "{} {} is an MCP server behind OAuth 2.1. Each tool needs scopes of the access token; a \
         call without them is refused with a challenge that names every scope it needs, and a \
         client can ask the user for those.\n\nTools\n",
        options.name, options.version
    );
    for tool in registry.tools() {
        let card = tool.card();
        let person = if card.needs_user {
            "; a person must be logged in"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "- {}: {} (scope {}{person})",
            card.name, card.description, card.scopes
        );
    }
    text.push_str("\nScopes\n");
    for scope in options.scopes.declarations() {
        let _ = writeln!(text, "- {}: {}", scope.name, scope.text);
    }
    text.push_str(
        "\nArguments that break a tool's schema come back as a result with isError that names the \
         field: correct it and call again.\n",
    );
    text
}
