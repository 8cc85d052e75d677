//! The pipeline around a tool: what a tool of somebody else can do to it.

use std::time::Duration;

use portcullis_resource::guard::Caller;
use portcullis_resource::mcp::{
    CallOutcome, Effect, Registry, RegistryError, Tool, ToolCard, ToolError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bench::{person, registry_options};

#[derive(Clone, Copy)]
enum Trick {
    Panic,
    Hang,
    None,
}

struct Tricky {
    name: &'static str,
    scopes: &'static str,
    trick: Trick,
}

#[derive(Deserialize, JsonSchema)]
struct Anything {}

#[derive(Serialize, JsonSchema)]
struct Nothing {}

impl Tool for Tricky {
    type Arguments = Anything;
    type Answer = Nothing;

    fn card(&self) -> ToolCard {
        ToolCard {
            name: self.name,
            title: "Tricky",
            description: "Does not do as it should.",
            scopes: self.scopes,
            needs_user: false,
            effect: Effect::ReadOnly,
        }
    }

    async fn call(&self, _caller: &Caller, _arguments: Anything) -> Result<Nothing, ToolError> {
        match self.trick {
            Trick::Panic => panic!("a bug"),
            Trick::Hang => std::future::pending().await,
            Trick::None => Ok(Nothing {}),
        }
    }
}

fn tricky(name: &'static str, trick: Trick) -> Tricky {
    Tricky {
        name,
        scopes: "mcp:read",
        trick,
    }
}

#[tokio::test]
async fn a_panic_in_a_tool_ends_that_call_and_nothing_else() {
    let registry = Registry::new(registry_options());
    let registry = registry.with(tricky("bad", Trick::Panic)).unwrap();
    let registry = registry.with(tricky("good", Trick::None)).unwrap();
    let ann = person("ann");
    for _ in 0..2 {
        let outcome = registry.call("bad", json!({}), &ann).await;
        assert!(matches!(outcome, CallOutcome::Broken { .. }));
    }
    let outcome = registry.call("good", json!({}), &ann).await;
    assert_eq!(outcome, CallOutcome::Done(json!({})));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_given_up() {
    let registry = Registry::new(registry_options());
    let registry = registry.with(tricky("slow", Trick::Hang)).unwrap();
    let ann = person("ann");
    let call = registry.call("slow", json!({}), &ann);
    let outcome = tokio::time::timeout(Duration::from_secs(11), call)
        .await
        .unwrap();
    assert!(matches!(outcome, CallOutcome::Broken { .. }));
}

#[test]
fn a_tool_that_says_something_wrong_of_itself_is_not_registered() {
    let registry = || Registry::new(registry_options());
    let misnamed = registry().with(tricky("no spaces", Trick::None));
    assert!(matches!(misnamed, Err(RegistryError::Tool { .. })));
    let unscoped = registry().with(Tricky {
        scopes: "\"",
        ..tricky("a", Trick::None)
    });
    assert!(matches!(unscoped, Err(RegistryError::Tool { .. })));
    let twice = registry()
        .with(tricky("a", Trick::None))
        .and_then(|registry| registry.with(tricky("a", Trick::None)));
    assert!(matches!(twice, Err(RegistryError::Duplicate("a"))));
}
