//! The family of refresh tokens as a state machine, against a model, on the real store.

use portcullis_common::clock::Clock as _;
use portcullis_testkit::database::TestDatabase;
use portcullis_testkit::grants::{Approve, People, Tokens};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const GRACE: i64 = 30;
const ACCESS_TTL: i64 = 600;
const IDLE_TTL: i64 = 30 * 24 * 3600;
const GRANT_TTL: i64 = 180 * 24 * 3600;

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Presents one of the tokens ever given, counted from the newest.
    Use(usize),
    /// Waits some seconds.
    Wait(u32),
    /// The sweep runs.
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..2).prop_map(Step::Use),
        2 => (0_usize..6).prop_map(Step::Use),
        2 => prop_oneof![Just(1_u32), Just(29), Just(30), Just(31), Just(600)].prop_map(Step::Wait),
        1 => prop_oneof![Just(86_400_u32), Just(29 * 86_400), Just(30 * 86_400)].prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ];
    proptest::collection::vec(step, 1..24)
}

/// A token as the model knows it.
#[derive(Clone, Debug)]
struct Known {
    text: String,
    expires_at: i64,
    rotated_at: Option<i64>,
    /// The access token that was given with it, and when that ends.
    access: (String, i64),
}

/// The family as it should be.
#[derive(Debug)]
struct Model {
    tokens: Vec<Known>,
    grant_end: i64,
    is_ended: bool,
}

/// What the model expects of a use.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Refused,
    Rotated,
    /// The same successor; and the same access token, if it lives.
    Same {
        successor: usize,
    },
}

impl Model {
    fn expect(&mut self, index: usize, now: i64) -> Expected {
        let leaf = self.tokens.len() - 1;
        let token = &self.tokens[index];
        if self.is_ended || now >= self.grant_end || now >= token.expires_at {
            return Expected::Refused;
        }
        match token.rotated_at {
            None => Expected::Rotated,
            Some(at) if index + 1 == leaf || now < at + GRACE => Expected::Same {
                successor: index + 1,
            },
            Some(_) => {
                self.is_ended = true;
                Expected::Refused
            }
        }
    }

    fn know(&mut self, tokens: &Tokens, now: i64) {
        self.tokens.push(Known {
            text: tokens.refresh.clone(),
            expires_at: (now + IDLE_TTL).min(self.grant_end),
            rotated_at: None,
            access: (tokens.access.clone(), now + ACCESS_TTL),
        });
    }

    /// How many answers may lie in the store after a sweep: those that may still be given.
    fn kept_answers(&self, now: i64) -> usize {
        let leaf = self.tokens.len() - 1;
        let is_kept = |(index, token): (usize, &Known)| {
            let is_current = token
                .rotated_at
                .is_some_and(|at| index + 1 == leaf || now < at + GRACE);
            is_current && now < token.expires_at
        };
        match self.is_ended {
            true => 0,
            false => self
                .tokens
                .iter()
                .enumerate()
                .filter(|one| is_kept(*one))
                .count(),
        }
    }
}

async fn check(people: &People, steps: &[Step]) -> Result<(), TestCaseError> {
    let now = || people.authz.clock.now().seconds();
    let first = people.log_in(Approve::default()).await;
    let grant = people.introspect(&first.access).await;
    prop_assert_eq!(&grant["active"], &true);
    let mut model = Model {
        tokens: Vec::new(),
        grant_end: now() + GRANT_TTL,
        is_ended: false,
    };
    model.know(&first, now());
    let family = family_of(&first);
    for step in steps {
        match *step {
            Step::Wait(seconds) => people.pass(u64::from(seconds)),
            Step::Sweep => {
                people.authz.state.sweep_grants().await.unwrap();
                let sealed = format!(
                    "SELECT COUNT(*) FROM refresh_tokens
                      WHERE sealed_answer IS NOT NULL AND grant_id = '{family}'"
                );
                let sealed = usize::try_from(people.database().count(&sealed).await).unwrap();
                prop_assert_eq!(sealed, model.kept_answers(now()));
            }
            Step::Use(back) => {
                let index = (model.tokens.len() - 1).saturating_sub(back);
                let text = model.tokens[index].text.clone();
                let expected = model.expect(index, now());
                let answer = people.refresh(&text).await;
                judge(people, &mut model, index, &expected, &answer).await?;
            }
        }
        let leaves = format!(
            "SELECT COUNT(*) FROM refresh_tokens
              WHERE rotated_at IS NULL AND grant_id = '{family}'"
        );
        prop_assert!(people.database().count(&leaves).await <= 1);
    }
    Ok(())
}

async fn judge(
    people: &People,
    model: &mut Model,
    index: usize,
    expected: &Expected,
    answer: &portcullis_testkit::authz::Answer,
) -> Result<(), TestCaseError> {
    let now = people.authz.clock.now().seconds();
    match *expected {
        Expected::Refused => {
            prop_assert_eq!(answer.status.as_u16(), 400, "{:?}", answer);
            prop_assert_eq!(&answer.json()["error"], "invalid_grant");
        }
        Expected::Rotated => {
            prop_assert_eq!(answer.status.as_u16(), 200, "{:?}", answer);
            let tokens = Tokens::read(answer);
            prop_assert!(
                model
                    .tokens
                    .iter()
                    .all(|known| known.text != tokens.refresh)
            );
            model.tokens[index].rotated_at = Some(now);
            model.know(&tokens, now);
            prop_assert!(people.is_active(&tokens.access).await);
        }
        Expected::Same { successor } => {
            prop_assert_eq!(answer.status.as_u16(), 200, "{:?}", answer);
            let tokens = Tokens::read(answer);
            let (access, end) = &model.tokens[successor].access;
            prop_assert_eq!(&tokens.refresh, &model.tokens[successor].text);
            prop_assert_eq!(*access == tokens.access, now < *end);
            prop_assert!(people.is_active(&tokens.access).await);
        }
    }
    Ok(())
}

fn family_of(tokens: &Tokens) -> String {
    use base64::Engine as _;
    let payload = tokens.access.split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&json).unwrap();
    claims["grant_id"].as_str().unwrap().to_owned()
}

fn run(cases: u32, database: impl Future<Output = Option<TestDatabase>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let Some(database) = runtime.block_on(database) else {
        return;
    };
    let people = runtime.block_on(People::start(database));
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    };
    TestRunner::new(config)
        .run(&steps(), |steps| runtime.block_on(check(&people, &steps)))
        .unwrap();
}

#[test]
fn a_family_behaves_as_its_model_on_sqlite() {
    run(60, async { Some(TestDatabase::sqlite()) });
}

#[test]
fn a_family_behaves_as_its_model_on_postgresql() {
    run(20, TestDatabase::postgres());
}
