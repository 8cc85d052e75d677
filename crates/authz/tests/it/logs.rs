//! What the log says, and never says.

use std::io;
use std::sync::{Arc, Mutex};

use portcullis_testkit::authz::BASIC;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{Approve, Code, GATE, NATIVE, People, SITE, Tokens};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that is logged in this thread while the value lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_replay_is_one_security_event_however_often_it_is_tried() {
    let people = People::start(TestDatabase::sqlite()).await;
    let code = people.approve(Approve::default()).await;
    let first = Tokens::read(&people.redeem(&code).await);
    let second = Tokens::read(&people.refresh(&first.refresh).await);
    Tokens::read(&people.refresh(&second.refresh).await);
    people.pass(30);
    let (log, _guard) = Log::begin();
    for _ in 0..3 {
        people
            .refresh(&first.refresh)
            .await
            .expect_error(400, "invalid_grant");
    }
    let text = log.text();
    let events: Vec<_> = text
        .lines()
        .filter(|line| line.contains("security event"))
        .collect();
    assert_eq!(events.len(), 1, "{text}");
    let event: serde_json::Value = serde_json::from_str(events[0]).unwrap();
    assert_eq!(event["level"], "WARN");
    assert_eq!(event["fields"]["grant.id"], code.grant_id);
    assert_eq!(event["fields"]["client.id"], NATIVE);
    assert_eq!(event["fields"]["outcome"], "refresh_token_replayed");
}

#[tokio::test]
async fn no_secret_of_a_whole_life_is_in_the_log() {
    let (log, _guard) = Log::begin();
    let people = People::start(TestDatabase::sqlite()).await;
    let code = people.approve(Approve::default()).await;
    let wrong = Code {
        verifier: "w".repeat(43),
        ..code.clone()
    };
    people.redeem(&wrong).await;
    let first = Tokens::read(&people.redeem(&code).await);
    let second = Tokens::read(&people.refresh(&first.refresh).await);
    let again = Tokens::read(&people.refresh(&first.refresh).await);
    people.refresh_with(&second.refresh, "&scope=admin").await;
    people.introspect(&second.access).await;
    people.userinfo(&second.access).await;
    let site = people.approve(Approve::default()).await;
    people.authz.token(Some(SITE), &site.body()).await;
    let client = people.authz.issue().await;
    people.redeem(&code).await;
    let body = format!("client_id={NATIVE}&token={}", second.refresh);
    people.post("/revoke", None, &body).await;
    let text = log.text();
    assert!(text.contains("issued") && text.contains(&code.grant_id));
    let secrets = [
        &code.code,
        &code.verifier,
        &wrong.verifier,
        &site.code,
        &first.refresh,
        &first.access,
        &first.id,
        &second.refresh,
        &second.access,
        &again.access,
        &client,
    ];
    for secret in secrets
        .map(String::as_str)
        .into_iter()
        .chain([BASIC.1, SITE.1, GATE.1])
    {
        assert!(!text.contains(secret), "{secret}");
        let tail = secret.rsplit('.').next().unwrap();
        assert!(!text.contains(tail), "{tail}");
    }
}
