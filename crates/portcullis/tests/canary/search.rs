//! The search for every secret in everything that was said, logged and stored.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::life::Life;

pub(crate) fn search(mut life: Life) {
    let log = life.log();
    // The search means something: the log is talkative, and the life was a whole one.
    for line in [
        "\"TRACE\"",
        "refresh_token_replayed",
        "code_replayed",
        "wrong_password",
        "logged out",
    ] {
        assert!(log.contains(line), "{line} is not in the log");
    }
    let trail = life.trail();
    for event in [
        "login",
        "consent",
        "token_reuse",
        "revocation",
        "client_invited",
        "logout",
    ] {
        let member = format!("\"event\":\"{event}\"");
        assert!(trail.contains(&member), "{event} is not in the trail");
    }
    life.said.extend(
        log.lines()
            .map(|line| ("the log".to_owned(), line.to_owned())),
    );
    for entry in fs::read_dir(life.data()).unwrap() {
        let path = entry.unwrap().path();
        // That file is made to hold a secret.
        if !path.ends_with("admin-password") {
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            life.said.push((path.display().to_string(), text));
        }
    }
    let kinds: Vec<_> = life.secrets.values().map(String::as_str).collect();
    for kind in [
        "access_token",
        "id_token",
        "client_secret",
        "initial_access_token",
        "hidden csrf",
        "code",
        "cookie portcullis_session",
    ] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
    let mut found = Vec::new();
    for (secret, kind) in &life.secrets {
        for form in forms_of(secret) {
            for (occasion, text) in &life.said {
                if text.contains(&form) {
                    let excerpt: String = text.chars().take(600).collect();
                    found.push(format!("{kind} ({form}) in {occasion}: {excerpt}"));
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} secrets, {} texts:\n{}",
        life.secrets.len(),
        life.said.len(),
        found.join("\n")
    );
}

/// The secret, its recognisable parts, and what it looks like where it was encoded.
fn forms_of(secret: &str) -> Vec<String> {
    // Of a signed token the first two parts are no secret.
    let core = secret.rsplit('.').next().unwrap();
    let (head, tail) = (&core[..16], &core[core.len() - 16..]);
    let hex = core
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let encoded = STANDARD.encode(core).trim_end_matches('=').to_owned();
    [head.to_owned(), tail.to_owned(), hex, encoded].into()
}
