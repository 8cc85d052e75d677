//! Why a document describes no client, or none just now.

use std::time::Duration;

use http::StatusCode;
use portcullis_common::strict_json::StrictJsonError;

use super::DocumentUrl;
use crate::clients::registration::MetadataError;
use crate::limiter::LimiterAway;

/// A fault, and the host of the document. The text is for the log; strangers learn none of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client metadata document at {host}: {fault}")]
pub(crate) struct DocumentError {
    host: String,
    pub(crate) fault: DocumentFault,
}

/// What is wrong with a document, or with the way to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentFault {
    #[error("the host is not one of [authz] cimd_hosts")]
    HostNotAccepted,
    #[error("{0}")]
    NotHad(String),
    #[error("it is larger than 5 KiB")]
    TooLarge,
    #[error("the status is {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the content type is not that of JSON")]
    MediaType,
    #[error("the body is encoded, though none was asked for")]
    Encoded,
    #[error(transparent)]
    NotAnObject(#[from] StrictJsonError),
    #[error("its client_id is not the URL at which it stands")]
    OtherClientId,
    #[error("it holds a client secret")]
    ClientSecret,
    #[error("its token_endpoint_auth_method is not none")]
    AuthMethod,
    #[error("client_name is missing")]
    NameMissing,
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("too many documents were fetched; the next may be in {} s", .retry_after.as_secs())]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    LimiterAway(LimiterAway),
}

impl DocumentFault {
    /// The fault of the document at this URL.
    pub(super) fn at(self, url: &DocumentUrl) -> DocumentError {
        DocumentError {
            host: url.host(),
            fault: self,
        }
    }

    /// Whether the document, or its host, has said for good that there is no such client. Otherwise
    /// it could not be had this time, and the client may be as good as ever. An address that must
    /// not be dialled is among the latter, like a name that has none: the difference would tell
    /// strangers which names there are in our network.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::NotHad(_) | Self::TooMany { .. } | Self::LimiterAway(_) => false,
            Self::Status(status) => matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE),
            Self::HostNotAccepted
            | Self::TooLarge
            | Self::MediaType
            | Self::Encoded
            | Self::NotAnObject(_)
            | Self::OtherClientId
            | Self::ClientSecret
            | Self::AuthMethod
            | Self::NameMissing
            | Self::Metadata(_) => true,
        }
    }
}
