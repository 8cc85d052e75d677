//! `/docs`: the API for people, in plain HTML without script.

use std::fmt::Write;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, header};
use axum::routing::get;

use super::{DOCS_PATH, ME_PATHS, OPENAPI_PATH, PROBES_PATH, TOOLS_PATH};
use crate::mcp::{RegisteredTool, Registry};

const STYLE_PATH: &str = "/docs/style.css";

/// Nothing but our own style sheet: no script, no frame, no other origin.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem}
h1,h2,h3{line-height:1.2}
code,pre{font:.9rem/1.4 ui-monospace,monospace}
pre{overflow-x:auto;padding:.75rem;border:1px solid #8886;border-radius:.4rem}
dt{margin-top:.75rem}
dd{margin-left:1rem}
section{border-top:1px solid #8886;margin-top:1.5rem}
";

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

const STYLE_HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/css; charset=utf-8"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "public, max-age=3600"),
];

/// The page and its style sheet.
pub(super) fn router(registry: &Registry) -> Router {
    let page = Bytes::from(page(registry));
    Router::new()
        .route(DOCS_PATH, get(async move || (PAGE_HEADERS, page.clone())))
        .route(STYLE_PATH, get(async || (STYLE_HEADERS, STYLE)))
}

fn page(registry: &Registry) -> String {
    let options = registry.options();
    let name = escape(&options.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: API</title>\n<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n</head>\n\
         <body>\n<h1>{name} <small>{}</small></h1>\n\
         <p>Every call needs an access token: <code>Authorization: Bearer …</code>. \
         The same tools are served to MCP clients at <code>/mcp</code>. \
         For programs there is <a href=\"{OPENAPI_PATH}\">the OpenAPI document</a>.</p>\n\
         <h2>Who am I</h2>\n<p><code>GET {}</code> tells what the token says.</p>\n\
         <h2>Probes</h2>\n<p><code>GET {PROBES_PATH}/read</code>, <code>/write</code> and \
         <code>/infer</code> answer when the token has that scope.</p>\n\
         <h2>Tools</h2>\n<p><code>GET {TOOLS_PATH}</code> lists them.</p>\n",
        escape(&options.version),
        ME_PATHS.first().copied().unwrap_or_default(),
    );
    for tool in registry.tools() {
        section(&mut page, tool);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn section(page: &mut String, tool: &RegisteredTool) {
    let card = tool.card();
    let person = if card.needs_user {
        " A person must be logged in."
    } else {
        ""
    };
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<section>\n<h3>{}</h3>\n<p><code>POST {TOOLS_PATH}/{}</code></p>\n<p>{}</p>\n\
         <p>Scope: <code>{}</code>.{person}</p>\n<dl>\n",
        escape(card.title),
        escape(card.name),
        escape(card.description),
        escape(card.scopes),
    );
    let schema = tool.input_schema();
    let required = schema.get("required").and_then(|list| list.as_array());
    let members = schema.get("properties").and_then(|list| list.as_object());
    for (name, member) in members.into_iter().flatten() {
        let is_required = required.is_some_and(|list| list.iter().any(|one| one == name));
        let description = member.get("description").and_then(|text| text.as_str());
        let _ = writeln!(
            page,
            "<dt><code>{}</code>{}</dt><dd>{}</dd>",
            escape(name),
            if is_required { " (required)" } else { "" },
            escape(description.unwrap_or_default()),
        );
    }
    page.push_str("</dl>\n</section>\n");
}

/// Makes a text safe between tags and within quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<a href=\"x\">'&"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
        );
    }
}
