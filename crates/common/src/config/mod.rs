//! The configuration: one struct per topic, every field already parsed.

mod sections;

pub use sections::{
    Authentication, AuthzConfig, ClientConfig, Config, GrantType, IssuerConfig, JwksCacheConfig,
    LogConfig, LogFormat, MigrateMode, OutboundConfig, Registration, ResourceConfig,
    ResourceDeclaration, ServerConfig, SigningAlgorithm, StoreConfig, TokenEndpointAuthMethod,
};
