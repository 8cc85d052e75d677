//! The OpenAPI 3.1 document of the REST view, built from the schemas of the tools.

use serde_json::{Map, Value, json};

use crate::mcp::{RegisteredTool, Registry};
use crate::rest::{ME_PATHS, PROBES_PATH, TOOLS_PATH};

/// The document. `public_url` is where people reach this server, without a trailing slash.
pub fn document(registry: &Registry, public_url: &str) -> Value {
    let options = registry.options();
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": options.name,
            "version": options.version,
            "description": "The tools of this MCP server over plain HTTP.",
        },
        "servers": [{ "url": public_url }],
        "paths": paths(registry),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of OAuth 2.1, issued for this resource. \
                                    The challenge of a 401 names where to get one.",
                },
            },
            "schemas": { "Error": error_schema() },
        },
    })
}

fn paths(registry: &Registry) -> Map<String, Value> {
    let mut paths = Map::new();
    for (path, summary) in [
        ("/", "Name and status of the server"),
        ("/health", "Whether the server is healthy"),
        ("/livez", "Whether the process lives"),
        ("/readyz", "Whether the server can answer"),
        ("/openapi.json", "This document"),
    ] {
        let operation = operation_id("get", path);
        let answer = json!({ "200": { "description": "The answer" } });
        let get = json!({ "summary": summary, "operationId": operation, "security": [], "responses": answer });
        paths.insert(path.to_owned(), json!({ "get": get }));
    }
    for path in ME_PATHS {
        let get = protected_get(path, "Who the token says you are", None);
        paths.insert(path.to_owned(), json!({ "get": get }));
    }
    let get = protected_get(
        TOOLS_PATH,
        "The tools, and which of them you may call",
        None,
    );
    paths.insert(TOOLS_PATH.to_owned(), json!({ "get": get }));
    for tool in registry.tools() {
        let path = format!("{TOOLS_PATH}/{}", tool.card().name);
        paths.insert(path, json!({ "post": call(tool) }));
    }
    for probe in ["read", "write", "infer"] {
        let path = format!("{PROBES_PATH}/{probe}");
        let get = protected_get(&path, "Whether the token has this scope", Some(probe));
        paths.insert(path, json!({ "get": get }));
    }
    paths
}

fn protected_get(path: &str, summary: &str, probe: Option<&str>) -> Value {
    let scopes: Vec<String> = probe.iter().map(|name| format!("mcp:{name}")).collect();
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The answer",
            "content": { "application/json": { "schema": { "type": "object" } } },
        }),
    );
    refusals(&mut responses, &["401", "403"]);
    json!({
        "summary": summary,
        "operationId": operation_id("get", path),
        "security": [{ "bearer": scopes }],
        "responses": responses,
    })
}

fn call(tool: &RegisteredTool) -> Value {
    let card = tool.card();
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The answer of the tool",
            "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["result"],
                "properties": { "result": tool.output_schema().as_ref() },
            } } },
        }),
    );
    refusals(&mut responses, &["400", "401", "403", "415", "422"]);
    json!({
        "summary": card.title,
        "description": card.description,
        "operationId": card.name,
        "security": [{ "bearer": card.scopes.split(' ').collect::<Vec<_>>() }],
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": tool.input_schema().as_ref() } },
        },
        "responses": responses,
    })
}

fn refusals(responses: &mut Map<String, Value>, statuses: &[&str]) {
    for status in statuses {
        let description = match *status {
            "400" => "There is no answer to these arguments",
            "401" => "The token is missing or not valid",
            "403" => "The token lacks a scope, or a person must be logged in",
            "415" => "The body is not JSON",
            _ => "The arguments break the schema; `field` names the member",
        };
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        responses.insert(
            (*status).to_owned(),
            json!({
                "description": description,
                "content": { "application/json": { "schema": schema } },
            }),
        );
    }
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": { "type": "string" },
            "error_description": { "type": "string" },
            "field": { "type": "string" },
        },
    })
}

/// A name for the operation: the path with every other character folded to `_`.
fn operation_id(method: &str, path: &str) -> String {
    let folded = path.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
    format!("{method}{}", folded.trim_end_matches('_'))
}
