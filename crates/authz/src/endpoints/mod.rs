//! HTTP in and out: one module for each endpoint, its handlers named after the verb.

pub(crate) mod authorize;
pub(crate) mod consent;
pub(crate) mod form;
pub(crate) mod human;
pub(crate) mod jwks;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod metadata;
pub(crate) mod token;
