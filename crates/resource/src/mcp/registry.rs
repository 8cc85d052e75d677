//! The registry of tools, and the one pipeline through which every call goes.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use portcullis_common::audit::{AuditTrail, Event};
use portcullis_common::clock::{SharedClock, Timestamp};
use portcullis_common::metrics::SharedMetrics;
use portcullis_common::scope::ScopeHierarchy;
use portcullis_common::trace::{Attribute, OpenSpan, SpanKind, Tracer};
use serde_json::Value;

use super::tool::{Answer, RegisteredTool, Tool, ToolError};
use crate::guard::{Caller, Operation, OperationPolicy, Principal, Requirement};
use crate::rest;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What the registry needs to know of the program around it.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// The name of the server, for clients.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where the time comes from.
    pub clock: SharedClock,
    /// Which scope includes which.
    pub scopes: ScopeHierarchy,
    /// What an admin may read at `portcullis://settings`. Whoever makes it leaves secrets out.
    pub settings: Value,
}

/// The tools, in the order in which they are listed.
#[derive(Debug)]
pub struct Registry {
    options: RegistryOptions,
    started: Timestamp,
    tools: Vec<RegisteredTool>,
    positions: HashMap<&'static str, usize>,
    metrics: SharedMetrics,
    tracer: Tracer,
    audit: AuditTrail,
}

/// Why a registry cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The tool says something wrong about itself.
    #[error("the tool {name} cannot be registered: {reason}")]
    Tool {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Two tools have one name.
    #[error("two tools are called {0}")]
    Duplicate(&'static str),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome {
    /// There is no such tool.
    Unknown,
    /// The arguments break the tool's schema.
    InvalidArguments {
        /// The member, such as `operands[0]`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The arguments are well formed, but have no answer.
    Failed {
        /// The member to blame, if one is.
        field: Option<String>,
        /// Why there is no answer.
        message: String,
    },
    /// The tool is at fault: it panicked or took too long.
    Broken {
        /// What a stranger may know of it.
        message: &'static str,
    },
    /// The answer.
    Done(Value),
}

impl Registry {
    /// A registry without tools.
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            started: options.clock.now(),
            options,
            tools: Vec::new(),
            positions: HashMap::new(),
            metrics: SharedMetrics::default(),
            tracer: Tracer::default(),
            audit: AuditTrail::off(),
        }
    }

    /// Counts calls there.
    #[must_use]
    pub fn counted_in(mut self, metrics: SharedMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Begins a span there for each call.
    #[must_use]
    pub fn traced_by(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// Records calls there.
    #[must_use]
    pub fn recorded_in(mut self, audit: AuditTrail) -> Self {
        self.audit = audit;
        self
    }

    /// Adds a tool at the end of the list.
    pub fn with<T: Tool>(mut self, tool: T) -> Result<Self, RegistryError> {
        let name = tool.card().name;
        let registered = RegisteredTool::new(tool).map_err(|error| RegistryError::Tool {
            name,
            reason: error.to_string(),
        })?;
        if self.positions.insert(name, self.tools.len()).is_some() {
            return Err(RegistryError::Duplicate(name));
        }
        self.tools.push(registered);
        Ok(self)
    }

    /// The tools, always in the same order (MCP 2026-07-28, `tools/list`).
    pub fn tools(&self) -> &[RegisteredTool] {
        &self.tools
    }

    /// The tool of this name.
    pub fn find(&self, name: &str) -> Option<&RegisteredTool> {
        self.tools.get(*self.positions.get(name)?)
    }

    /// What the program around it said of itself.
    pub fn options(&self) -> &RegistryOptions {
        &self.options
    }

    /// Whole seconds since this registry was made.
    pub fn uptime(&self) -> Duration {
        self.options.clock.now().since(self.started)
    }

    /// Whether this caller could call this tool.
    pub fn is_available(&self, tool: &RegisteredTool, caller: &Caller) -> bool {
        let is_person = caller.principal == Principal::User;
        (is_person || !tool.requirement().needs_user)
            && self.options.scopes.satisfies(&caller.scopes, tool.scopes())
    }

    /// Calls a tool: schema, dispatch, answer. The scopes were checked by the guard.
    pub async fn call(&self, name: &str, arguments: Value, caller: &Caller) -> CallOutcome {
        let mut record = caller.draft(&self.audit, Event::ToolCall);
        record.target(name);
        let Some(tool) = self.find(name) else {
            record.fail(CallOutcome::Unknown.label());
            return CallOutcome::Unknown;
        };
        let outcome = match self.tracer.begin(SpanKind::Internal, caller.trace) {
            None => Self::dispatch(tool, arguments, caller).await,
            Some(span) => Self::trace(span, tool, arguments, caller).await,
        };
        match &outcome {
            CallOutcome::Done(_) => record.succeed(),
            other => record.fail(other.label()),
        }
        self.metrics.tool_call(tool.card().name, outcome.label());
        outcome
    }

    /// Calls a tool below a span of its own, which the tool learns of.
    async fn trace(
        span: OpenSpan,
        tool: &RegisteredTool,
        arguments: Value,
        caller: &Caller,
    ) -> CallOutcome {
        let mut below = caller.clone();
        below.trace = Some(span.context());
        let outcome = Self::dispatch(tool, arguments, &below).await;
        let name = tool.card().name;
        let attributes = vec![
            ("mcp.method.name", Attribute::Text("tools/call".into())),
            ("gen_ai.tool.name", Attribute::Text(name.into())),
            (
                "portcullis.outcome",
                Attribute::Text(outcome.label().into()),
            ),
        ];
        let has_failed = matches!(outcome, CallOutcome::Broken { .. });
        span.linked_to(caller.request_trace).end(
            format!("tools/call {name}"),
            attributes,
            has_failed,
        );
        outcome
    }

    async fn dispatch(tool: &RegisteredTool, arguments: Value, caller: &Caller) -> CallOutcome {
        if let Err(violation) = tool.check(&arguments) {
            return CallOutcome::InvalidArguments {
                field: violation.field,
                message: violation.message,
            };
        }
        let answer = unwind(tool.call(caller, arguments));
        match tokio::time::timeout(CALL_LIMIT, answer).await {
            Ok(Ok(answer)) => answer.into(),
            Ok(Err(panic)) => {
                tracing::error!(
                    tool = tool.card().name,
                    correlation.id = caller.correlation_id,
                    panic = panic_text(panic.as_ref()),
                    "a tool panicked"
                );
                CallOutcome::Broken {
                    message: "the tool broke down",
                }
            }
            Err(_) => CallOutcome::Broken {
                message: "the tool took longer than 10 seconds",
            },
        }
    }
}

impl CallOutcome {
    /// The word under which it is counted.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InvalidArguments { .. } => "invalid_arguments",
            Self::Failed { .. } => "failed",
            Self::Broken { .. } => "broken",
            Self::Done(_) => "done",
        }
    }
}

impl OperationPolicy for Registry {
    fn requirement<'a>(
        &'a self,
        operation: &Operation<'_>,
        _caller: &Caller,
    ) -> Cow<'a, Requirement> {
        match (operation.method, operation.name) {
            ("tools/call", Some(name)) => self
                .find(name)
                .map(|tool| Cow::Borrowed(tool.requirement()))
                .unwrap_or_default(),
            (rest::PROBE, Some(name)) => Cow::Owned(rest::probe_requirement(name)),
            _ => Cow::default(),
        }
    }
}

impl From<Result<Value, ToolError>> for CallOutcome {
    fn from(answer: Result<Value, ToolError>) -> Self {
        match answer {
            Ok(value) => Self::Done(value),
            Err(ToolError::InvalidArgument { field, message }) => Self::InvalidArguments {
                field: field.to_owned(),
                message,
            },
            Err(ToolError::Failed { field, message }) => Self::Failed {
                field: field.map(str::to_owned),
                message,
            },
        }
    }
}

type Panic = Box<dyn Any + Send>;

/// Runs an answer so that a panic in it ends that answer and nothing else.
async fn unwind(mut answer: Answer<'_>) -> Result<Result<Value, ToolError>, Panic> {
    std::future::poll_fn(move |context| {
        // The answer is dropped after a panic, so nobody sees a broken invariant of it.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
