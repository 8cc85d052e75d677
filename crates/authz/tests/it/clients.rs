//! Clients that operators make, and that running servers learn of them.

use portcullis_authz::clients::Credential;
use portcullis_authz::clients::admin::{self, ClientAdminError, NewClient};
use portcullis_common::config::{Config, GrantType, TokenEndpointAuthMethod};
use portcullis_common::distinguished_name::DistinguishedName;
use portcullis_common::resource_indicator::ResourceIndicator;
use portcullis_testkit::authz::{self, Answer, Authz, BASIC, MCP};
use portcullis_testkit::browser::{Ask, Browser, VERIFIER};
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::entropy::SeededEntropy;
use portcullis_testkit::on_both_engines;

const GRANT: &str = "grant_type=client_credentials";
const CALLBACK: &str = "http://127.0.0.1:4999/cb";

fn new(name: &str) -> NewClient {
    NewClient {
        name: name.to_owned(),
        ..NewClient::default()
    }
}

fn subject() -> DistinguishedName {
    DistinguishedName::parse("CN=robot,O=Example").unwrap()
}

async fn add(authz: &Authz, new: NewClient) -> Result<admin::AddedClient, ClientAdminError> {
    let config = authz.state.config();
    let seed = new.name.len() as u64;
    let entropy = SeededEntropy::new(seed);
    admin::add(
        authz.state.store(),
        config,
        authz.clock.as_ref(),
        entropy.as_ref(),
        new,
    )
    .await
}

async fn start() -> (TestDatabase, Authz) {
    let database = TestDatabase::sqlite();
    let authz = Authz::start(&database).await;
    (database, authz)
}

on_both_engines! {
    async fn a_running_server_knows_a_new_client_at_once_and_forgets_a_removed_one(database) {
        let authz = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        authz.token(Some(("agent", "x")), GRANT).await.expect_error(401, "invalid_client");
        let agent = NewClient { id: Some("agent".to_owned()), ..new("agent") };
        let added = add(&elsewhere, agent).await.unwrap();
        let secret = added.secret.unwrap();
        let basic = Some((added.client.id.as_str(), secret.expose()));
        // Neither before nor after it has noticed the change.
        assert_eq!(authz.token(basic, GRANT).await.status, 200);
        authz.state.refresh().await.unwrap();
        assert_eq!(authz.token(basic, GRANT).await.status, 200);

        let config = &elsewhere.state.config().authz;
        let id = added.client.id.as_str();
        admin::remove(elsewhere.state.store(), config, elsewhere.clock.as_ref(), id).await.unwrap();
        authz.state.refresh().await.unwrap();
        authz.token(basic, GRANT).await.expect_error(401, "invalid_client");
    }

    async fn a_person_and_an_app_that_were_made_a_moment_ago_go_the_whole_way_at_once(database) {
        let authz = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        let app = NewClient {
            is_public: true,
            redirect_uris: vec![CALLBACK.to_owned()],
            ..new("app")
        };
        let app = add(&elsewhere, app).await.unwrap().client;
        elsewhere.add_user("newcomer", "a password").await;
        let ask = Ask::of(app.id.as_str(), CALLBACK);
        let code = Browser::new(&authz).allows(&ask, "newcomer", "a password").await;
        let body = format!(
            "grant_type=authorization_code&client_id={}&code={code}&code_verifier={VERIFIER}",
            app.id
        );
        assert_eq!(authz.token(None, &body).await.status, 200);
    }

    async fn a_flood_of_invented_clients_keeps_no_newcomer_out(database) {
        let authz = Authz::start(&database).await;
        let elsewhere = Authz::start(&database).await;
        let flood: Vec<_> = (0..400)
            .map(|number| {
                let authz = authz.clone();
                let id = format!("invented-{number}");
                tokio::spawn(async move { authz.token(Some((&id, "x")), GRANT).await })
            })
            .collect();
        let added = add(&elsewhere, new("agent")).await.unwrap();
        let secret = added.secret.unwrap();
        let basic = Some((added.client.id.as_str(), secret.expose()));
        assert_eq!(patiently(&authz, basic, GRANT).await.status, 200);
        assert_eq!(authz.token(Some(BASIC), GRANT).await.status, 200);
        for answer in flood {
            let answer = answer.await.unwrap();
            // Whoever had to wait too long may come back.
            assert!(matches!(answer.status.as_u16(), 401 | 503), "{answer:?}");
        }
    }
}

/// Comes back as long as the server asks for it.
async fn patiently(authz: &Authz, basic: Option<(&str, &str)>, body: &str) -> Answer {
    loop {
        let answer = authz.token(basic, body).await;
        if answer.status != 503 {
            return answer;
        }
        assert_eq!(answer.header("retry-after"), "1");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_client_gets_sensible_defaults() {
    let (_database, authz) = start().await;
    let agent = add(&authz, new("agent")).await.unwrap();
    assert_eq!(agent.client.grants, [GrantType::ClientCredentials]);
    assert!(matches!(
        agent.client.credential,
        Credential::SecretBasic(_)
    ));
    assert_eq!(
        agent.secret.unwrap().expose().len(),
        43,
        "256 bits as base64url"
    );
    assert_eq!(agent.client.id.as_str().len(), 22, "128 bits as base64url");

    let app = NewClient {
        is_public: true,
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned(), "cursor://x/cb".to_owned()],
        ..new("an app")
    };
    let app = add(&authz, app).await.unwrap();
    assert_eq!(
        app.client.grants,
        [GrantType::AuthorizationCode, GrantType::RefreshToken]
    );
    assert_eq!(app.client.credential, Credential::None);
    assert!(app.secret.is_none());

    let robot = NewClient {
        certificate_subject: Some(subject()),
        ..new("a robot")
    };
    let robot = add(&authz, robot).await.unwrap();
    assert_eq!(robot.client.credential.subject(), Some(&subject()));
    assert_eq!(robot.client.grants, [GrantType::ClientCredentials]);
    assert!(robot.secret.is_none());
}

#[tokio::test]
async fn a_client_that_makes_no_sense_is_refused_with_the_reason() {
    let (_database, authz) = start().await;
    let scoped = |scope: &str| Some(scope.parse().unwrap());
    let wrong = [
        NewClient {
            id: Some("https://h/c".to_owned()),
            ..new("a")
        },
        NewClient {
            id: Some("a b".to_owned()),
            ..new("a")
        },
        NewClient {
            id: Some(BASIC.0.to_owned()),
            ..new("a")
        },
        new(""),
        new("a\nb"),
        NewClient {
            is_public: true,
            ..new("a")
        },
        NewClient {
            is_public: true,
            auth_method: Some(TokenEndpointAuthMethod::ClientSecretPost),
            redirect_uris: vec!["https://h/cb".to_owned()],
            ..new("a")
        },
        NewClient {
            auth_method: Some(TokenEndpointAuthMethod::None),
            ..new("a")
        },
        NewClient {
            auth_method: Some(TokenEndpointAuthMethod::TlsClientAuth),
            ..new("a")
        },
        NewClient {
            auth_method: Some(TokenEndpointAuthMethod::ClientSecretBasic),
            certificate_subject: Some(subject()),
            ..new("a")
        },
        NewClient {
            is_public: true,
            certificate_subject: Some(subject()),
            redirect_uris: vec!["https://h/cb".to_owned()],
            ..new("a")
        },
        NewClient {
            grants: vec![GrantType::AuthorizationCode],
            ..new("a")
        },
        NewClient {
            grants: vec![GrantType::RefreshToken],
            ..new("a")
        },
        NewClient {
            scope: scoped("mcp:read admin"),
            ..new("a")
        },
        NewClient {
            introspect: vec![ResourceIndicator::parse("https://elsewhere.example").unwrap()],
            ..new("a")
        },
    ];
    for one in wrong {
        let what = format!("{one:?}");
        assert!(add(&authz, one).await.is_err(), "{what}");
    }
    assert_eq!(authz.state.store().load_clients().await.unwrap(), []);
}

#[tokio::test]
async fn a_redirect_uri_nobody_may_be_sent_to_is_refused() {
    let (_database, authz) = start().await;
    for uri in [
        "",
        "/cb",
        "http://example.com/cb",
        "https://h/cb#x",
        "https://h/cb#",
        "javascript:alert(1)",
        "data:text/html,x",
        "vscode://x",
        "https://h/a b",
        "https://",
    ] {
        let one = NewClient {
            redirect_uris: vec![uri.to_owned()],
            ..new("a")
        };
        let refused = add(&authz, one).await;
        assert!(
            matches!(refused, Err(ClientAdminError::RedirectUri(_))),
            "{uri}"
        );
    }
    assert_eq!(authz.state.store().load_clients().await.unwrap(), []);
}

#[tokio::test]
async fn an_id_is_given_once_and_a_client_of_the_configuration_is_changed_only_there() {
    let (_database, authz) = start().await;
    let with_id = || NewClient {
        id: Some("mine".to_owned()),
        ..new("agent")
    };
    add(&authz, with_id()).await.unwrap();
    assert!(matches!(
        add(&authz, with_id()).await,
        Err(ClientAdminError::IdTaken(_))
    ));
    let (store, config) = (authz.state.store(), &authz.state.config().authz);
    let removed = admin::remove(store, config, authz.clock.as_ref(), BASIC.0).await;
    assert!(matches!(removed, Err(ClientAdminError::Configured(_))));
    for unknown in ["nobody", "", "a b"] {
        let removed = admin::remove(store, config, authz.clock.as_ref(), unknown).await;
        assert!(
            matches!(removed, Err(ClientAdminError::Unknown(_))),
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn a_list_shows_configured_and_stored_clients_and_no_secret() {
    let (_database, authz) = start().await;
    let one = NewClient {
        id: Some("mine".to_owned()),
        introspect: vec![ResourceIndicator::parse(MCP).unwrap()],
        scope: Some("mcp:read".parse().unwrap()),
        ..new("agent")
    };
    add(&authz, one).await.unwrap();
    let (store, config) = (authz.state.store(), &authz.state.config().authz);
    let ids: Vec<_> = admin::list(store, config)
        .await
        .unwrap()
        .into_iter()
        .map(|client| client.id.to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "svc-basic",
            "svc-post",
            "svc-writer",
            "web",
            "cli",
            "spa",
            "app",
            "mine"
        ]
    );
    let shown = admin::show(store, config, "mine").await.unwrap();
    assert_eq!(shown.scope.unwrap().to_string(), "mcp:read");
    assert!(admin::show(store, config, "nobody").await.is_err());
}

#[tokio::test]
async fn a_client_of_the_configuration_hides_a_stored_one_of_the_same_id() {
    let database = TestDatabase::sqlite();
    let mut without: Config = authz::config(database.config());
    without.authz.clients.clear();
    let before = Authz::start_with(without).await;
    let stored = NewClient {
        id: Some(BASIC.0.to_owned()),
        ..new("agent")
    };
    let stored_secret = add(&before, stored).await.unwrap().secret.unwrap();
    let after = Authz::start(&database).await;
    assert_eq!(after.token(Some(BASIC), GRANT).await.status, 200);
    let old = Some((BASIC.0, stored_secret.expose()));
    after
        .token(old, GRANT)
        .await
        .expect_error(401, "invalid_client");
}
