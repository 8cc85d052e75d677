//! Reading the members of a registration one by one.

use serde_json::{Map, Value};
use url::Url;

use super::metadata::MetadataError;

/// Longest name of a client, in characters.
const MAX_NAME: usize = 200;
/// Longest link, in bytes.
const MAX_LINK: usize = 2048;
/// Most keys of one client.
const MAX_KEYS: usize = 20;
/// Members of a key that only its owner may know (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The members that were sent. One that is null or empty counts as absent: clients fill in forms of
/// their own and leave fields empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Members<'a> {
    fn find(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text of at most `max` bytes without control characters, or the rule that it breaks.
    pub(super) fn text(
        self,
        name: &str,
        max: usize,
        rule: &'static str,
    ) -> Result<Option<&'a str>, MetadataError> {
        match self.find(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() <= max && !text.chars().any(is_unseen) => {
                Ok(Some(text))
            }
            Some(_) => Err(MetadataError::Metadata(rule)),
        }
    }

    /// A short text for programs.
    pub(super) fn word(self, name: &str) -> Result<Option<String>, MetadataError> {
        const RULE: &str = "token_endpoint_auth_method, application_type, software_id and \
                            software_version are texts of at most 200 characters";
        self.text(name, 200, RULE)
            .map(|text| text.map(str::to_owned))
    }

    /// The name that people read when they decide.
    pub(super) fn name(self) -> Result<Option<String>, MetadataError> {
        const RULE: &str =
            "client_name is a text of at most 200 characters without control characters";
        let name = self.text("client_name", MAX_NAME * 4, RULE)?;
        if name.is_some_and(|name| name.chars().count() > MAX_NAME) {
            return Err(MetadataError::Metadata(RULE));
        }
        Ok(name
            .filter(|name| !name.trim().is_empty())
            .map(str::to_owned))
    }

    /// The address of a page, a picture or a document; kept as text and never fetched.
    pub(super) fn link(self, name: &str) -> Result<Option<String>, MetadataError> {
        const RULE: &str = "client_uri, logo_uri, tos_uri, policy_uri and jwks_uri are http or \
                            https URLs of at most 2048 characters";
        let Some(text) = self.text(name, MAX_LINK, RULE)? else {
            return Ok(None);
        };
        let is_link = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if is_link {
            Ok(Some(text.to_owned()))
        } else {
            Err(MetadataError::Metadata(RULE))
        }
    }

    /// A list of texts.
    pub(super) fn list(self, name: &str) -> Result<Option<Vec<&'a str>>, MetadataError> {
        const RULE: MetadataError = MetadataError::Metadata(
            "redirect_uris, grant_types, response_types and contacts are lists of texts",
        );
        match self.find(name) {
            None => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().ok_or(RULE))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(RULE),
        }
    }

    /// How to reach the people behind the client.
    pub(super) fn contacts(self) -> Result<Option<Vec<String>>, MetadataError> {
        let contacts = self.list("contacts")?;
        let is_wrong = |text: &&str| text.len() > 200 || text.chars().any(is_unseen);
        if contacts.iter().flatten().any(is_wrong) {
            return Err(MetadataError::Metadata(
                "contacts are texts of at most 200 characters",
            ));
        }
        Ok(contacts.map(|texts| texts.into_iter().map(str::to_owned).collect()))
    }

    /// The public keys of the client (RFC 7517 §5).
    pub(super) fn jwks(self) -> Result<Option<Value>, MetadataError> {
        let Some(set) = self.find("jwks") else {
            return Ok(None);
        };
        let refuse = |rule| Err(MetadataError::Metadata(rule));
        // RFC 7591 §2: one of the two.
        if self.find("jwks_uri").is_some() {
            return refuse("jwks and jwks_uri exclude each other");
        }
        let keys = set.get("keys").and_then(Value::as_array);
        let Some(keys) = keys.filter(|keys| keys.len() <= MAX_KEYS) else {
            return refuse("jwks is an object with at most 20 keys");
        };
        for key in keys {
            let Some(kind) = key.get("kty").and_then(Value::as_str) else {
                return refuse("each key of jwks is an object with kty");
            };
            let has_private = PRIVATE_MEMBERS.iter().any(|name| key.get(name).is_some());
            if kind == "oct" || has_private {
                return refuse("jwks holds public keys only");
            }
        }
        Ok(Some(set.clone()))
    }

    /// RFC 7591 §2.3: nobody is trusted to make statements about clients, and one that is passed
    /// over would be taken for believed.
    pub(super) fn refuse_software_statement(self) -> Result<(), MetadataError> {
        match self.find("software_statement") {
            None => Ok(()),
            Some(_) => Err(MetadataError::SoftwareStatement),
        }
    }
}

/// Control characters, and those that turn the direction of writing or break lines: with them a name
/// could look like another one.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
