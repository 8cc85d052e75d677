//! The configuration: one struct per topic, every field already parsed.
//!
//! It comes from one file and from the environment, which overrides it. Every mistake is reported
//! at once, each with its mend. After the start it does not change.

mod keys;
mod listener;
mod load;
mod otlp;
mod raw;
mod sections;
mod show;
mod tables;
mod values;

pub use keys::{KEYS, Key, TABLE_KEYS};
pub use load::{Role, load};
pub use otlp::OtlpConfig;
pub use raw::{Problem, Sources};
pub use sections::{
    Authentication, AuthzConfig, ClientConfig, Config, GrantType, IssuerConfig, JwksCacheConfig,
    LogConfig, LogFormat, MigrateMode, OutboundConfig, RedisConfig, Registration, ResourceConfig,
    ResourceDeclaration, ServerConfig, SigningAlgorithm, StoreConfig, TlsFiles,
    TokenEndpointAuthMethod, WhenAway,
};
pub use show::{Written, written};
pub use tables::{check_redirect_uri, default_grants};
pub use values::parse_duration;

#[cfg(test)]
mod tests;
