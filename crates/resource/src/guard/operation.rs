//! What is asked for, and what it takes.

use std::borrow::Cow;
use std::sync::Arc;

use portcullis_common::scope::Scope;
use portcullis_common::strict_json::Json;

use super::Caller;

/// The one operation of a request, read from its body.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// The JSON-RPC method.
    pub method: &'a str,
    /// `params.name` or `params.uri`, where the method names one.
    pub name: Option<&'a str>,
    /// `params`
    pub params: Option<&'a Json<'a>>,
}

/// What a caller must have for an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Every scope it needs; all go into one challenge.
    pub scopes: Scope,
    /// Whether a person must stand behind the token.
    pub needs_user: bool,
}

/// Decides what an operation takes. Implemented by the registry of tools, and by anybody who puts
/// the guard in front of another server.
pub trait OperationPolicy: Send + Sync + std::fmt::Debug + 'static {
    /// The requirement of this operation for this caller. Operations that do not exist require
    /// nothing here: the server behind the guard says that they do not exist. What is the same for
    /// every call is lent, not copied.
    fn requirement<'a>(
        &'a self,
        operation: &Operation<'_>,
        caller: &Caller,
    ) -> Cow<'a, Requirement>;
}

/// The policy of a server whose every operation needs the same scopes.
#[derive(Clone, Debug)]
pub struct ScopeForEverything(pub Scope);

impl OperationPolicy for ScopeForEverything {
    fn requirement<'a>(
        &'a self,
        _operation: &Operation<'_>,
        _caller: &Caller,
    ) -> Cow<'a, Requirement> {
        Cow::Owned(Requirement {
            scopes: self.0.clone(),
            needs_user: false,
        })
    }
}

impl<T: OperationPolicy> OperationPolicy for Arc<T> {
    fn requirement<'a>(
        &'a self,
        operation: &Operation<'_>,
        caller: &Caller,
    ) -> Cow<'a, Requirement> {
        (**self).requirement(operation, caller)
    }
}
