//! Who may name whom.

use crate::Complaints;
use crate::files::{File, code, has_word};

/// A word that production code may write only in some places.
struct Place {
    word: &'static str,
    /// Paths that begin with one of these may hold the word.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const PLACES: &[Place] = &[
    Place {
        word: "sqlx",
        allowed: &["crates/authz/src/store"],
        reason: "only the store speaks SQL",
    },
    Place {
        word: "oxide_auth",
        allowed: &["crates/authz/src/grants/engine"],
        reason: "the OAuth engine stays replaceable behind one seam",
    },
    Place {
        word: "hyper",
        allowed: &["crates/common/src/outbound", "crates/portcullis/src/server"],
        reason: "HTTP is spoken where connections are opened and where they are accepted",
    },
    Place {
        word: "askama",
        allowed: &["crates/authz/src/pages"],
        reason: "pages are a leaf",
    },
    Place {
        word: "rmcp",
        allowed: &["crates/resource/src/mcp", "examples/"],
        reason: "the guard knows nothing of the MCP library",
    },
    Place {
        word: "josekit",
        allowed: &[
            "crates/authz/src/keys",
            "crates/common/src/jwks",
            "crates/common/src/jws",
            "crates/common/src/token",
        ],
        reason: "signatures are made and checked in one place each",
    },
];

/// Words that code under a path may not write at all.
const BANNED: &[(&str, &[&str], &str)] = &[
    (
        "crates/common/src/",
        &["axum", "sqlx", "askama", "oxide_auth", "rmcp"],
        "common has no web framework, database, template, OAuth engine or MCP library",
    ),
    (
        "crates/authz/src/store",
        &["axum", "http", "StatusCode"],
        "the store returns domain values",
    ),
    (
        "crates/authz/src/",
        &["portcullis_resource"],
        "the two servers meet only over HTTP",
    ),
    (
        "crates/resource/src/",
        &["portcullis_authz"],
        "the two servers meet only over HTTP",
    ),
];

/// Complains about libraries named outside their place, and about branches on an issuer's product.
pub(crate) fn words(files: &[File]) -> Complaints {
    let mut complaints = Complaints::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (number, line) in file.production() {
            let line = &unquoted(code(line));
            let mut complain = |what: &str, reason: &str| {
                complaints.push(format!("{}:{number}: `{what}`: {reason}", file.path));
            };
            for place in PLACES {
                let allowed = place.allowed.iter().any(|path| file.path.starts_with(path));
                if !allowed && has_word(line, place.word) {
                    complain(place.word, place.reason);
                }
            }
            for (path, banned, reason) in BANNED {
                for word in banned.iter().filter(|word| has_word(line, word)) {
                    if file.path.starts_with(path) {
                        complain(word, reason);
                    }
                }
            }
            if line.to_lowercase().contains("keycloak") {
                complain(
                    "keycloak",
                    "another issuer is configuration, never a branch",
                );
            }
            if line.contains("cfg(feature") || line.contains("feature =") {
                complain("feature", "no crate feature changes behaviour");
            }
        }
    }
    complaints
}

/// What stands outside quotes: a text may speak of what the code may not name.
fn unquoted(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Boots the production routers, so the tests of every crate may use it.
const TESTKIT: &str = "portcullis-testkit";

/// What the manifest of a package may not name.
const MANIFESTS: &[(&str, &[&str])] = &[
    (
        "crates/common/Cargo.toml",
        &[
            "portcullis-",
            "axum",
            "sqlx",
            "askama",
            "oxide-auth",
            "rmcp",
        ],
    ),
    (
        "crates/authz/Cargo.toml",
        &["portcullis-resource", TESTKIT, "rmcp"],
    ),
    (
        "crates/resource/Cargo.toml",
        &[
            "portcullis-authz",
            TESTKIT,
            "sqlx",
            "josekit",
            "oxide-auth",
            "askama",
        ],
    ),
    (
        "crates/portcullis/Cargo.toml",
        &["sqlx", "josekit", "oxide-auth", "askama", "rmcp"],
    ),
];

/// Complains about dependencies in the wrong direction, and about crate features.
pub(crate) fn manifests(files: &[File]) -> Complaints {
    let mut complaints = Complaints::new();
    for (path, banned) in MANIFESTS {
        let Some(file) = files.iter().find(|file| file.path == *path) else {
            complaints.push(format!("{path} is missing"));
            continue;
        };
        // Below this head line only tests are built, and they may use what they judge by.
        let mut tests = false;
        for (number, line) in file.lines() {
            if line.starts_with('[') {
                tests = line.starts_with("[dev-dependencies");
            }
            for word in banned.iter().filter(|word| line.starts_with(*word)) {
                let for_tests = tests && (!word.starts_with("portcullis-") || *word == TESTKIT);
                if !for_tests {
                    complaints.push(format!("{path}:{number}: must not depend on `{word}`"));
                }
            }
            if line.trim() == "[features]" {
                complaints.push(format!(
                    "{path}:{number}: no crate feature changes behaviour"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;

    #[test]
    fn a_library_in_the_wrong_place_is_found() {
        for (path, line) in [
            ("crates/authz/src/endpoints/token.rs", "use sqlx::Row;"),
            (
                "crates/authz/src/grants/refresh.rs",
                "fn x(s: oxide_auth::Scope) {}",
            ),
            ("crates/resource/src/guard/mod.rs", "use rmcp::model;"),
            ("crates/common/src/lib.rs", "use axum::Router;"),
            (
                "crates/authz/src/store/codes.rs",
                "fn x() -> http::StatusCode {}",
            ),
            ("crates/resource/src/lib.rs", "if issuer.is_keycloak() {}"),
            ("crates/resource/src/lib.rs", "#[cfg(feature = \"x\")]"),
        ] {
            assert!(!words(&[file(path, line)]).is_empty(), "{path}: {line}");
        }
        for (path, line) in [
            ("crates/authz/src/store/codes.rs", "use sqlx::Row;"),
            (
                "crates/authz/src/endpoints/token.rs",
                "// sqlx stays in the store",
            ),
            ("crates/testkit/src/database.rs", "use sqlx::Row;"),
            (
                "crates/common/src/log.rs",
                "let filter = \"info,rmcp=warn\";",
            ),
        ] {
            assert_eq!(
                words(&[file(path, line)]),
                Complaints::new(),
                "{path}: {line}"
            );
        }
    }

    #[test]
    fn a_dependency_in_the_wrong_direction_is_found() {
        let manifest = |text| {
            let mut files: Vec<File> = MANIFESTS.iter().map(|(path, _)| file(path, "")).collect();
            files.retain(|file| file.path != "crates/authz/Cargo.toml");
            files.push(file("crates/authz/Cargo.toml", text));
            manifests(&files).len()
        };
        assert_eq!(
            manifest("[dependencies]\nportcullis-common.workspace = true"),
            0
        );
        assert_eq!(
            manifest("[dependencies]\nportcullis-resource.workspace = true"),
            1
        );
        assert_eq!(
            manifest("[dev-dependencies]\nportcullis-resource.workspace = true"),
            1
        );
        assert_eq!(
            manifest("[dependencies]\nportcullis-testkit.workspace = true"),
            1
        );
        assert_eq!(
            manifest("[dev-dependencies]\nportcullis-testkit.workspace = true"),
            0
        );
        assert_eq!(manifest("[dev-dependencies]\nrmcp.workspace = true"), 0);
        assert_eq!(manifest("[features]"), 1);
    }
}
