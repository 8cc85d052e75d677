//! Argument schemas: made from Rust types, compiled once, and violations that name the field.

use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// Longest field name repeated in an answer, in characters; callers choose the names of members.
const MAX_FIELD: usize = 100;

/// A JSON Schema 2020-12 document together with its compiled form.
#[derive(Debug)]
pub(super) struct ArgumentSchema {
    document: Arc<Map<String, Value>>,
    validator: Validator,
}

/// What is wrong with arguments, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The member, such as `operands[0]`; `arguments` for the whole.
    pub(super) field: String,
    /// What is wrong with it, without the value itself.
    pub(super) message: String,
}

impl ArgumentSchema {
    /// Makes and compiles the schema of a type that is read from arguments.
    pub(super) fn of<T: JsonSchema>() -> Result<Self, String> {
        let mut document = document::<T>(settings().for_deserialize());
        // Some clients refuse an object schema that does not say which members there are.
        document
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
        // MCP 2026-07-28, JSON Schema usage: a `$ref` is never fetched from the network. The crate
        // is built without its resolvers, and our documents are inlined.
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&Value::Object(document.clone()))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            document: Arc::new(document),
            validator,
        })
    }

    /// The document as it is shown to clients.
    pub(super) fn document(&self) -> &Arc<Map<String, Value>> {
        &self.document
    }

    /// Checks arguments; the first violation is reported.
    pub(super) fn check(&self, arguments: &Value) -> Result<(), Violation> {
        self.validator
            .validate(arguments)
            .map_err(|error| describe(&error))
    }
}

/// Makes the schema of a type that is written as an answer.
pub(super) fn answer_schema<T: JsonSchema>() -> Arc<Map<String, Value>> {
    Arc::new(document::<T>(settings().for_serialize()))
}

/// Shortens a text that a caller chose before it is repeated to them.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_FIELD) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn settings() -> SchemaSettings {
    // Inlined, because not every client resolves `$defs`.
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true)
}

fn document<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    let mut document = schema.ensure_object().clone();
    document.remove("title");
    document.values_mut().for_each(strip_numeric_formats);
    document
}

/// Removes `format: "double"` and its like, which are names of Rust types and tell a client nothing.
fn strip_numeric_formats(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_numeric = members.get("type").is_some_and(is_numeric_type);
            if is_numeric {
                members.remove("format");
            }
            members.values_mut().for_each(strip_numeric_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_numeric_formats),
        _ => {}
    }
}

fn is_numeric_type(kind: &Value) -> bool {
    match kind {
        Value::String(name) => matches!(name.as_str(), "integer" | "number"),
        Value::Array(names) => names.iter().any(is_numeric_type),
        _ => false,
    }
}

fn describe(error: &ValidationError<'_>) -> Violation {
    let mut field = readable(error.instance_path().as_str());
    let message = match error.kind() {
        ValidationErrorKind::Required { property } => {
            push_member(&mut field, property.as_str().unwrap_or_default());
            "is missing".to_owned()
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            push_member(&mut field, unexpected.first().map_or("", String::as_str));
            "is not known".to_owned()
        }
        // So says the compiler of an object that has no member at all.
        ValidationErrorKind::FalseSchema => {
            let members = error.instance().as_object();
            let unexpected = members.and_then(|members| members.keys().next());
            push_member(&mut field, unexpected.map_or("", String::as_str));
            "is not known".to_owned()
        }
        // Masked, because a value may be long or private.
        _ => error.masked().to_string(),
    };
    if field.is_empty() {
        field.push_str("arguments");
    }
    Violation {
        field: shorten(&field),
        message,
    }
}

/// Turns a JSON pointer into the form people write: `/operands/0` becomes `operands[0]`.
fn readable(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            field.push('[');
            field.push_str(part);
            field.push(']');
        } else {
            push_member(&mut field, &part.replace("~1", "/").replace("~0", "~"));
        }
    }
    field
}

fn push_member(field: &mut String, name: &str) {
    if !field.is_empty() {
        field.push('.');
    }
    field.push_str(name);
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Sample {
        #[schemars(length(min = 1, max = 3))]
        text: String,
        #[serde(default)]
        #[schemars(length(max = 2), inner(range(min = -1.0, max = 1.0)))]
        numbers: Vec<f64>,
    }

    fn check(arguments: &Value, expected: Option<&str>) {
        let schema = ArgumentSchema::of::<Sample>().unwrap();
        let field = schema
            .check(arguments)
            .err()
            .map(|violation| violation.field);
        assert_eq!(field.as_deref(), expected, "{arguments}");
    }

    #[test]
    fn every_violation_names_its_field() {
        check(&json!({"text": "abc", "numbers": [1, -1]}), None);
        check(&json!({"text": 1}), Some("text"));
        check(&json!({"text": "abcd"}), Some("text"));
        check(&json!({"text": ""}), Some("text"));
        check(&json!({}), Some("text"));
        check(&json!({"text": "a", "other": 1}), Some("other"));
        check(&json!({"text": "a", "numbers": [0, 2]}), Some("numbers[1]"));
        check(&json!({"text": "a", "numbers": [0, 0, 0]}), Some("numbers"));
        check(&json!([]), Some("arguments"));
    }

    #[test]
    fn a_violation_does_not_repeat_the_value() {
        let schema = ArgumentSchema::of::<Sample>().unwrap();
        let violation = schema.check(&json!({"text": "private"})).unwrap_err();
        assert!(!violation.message.contains("private"), "{violation:?}");
        let long = "x".repeat(5000);
        let violation = schema.check(&json!({"text": "a", long: 1})).unwrap_err();
        assert!(violation.field.len() < 200);
    }

    #[test]
    fn the_document_closes_its_objects_and_names_no_rust_type() {
        let document =
            Value::Object((**ArgumentSchema::of::<Sample>().unwrap().document()).clone());
        assert_eq!(document["additionalProperties"], json!(false));
        assert_eq!(
            document["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert!(!document.to_string().contains("double"));
    }
}
