//! Somebody else's MCP server: it knows nothing of tokens.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};

/// Adds numbers.
#[derive(Clone, Debug)]
pub(crate) struct Adder {
    tool_router: ToolRouter<Self>,
}

/// Two numbers.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Sum {
    left: i64,
    right: i64,
}

#[tool_router]
impl Adder {
    pub(crate) fn new() -> Self {
        Self {
            tool_router: Self::tool_router(),
        }
    }

    #[tool(description = "Adds two whole numbers")]
    fn add(&self, Parameters(Sum { left, right }): Parameters<Sum>) -> String {
        left.saturating_add(right).to_string()
    }
}

#[tool_handler]
impl ServerHandler for Adder {}
