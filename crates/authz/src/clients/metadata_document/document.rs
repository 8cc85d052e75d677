//! From an answer to a client (Client ID Metadata Document §4).

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use portcullis_common::clock::Timestamp;
use portcullis_common::config::TokenEndpointAuthMethod;
use portcullis_common::outbound::GuardedResponse;
use portcullis_common::strict_json;
use serde_json::{Map, Value};

use super::{DocumentFault, DocumentUrl};
use crate::clients::registration::{ClientMetadata, MetadataError, RegistrationRules};
use crate::clients::{Client, ClientId, ClientOrigin};

/// Judges an answer. What it says of the client obeys the rules of a registration, and some more.
pub(super) fn read(
    url: &DocumentUrl,
    response: &GuardedResponse,
    private_schemes: &[String],
    now: Timestamp,
) -> Result<Client, DocumentFault> {
    if response.status != StatusCode::OK {
        return Err(DocumentFault::Status(response.status));
    }
    check_media_type(&response.headers)?;
    let mut members = strict_json::parse_object(&response.body)?;
    check_members(url, &members)?;
    // A secret that stands in the open is none, so of the methods that we have this one is left;
    // the default of registrations (RFC 7591 §2) would be another.
    let method = TokenEndpointAuthMethod::None.name();
    members.insert("token_endpoint_auth_method".to_owned(), method.into());
    let rules = RegistrationRules {
        private_schemes,
        allows_client_credentials: false,
    };
    let metadata = ClientMetadata::parse(&members, rules)?;
    if !metadata.has_name() {
        return Err(DocumentFault::NameMissing);
    }
    let origin = ClientOrigin::Document {
        host: url.host(),
        digest: metadata.digest().to_hex(),
    };
    let client = metadata
        .into_client(ClientId::of_document(url), None, now)
        .ok_or(DocumentFault::AuthMethod)?;
    Ok(Client { origin, ..client })
}

/// `application/json`, or something that is written in JSON.
fn check_media_type(headers: &HeaderMap) -> Result<(), DocumentFault> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return Err(DocumentFault::MediaType);
    };
    let text = only.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_json = essence == "application/json"
        || essence
            .strip_prefix("application/")
            .is_some_and(|subtype| subtype.ends_with("+json"));
    if !is_json {
        return Err(DocumentFault::MediaType);
    }
    let is_encoded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| coding != "identity");
    if is_encoded {
        return Err(DocumentFault::Encoded);
    }
    Ok(())
}

fn check_members(url: &DocumentUrl, members: &Map<String, Value>) -> Result<(), DocumentFault> {
    // Client ID Metadata Document §4: the same text, character by character.
    if members.get("client_id").and_then(Value::as_str) != Some(url.as_str()) {
        return Err(DocumentFault::OtherClientId);
    }
    // §4.1: no secret, and no method that needs one.
    if ["client_secret", "client_secret_expires_at"]
        .into_iter()
        .any(|name| members.contains_key(name))
    {
        return Err(DocumentFault::ClientSecret);
    }
    match members.get("token_endpoint_auth_method") {
        None => {}
        Some(Value::String(name)) if name == TokenEndpointAuthMethod::None.name() => {}
        Some(_) => return Err(DocumentFault::AuthMethod),
    }
    match members.get("redirect_uris") {
        Some(Value::Array(_)) => Ok(()),
        _ => Err(MetadataError::RedirectUri("redirect_uris is missing").into()),
    }
}

#[cfg(test)]
mod tests;
