//! What a REST request is about, so that one policy decides for both views.

use crate::guard::{Operation, Requirement};

use super::{PROBES_PATH, TOOLS_PATH};

/// The method of an operation that probes a scope; its name is the probe.
pub const PROBE: &str = "portcullis/probe";
/// The method of an operation that needs a token and nothing more.
const ANY: &str = "portcullis/any";

/// The probes and their scopes.
const PROBES: [(&str, &str); 3] = [
    ("read", "mcp:read"),
    ("write", "mcp:write"),
    ("infer", "mcp:infer"),
];

/// The operation behind a path of the REST view, as the policy knows it.
///
/// The text of the path is taken as it is: an encoded name is the name of another tool, which does
/// not exist. Every method counts alike, so no method is a way around a scope.
pub fn operation_of(path: &str) -> Operation<'_> {
    let (method, name) = if let Some(tool) = below(path, TOOLS_PATH) {
        ("tools/call", Some(tool))
    } else if let Some(probe) = below(path, PROBES_PATH) {
        (PROBE, Some(probe))
    } else {
        (ANY, None)
    };
    Operation {
        method,
        name,
        params: None,
    }
}

/// The scope that a probe probes.
pub(super) fn probe_scope(probe: &str) -> Option<&'static str> {
    let known = PROBES.iter().find(|(name, _)| *name == probe);
    known.map(|(_, scope)| *scope)
}

/// What a probe takes.
pub(crate) fn probe_requirement(probe: &str) -> Requirement {
    let scopes = probe_scope(probe).and_then(|scope| scope.parse().ok());
    Requirement {
        scopes: scopes.unwrap_or_default(),
        needs_user: false,
    }
}

fn below<'a>(path: &'a str, parent: &str) -> Option<&'a str> {
    path.strip_prefix(parent)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, method: &str, name: Option<&str>) {
        let operation = operation_of(path);
        assert_eq!((operation.method, operation.name), (method, name), "{path}");
    }

    #[test]
    fn a_path_is_the_operation_that_the_policy_knows() {
        check("/api/v1/tools/echo", "tools/call", Some("echo"));
        check("/api/v1/tools/ec%68o", "tools/call", Some("ec%68o"));
        check("/api/v1/tools/a/b", "tools/call", Some("a/b"));
        check("/api/v1/protected/write", PROBE, Some("write"));
        check("/api/v1/tools", ANY, None);
        check("/api/v1/me", ANY, None);
    }

    #[test]
    fn each_probe_takes_its_own_scope() {
        assert_eq!(probe_requirement("infer").scopes.to_string(), "mcp:infer");
        assert!(probe_requirement("other").scopes.is_empty());
    }
}
