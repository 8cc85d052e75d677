use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;

fn read(role: Role, file: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let sources = Sources {
        file: Some((Path::new("portcullis.toml"), file)),
        environment: &environment,
        read_secret: &|path| match path.to_str() {
            Some("/run/key") => Ok("c2VjcmV0LWtleS1vZi0zMi1ieXRlcy1mb3ItdGVzdHM=\n".to_owned()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        },
    };
    load(role, sources).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn problems(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    read(Role::Both, file, environment).expect_err("it has mistakes")
}

#[test]
fn nothing_needs_to_be_configured() {
    let config = read(Role::Both, "", &[]).unwrap();
    assert_eq!(config.server.public_url, "http://localhost:8080");
    assert_eq!(config.authz.issuer.as_str(), "http://localhost:8080");
    assert_eq!(
        config.resource.identifier.as_str(),
        "http://localhost:8080/mcp"
    );
    assert_eq!(
        config.authz.default_resource.unwrap(),
        config.resource.identifier
    );
    assert_eq!(config.authz.access_token_ttl, Duration::from_mins(10));
    assert_eq!(config.authz.resources.len(), 1);
    assert_eq!(
        config.scopes.names().to_string(),
        "mcp:infer mcp:read mcp:write"
    );
    let hosts = ["127.0.0.1:8080", "[::1]:8080", "localhost:8080"];
    assert_eq!(config.resource.allowed_hosts, hosts);
}

#[test]
fn every_default_in_the_table_is_one_that_the_reader_accepts() {
    // A default that did not parse would silently become the fallback.
    let derived = |key: &&Key| key.default.is_empty() || key.default.starts_with('(');
    for key in KEYS.iter().filter(|key| !derived(key)) {
        let file = format!("[{}]\n{} = {:?}\n", key.section, key.name, key.default);
        assert!(read(Role::Both, &file, &[]).is_ok(), "{file}");
    }
}

#[test]
fn the_halves_find_each_other_without_configuration() {
    let authz = read(Role::Authz, "", &[]).unwrap();
    assert_eq!(authz.server.listen.port(), 9000);
    assert_eq!(
        authz.authz.resources[0].identifier.as_str(),
        "http://localhost:9100/mcp"
    );
    let resource = read(Role::Resource, "", &[]).unwrap();
    assert_eq!(resource.server.listen.port(), 9100);
    let servers = &resource.resource.authorization_servers;
    assert_eq!(servers[0].issuer.as_str(), "http://localhost:9000");
}

#[test]
fn one_public_url_is_enough() {
    let config = read(
        Role::Both,
        "[server]\npublic_url = 'https://mcp.test/'",
        &[],
    )
    .unwrap();
    assert_eq!(config.authz.issuer.as_str(), "https://mcp.test");
    assert_eq!(config.resource.identifier.as_str(), "https://mcp.test/mcp");
    assert_eq!(config.resource.allowed_hosts, ["mcp.test"]);
}

#[test]
fn the_environment_overrides_the_file() {
    let file = "[resource.jwks]\nttl = '5m'\n[authz]\ndefault_scopes = ['mcp:read']";
    let environment = [
        ("PORTCULLIS_RESOURCE_JWKS_TTL", "7m"),
        ("PORTCULLIS_AUTHZ_DEFAULT_SCOPES", "mcp:read, mcp:infer"),
        ("PORTCULLIS_TEST_SOMETHING", "not ours"),
        ("HOME", "/root"),
    ];
    let config = read(Role::Both, file, &environment).unwrap();
    assert_eq!(config.resource.jwks.ttl, Duration::from_mins(7));
    assert_eq!(
        config.authz.default_scopes.to_string(),
        "mcp:infer mcp:read"
    );
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let file = "[server]\nlisten = 'here'\nlisten_on = 1\n[authz]\ncode_ttl = '11m'\n\
                [[scopes]]\nname = 'a b'\ntext = ''\n[serverr]\n";
    let found = problems(
        file,
        &[("PORTCULLIS_AUTHZ_CIMD", "maybe"), ("PORTCULLIS_LOG_X", "")],
    );
    for part in [
        "[server] listen in portcullis.toml: write an IP address",
        "[server] listen_on in portcullis.toml: no such name",
        "[authz] code_ttl in portcullis.toml: it must be at most 10m",
        "[[scopes]] number 1 name",
        "did you mean server?",
        "PORTCULLIS_AUTHZ_CIMD: write one of: on, off",
        "PORTCULLIS_LOG_X: no such key",
    ] {
        assert!(
            found.iter().any(|problem| problem.contains(part)),
            "{part}\n{found:#?}"
        );
    }
}

#[test]
fn a_secret_comes_from_a_file_and_not_from_both_at_once() {
    let twin = ("PORTCULLIS_AUTHZ_KEY_ENCRYPTION_KEY_FILE", "/run/key");
    let config = read(Role::Both, "", &[twin]).unwrap();
    assert!(
        config
            .authz
            .key_encryption_key
            .unwrap()
            .expose()
            .ends_with('=')
    );
    let both = [
        twin,
        ("PORTCULLIS_AUTHZ_KEY_ENCRYPTION_KEY", "another-value"),
    ];
    assert!(problems("", &both)[0].contains("unset one of them"));
    let missing = [("PORTCULLIS_AUTHZ_KEY_ENCRYPTION_KEY_FILE", "/nowhere")];
    assert!(problems("", &missing)[0].contains("/nowhere"));
    // A key that is no secret has no twin.
    assert!(problems("", &[("PORTCULLIS_SERVER_LISTEN_FILE", "/x")])[0].contains("no such key"));
}

#[test]
fn placeholder_secrets_and_contradictions_stop_the_start() {
    let client = "[[authz.clients]]\nid = 'a'\nsecret = 'changeme'\n";
    assert!(problems(client, &[])[0].contains("placeholder"));
    let public = "[[authz.clients]]\nid = 'a'\npublic = true\ngrants = ['client_credentials']\n";
    assert!(problems(public, &[])[0].contains("public client cannot"));
    let twice =
        "[[authz.clients]]\nid = 'a'\npublic = true\nredirect_uris = ['https://a.test/cb']\n";
    assert!(problems(&twice.repeat(2), &[])[0].contains("stands twice"));
    let redirect =
        "[[authz.clients]]\nid = 'a'\npublic = true\nredirect_uris = ['http://a.test']\n";
    assert!(problems(redirect, &[])[0].contains("use https"));
    let issuer = "[[resource.issuers]]\nissuer = 'https://a.test'\n\
                  [resource]\nauthorization_servers = ['https://b.test']\n";
    assert!(problems(issuer, &[])[0].contains("not in [resource] authorization_servers"));
}

#[test]
fn plain_http_is_for_loopback_and_for_internal_addresses() {
    assert!(problems("[server]\npublic_url = 'http://mcp.test'", &[])[0].contains("use https"));
    let internal = "[[resource.issuers]]\nissuer = 'https://kc.test/realms/x'\n\
                    internal_url = 'http://keycloak:8080/realms/x'\n\
                    token_types = ['at+jwt', 'JWT']\nroles_claim = 'realm_access.roles'\n";
    let config = read(Role::Resource, internal, &[]).unwrap();
    let issuer = &config.resource.authorization_servers[0];
    assert_eq!(issuer.token_types, ["at+jwt", "jwt"]);
    assert_eq!(issuer.roles_claim, ["realm_access", "roles"]);
}

#[test]
fn redis_is_an_address_and_a_wrong_one_is_reported_with_the_rest_and_not_repeated() {
    let config = read(
        Role::Both,
        "[redis]\nwhen_away = 'refuse'",
        &[("PORTCULLIS_REDIS_URL", "redis://:hunter2@redis:6379/1")],
    );
    let redis = config.unwrap().redis.unwrap();
    assert_eq!(redis.when_away, WhenAway::Refuse);
    assert_eq!(format!("{redis:?}").find("hunter2"), None);
    assert!(read(Role::Both, "", &[]).unwrap().redis.is_none());
    let wrong = problems(
        "[redis]\nurl = 'http://:hunter2@redis'\nwhen_away = 'hope'\n[server]\nlisten = 'x'",
        &[],
    );
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    let url = wrong
        .iter()
        .find(|one| one.contains("[redis] url"))
        .unwrap();
    assert!(
        url.contains("redis://") && !url.contains("hunter2"),
        "{url}"
    );
}

/// The part of the page about one section.
fn section_of<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page
        .find(heading)
        .unwrap_or_else(|| panic!("{heading} is missing"));
    let rest = &page[start + heading.len()..];
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn the_reference_names_every_key_with_its_default_its_variable_and_its_meaning() {
    let page = include_str!("../../../../docs/configuration.md");
    for key in KEYS {
        let section = section_of(page, &format!("## `[{}]`", key.section));
        let row = section
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", key.name)))
            .unwrap_or_else(|| panic!("[{}] {} is not described", key.section, key.name));
        let twin = format!(" or `{}_FILE`", key.variable());
        assert!(row.contains(&format!("`{}`", key.variable())), "{row}");
        assert_eq!(row.contains(&twin), key.secret, "{row}");
        assert!(row.contains(key.text), "{row}\n{}", key.text);
        // A derived default is described in words.
        let is_fixed = !key.default.is_empty() && !key.default.starts_with('(');
        if is_fixed {
            assert!(row.contains(&format!("| `{}` |", key.default)), "{row}");
        }
    }
    for (table, keys) in TABLE_KEYS {
        let section = section_of(page, &format!("## `[[{table}]]`"));
        for key in *keys {
            assert!(
                section.contains(&format!("| `{key}` |")),
                "[[{table}]] {key}"
            );
        }
    }
    let rows = page
        .lines()
        .filter(|line| line.contains("| `PORTCULLIS_"))
        .count();
    assert_eq!(rows, KEYS.len(), "a key is described that does not exist");
}

#[test]
fn the_example_environment_names_every_variable() {
    let example = include_str!("../../../../.env.example");
    for key in KEYS {
        assert!(
            example.contains(&format!("#{}=", key.variable())),
            "{}",
            key.variable()
        );
    }
}

#[test]
fn https_needs_both_files_and_a_public_url_that_says_so() {
    let files = "[server]\ntls_cert = 'a.crt'\ntls_key = 'a.key'\n";
    let config = read(Role::Both, files, &[]).unwrap();
    assert_eq!(config.server.public_url, "https://localhost:8080");
    assert_eq!(config.authz.issuer.as_str(), "https://localhost:8080");
    assert!(config.server.tls.is_some());
    let url = |url: &str| problems(&format!("{files}public_url = '{url}'"), &[]);
    let said = url("http://localhost:8080");
    assert!(said[0].contains("begin it with https://"), "{said:?}");
    for alone in ["tls_cert", "tls_key"] {
        let said = problems(&format!("[server]\n{alone} = 'a.pem'"), &[]);
        assert!(said[0].contains("needs both files"), "{said:?}");
    }
}

const HEADERS: &str = "client_certificate_headers = ['X-Verdict', 'X-Subject']\n";

#[test]
fn client_certificates_need_https_here_or_a_front() {
    let ca = "tls_client_ca = 'ca.pem'\n";
    let files = "[server]\ntls_cert = 'a.crt'\ntls_key = 'a.key'\n";
    let learns = |text: &str| {
        let config = read(Role::Both, text, &[]).unwrap();
        config.server.learns_of_client_certificates()
    };
    assert!(!learns(files));
    assert!(learns(&format!("{files}{ca}")));
    let front = "[server]\ntrusted_proxies = ['127.0.0.1']\n";
    assert!(!learns(front));
    assert!(learns(&format!("{front}{HEADERS}")));
    let said = problems(&format!("[server]\n{ca}"), &[]);
    assert!(said[0].contains("are asked for in HTTPS"), "{said:?}");
}

#[test]
fn the_headers_of_a_front_are_named_and_count_from_few() {
    let named = |trusted: &str, more: &str| {
        let text = format!("[server]\n{more}trusted_proxies = [{trusted}]\n");
        read(Role::Both, &text, &[])
    };
    let config = named("'10.0.0.0/8'", "").unwrap();
    assert_eq!(config.server.client_certificate_headers, None);
    let headers = named("'10.0.0.0/8'", HEADERS).unwrap().server;
    let headers = headers.client_certificate_headers.unwrap();
    assert_eq!(
        (headers.verdict.as_str(), headers.subject.as_str()),
        ("x-verdict", "x-subject")
    );
    let one = "client_certificate_headers = ['X-Subject']\n";
    for (trusted, more, mend) in [
        ("", HEADERS, "name the front in [server] trusted_proxies"),
        ("'::/0'", HEADERS, "name the fronts alone"),
        ("'10.1.1.1', '0.0.0.0/0'", HEADERS, "name the fronts alone"),
        ("'10.1.1.1'", one, "name two different headers"),
    ] {
        let said = named(trusted, more).unwrap_err();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(mend), "{said:?}");
    }
}

#[test]
fn a_client_whose_certificate_nobody_looks_at_stops_the_authorization_server() {
    let client = "[[authz.clients]]\nid = 'a'\nauth_method = 'tls_client_auth'\n\
                  tls_client_auth_subject_dn = 'CN=a'\n";
    let front = "[server]\ntrusted_proxies = ['127.0.0.1']\n";
    for server in ["", front] {
        let text = format!("{server}{client}");
        for role in [Role::Both, Role::Authz] {
            let said = read(role, &text, &[]).unwrap_err();
            assert!(said[0].contains("client_certificate_headers"), "{said:?}");
        }
        // It has no clients, and may share the file.
        assert!(read(Role::Resource, &text, &[]).is_ok());
    }
    assert!(read(Role::Both, &format!("{front}{HEADERS}{client}"), &[]).is_ok());
}

#[test]
fn a_client_with_a_certificate_has_a_subject_and_no_secret() {
    let client = |more: &str| {
        let server = format!("[server]\ntrusted_proxies = ['::1']\n{HEADERS}");
        format!("{server}[[authz.clients]]\nid = 'a'\n{more}")
    };
    let method = "auth_method = 'tls_client_auth'\n";
    let subject = "tls_client_auth_subject_dn = 'CN=a,O=b'\n";
    let config = read(Role::Both, &client(&format!("{method}{subject}")), &[]).unwrap();
    let authentication = &config.authz.clients[0].authentication;
    assert!(matches!(authentication, Authentication::Certificate(_)));
    for (wrong, mend) in [
        (method.to_owned(), "it is missing"),
        (
            format!("{method}{subject}secret = 'Nn3vTz0qkM8sYb5wJx1cRh7d'\n"),
            "has no secret",
        ),
        (
            format!("{subject}secret = 'Nn3vTz0qkM8sYb5wJx1cRh7d'\n"),
            "or set that",
        ),
        (
            format!("{method}tls_client_auth_subject_dn = 'CN=a, O=b'\n"),
            "without spaces",
        ),
    ] {
        let said = problems(&client(&wrong), &[]);
        assert!(said[0].contains(mend), "{said:?}");
    }
}

#[test]
fn spans_go_nowhere_without_a_collector_and_its_headers_are_never_shown() {
    assert!(read(Role::Both, "", &[]).unwrap().otlp.is_none());
    let file =
        "[otlp]\nendpoint = 'http://localhost:4318'\nheaders = 'x-key=canary'\nsample_ratio = 0.5";
    let config = read(Role::Both, file, &[]).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert!((config.otlp.unwrap().sample_ratio - 0.5).abs() < 1e-9);
    let said = problems(
        "[otlp]\nendpoint = 'http://u:canary@c'\nsample_ratio = 3",
        &[],
    );
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(!said.concat().contains("canary"), "{said:?}");
}
