//! HTTP in and out: one module for each endpoint, its handlers named after the verb.

pub(crate) mod authorize;
pub(crate) mod form;
pub(crate) mod jwks;
pub(crate) mod metadata;
pub(crate) mod token;
