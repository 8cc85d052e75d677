//! Somebody else's MCP server: it knows nothing of tokens.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};

/// Adds numbers, starting from a fixed one.
#[derive(Clone, Debug)]
pub(crate) struct Adder {
    start: i64,
}

/// Two numbers.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Sum {
    left: i64,
    right: i64,
}

#[tool_router]
impl Adder {
    pub(crate) const fn new() -> Self {
        Self { start: 0 }
    }

    #[tool(description = "Adds two whole numbers")]
    fn add(&self, Parameters(Sum { left, right }): Parameters<Sum>) -> String {
        self.start
            .saturating_add(left)
            .saturating_add(right)
            .to_string()
    }
}

#[tool_handler]
impl ServerHandler for Adder {}
