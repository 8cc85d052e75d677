//! What a registering client reads when something is wrong (RFC 7591 §3.2.2, RFC 6750 §3.1).

use http::StatusCode;

use super::{LIMITER_AWAY, OAuthError, OAuthErrorCode};
use crate::clients::registration::{MetadataError, RegistrationError};

const BEARER_CHALLENGE: &str = "Bearer realm=\"portcullis\"";
const INVALID_TOKEN_CHALLENGE: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";

impl From<RegistrationError> for OAuthError {
    fn from(error: RegistrationError) -> Self {
        use OAuthErrorCode::{
            InvalidClientMetadata, InvalidToken, ServerError, TemporarilyUnavailable,
            TooManyRequests,
        };
        let mapped = match &error {
            RegistrationError::TooLarge => {
                Self::new(InvalidClientMetadata, "the body is larger than 16 KiB")
                    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            RegistrationError::Interrupted => {
                Self::new(InvalidClientMetadata, "the body did not arrive whole")
            }
            RegistrationError::NotAnObject(_) => Self::new(
                InvalidClientMetadata,
                "the body must be one JSON object without repeated members",
            ),
            // RFC 6750 §3.1: who sent nothing is told the scheme and no error.
            RegistrationError::InvitationMissing => Self::new(
                InvalidToken,
                "registering here needs an initial access token from the operator",
            )
            .with_challenge(BEARER_CHALLENGE),
            RegistrationError::NotInvited => Self::new(
                InvalidToken,
                "the initial access token is unknown, used up or over",
            )
            .with_challenge(INVALID_TOKEN_CHALLENGE),
            RegistrationError::NotManaged => Self::new(
                InvalidToken,
                "there is no such registration, or the token does not manage it",
            )
            .with_challenge(INVALID_TOKEN_CHALLENGE),
            RegistrationError::OtherClientId => Self::new(
                InvalidClientMetadata,
                "client_id must repeat the id of the registration",
            ),
            RegistrationError::OtherSecret => {
                Self::new(InvalidClientMetadata, "client_secret cannot be chosen")
            }
            RegistrationError::BecomesPublic => Self::new(
                InvalidClientMetadata,
                "a confidential client cannot become public; register another one",
            ),
            RegistrationError::Metadata(error) => from_metadata(*error),
            RegistrationError::TooMany(error) => Self::new(
                TooManyRequests,
                "too many clients were registered; try later",
            )
            .with_retry_after(error.retry_after),
            RegistrationError::Store(_) => Self::new(
                TemporarilyUnavailable,
                "the server cannot reach its store; try again soon",
            ),
            RegistrationError::LimiterAway(_) => Self::new(TemporarilyUnavailable, LIMITER_AWAY),
            RegistrationError::Entropy(_) | RegistrationError::Id(_) => {
                Self::new(ServerError, "the client could not be made")
            }
        };
        mapped.caused_by(error)
    }
}

const fn from_metadata(error: MetadataError) -> OAuthError {
    match error {
        MetadataError::RedirectUri(rule) => {
            OAuthError::new(OAuthErrorCode::InvalidRedirectUri, rule)
        }
        MetadataError::Metadata(rule) => {
            OAuthError::new(OAuthErrorCode::InvalidClientMetadata, rule)
        }
        MetadataError::SoftwareStatement => OAuthError::new(
            OAuthErrorCode::InvalidSoftwareStatement,
            "software statements are not supported",
        ),
    }
}
