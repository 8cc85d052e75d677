//! The protocol side: rmcp's handler over the registry, and the HTTP service around it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod,
    CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest, CustomResult,
    DiscoverResult, ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams, Prompt,
    PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, Role, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::store::SessionStore;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::schema::shorten;
use super::sessions::{BoundedSessions, SessionLimits};
use super::tool::{Effect, RegisteredTool};
use super::{CallOutcome, Registry, documents, guide};
use crate::guard::{Caller, SESSION_IDLE, SESSIONS_PER_CALLER, SharedSessions};

/// How long a client may keep a list: it changes only when the server is replaced.
const LIST_TTL: Duration = Duration::from_mins(5);
/// The extension that says that clients may come with client credentials (SEP-1046).
const CLIENT_CREDENTIALS: &str = "io.modelcontextprotocol/oauth-client-credentials";
/// Where a result names the server (MCP 2026-07-28, `_meta`).
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The methods whose params may be malformed.
const SERVED: [&str; 7] = [
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
];
/// Slack over the guard's body cap, so that the guard is the one who answers.
const BODY_SLACK: usize = 1024;

/// An MCP service as it is mounted; takes any request body.
pub type McpEndpoint<S = McpServer> = StreamableHttpService<Arc<S>, BoundedSessions>;

/// What the transport needs to know.
#[derive(Clone, Debug)]
pub struct McpOptions {
    /// Hosts under which this server answers. Ports are left to the guard.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call.
    pub allowed_origins: Vec<String>,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// How many sessions of older revisions there may be.
    pub sessions: SessionLimits,
    /// What replicas share of sessions, where there are several.
    pub shared_sessions: Option<SharedSessions>,
    /// Cancelled when the server stops; ends sessions and open streams.
    pub shutdown: CancellationToken,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self {
            allowed_hosts: ["localhost", "127.0.0.1", "[::1]"]
                .map(str::to_owned)
                .into(),
            allowed_origins: Vec::new(),
            max_body: 1024 * 1024,
            sessions: SessionLimits {
                all: 10_000,
                per_caller: SESSIONS_PER_CALLER,
                idle: SESSION_IDLE,
            },
            shared_sessions: None,
            shutdown: CancellationToken::new(),
        }
    }
}

/// Makes the service of the MCP endpoint: the tools of a registry.
pub fn service(registry: Arc<Registry>, options: &McpOptions) -> McpEndpoint {
    endpoint(Arc::new(McpServer::new(registry)), options)
}

/// Makes the service of an MCP endpoint around any handler.
///
/// It serves 2026-07-28 without state and the older revisions with sessions, on one path, and
/// expects the guard in front of it.
pub fn endpoint<S: ServerHandler>(server: Arc<S>, options: &McpOptions) -> McpEndpoint<S> {
    let sessions = BoundedSessions::new(options.sessions, options.shared_sessions.clone());
    StreamableHttpService::new(
        move || Ok(Arc::clone(&server)),
        Arc::new(sessions),
        transport(options),
    )
}

fn transport(options: &McpOptions) -> StreamableHttpServerConfig {
    let mut hosts: Vec<String> = options
        .allowed_hosts
        .iter()
        .map(|host| without_port(host))
        .collect();
    if hosts.is_empty() {
        // The transport would take an empty list for every host.
        hosts = McpOptions::default().allowed_hosts;
    }
    let origins = options
        .allowed_origins
        .iter()
        .map(|origin| with_port(origin));
    let mut config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(options.max_body.saturating_add(BODY_SLACK))
        .with_cancellation_token(options.shutdown.clone());
    config.session_store = options
        .shared_sessions
        .clone()
        .map(|shared| -> Arc<dyn SessionStore> { Arc::new(shared) });
    config
}

/// The transport would refuse `example.com` where `example.com:443` is listed; which port counts is
/// the guard's decision.
fn without_port(host: &str) -> String {
    host.parse::<http::uri::Authority>()
        .map_or_else(|_| host.to_owned(), |authority| authority.host().to_owned())
}

/// The transport takes an origin without a port for one with any port, so the port is spelled out.
fn with_port(origin: &str) -> String {
    let port = Url::parse(origin)
        .ok()
        .filter(|url| url.port().is_none())
        .and_then(|url| url.port_or_known_default());
    match port {
        Some(port) => format!("{}:{port}", origin.trim_end_matches('/')),
        None => origin.to_owned(),
    }
}

/// The handler; everything that does not depend on the caller is made once.
pub struct McpServer {
    registry: Arc<Registry>,
    config: ServerConfig,
    meta: Option<MetaObject>,
    tools: Vec<Tool>,
    prompts: Vec<Prompt>,
    guide: String,
}

impl McpServer {
    /// A handler over these tools.
    pub fn new(registry: Arc<Registry>) -> Self {
        let options = registry.options();
        let about = Implementation::new(options.name.clone(), options.version.clone());
        let mut members = Map::new();
        members.insert(
            SERVER_INFO.to_owned(),
            json!({ "name": options.name, "version": options.version }),
        );
        Self {
            config: ServerConfig::new(capabilities())
                .with_server_info(about)
                .with_instructions("Read the prompt usage-guide for the tools and their scopes."),
            meta: Some(MetaObject(members)),
            tools: registry.tools().iter().map(describe).collect(),
            prompts: vec![
                Prompt::new(guide::NAME, Some(guide::DESCRIPTION), None).with_title("Usage guide"),
            ],
            guide: guide::text(&registry),
            registry,
        }
    }

    fn tool_result(&self, name: &str, outcome: CallOutcome) -> Result<CallToolResult, ErrorData> {
        let fault = match outcome {
            CallOutcome::Done(value) => {
                return Ok(CallToolResult::structured(value).with_meta(self.meta.clone()));
            }
            // MCP 2026-07-28, tool errors: an unknown tool is a protocol error; what a model can
            // mend by calling again is a result.
            CallOutcome::Unknown => {
                let message = format!("Unknown tool: {}", shorten(name));
                return Err(ErrorData::invalid_params(message, None));
            }
            CallOutcome::InvalidArguments { field, message } => {
                format!("Invalid argument {field}: {message}")
            }
            CallOutcome::Failed {
                field: Some(field),
                message,
            } => format!("{field}: {message}"),
            CallOutcome::Failed {
                field: None,
                message,
            } => message,
            CallOutcome::Broken { message } => message.to_owned(),
        };
        Ok(CallToolResult::error(vec![ContentBlock::text(fault)]).with_meta(self.meta.clone()))
    }
}

/// Only what is really served is named; lists do not change while the server runs.
fn capabilities() -> ServerCapabilities {
    let extensions = BTreeMap::from([(CLIENT_CREDENTIALS.to_owned(), Map::new())]);
    ServerCapabilities::builder()
        .enable_extensions_with(extensions)
        .enable_prompts()
        .enable_resources()
        .enable_tools()
        .build()
}

fn describe(tool: &RegisteredTool) -> Tool {
    let card = tool.card();
    let is_read_only = card.effect == Effect::ReadOnly;
    let mut annotations = ToolAnnotations::new()
        .read_only(is_read_only)
        .open_world(false);
    if !is_read_only {
        annotations = annotations.destructive(false).idempotent(false);
    }
    Tool::new(card.name, card.description, Arc::clone(tool.input_schema()))
        .with_title(card.title)
        .with_raw_output_schema(Arc::clone(tool.output_schema()))
        .with_annotations(annotations)
}

/// The caller that the guard put into the request.
fn caller(context: &RequestContext<RoleServer>) -> Result<&Caller, ErrorData> {
    context
        .extensions
        .get::<http::request::Parts>()
        .and_then(|parts| parts.extensions.get::<Caller>())
        .ok_or_else(|| {
            tracing::error!("a request reached the MCP server without passing the guard");
            ErrorData::internal_error("this server is not set up to answer", None)
        })
}

/// Every list fits on one page, so no cursor is ours (MCP 2026-07-28, pagination).
fn refuse_cursor(request: Option<&PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor.as_ref()) {
        None => Ok(()),
        Some(_) => Err(ErrorData::invalid_params("Unknown cursor", None)),
    }
}

fn list_ttl() -> u64 {
    u64::try_from(LIST_TTL.as_millis()).unwrap_or(0)
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        self.config.clone()
    }

    async fn discover(
        &self,
        _context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        Ok(
            DiscoverResult::from_server_info(versions, self.config.clone())
                .with_ttl_ms(list_ttl())
                .with_cache_scope(CacheScope::Public),
        )
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let mut result = ListToolsResult::with_all_items(self.tools.clone())
            .with_ttl_ms(list_ttl())
            .with_cache_scope(CacheScope::Public);
        result.meta.clone_from(&self.meta);
        Ok(result)
    }

    /// The transport asks for the schema of each call's parameter headers; the rest of the tool is
    /// left out, because it would be copied for nothing.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tool = self.registry.find(name)?;
        let schema = Arc::clone(tool.input_schema());
        Some(Tool::new_with_raw(tool.card().name, None, schema))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let caller = caller(&context)?;
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let outcome = self.registry.call(&request.name, arguments, caller).await;
        self.tool_result(&request.name, outcome)
            .map(CallToolResponse::from)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let resources = documents::visible(caller(&context)?)
            .map(|document| {
                Resource::new(document.uri, document.name)
                    .with_title(document.title)
                    .with_description(document.description)
                    .with_mime_type("application/json")
            })
            .collect();
        // MCP 2026-07-28, caching: private, because it depends on who asks.
        let mut result = ListResourcesResult::with_all_items(resources)
            .with_ttl_ms(list_ttl())
            .with_cache_scope(CacheScope::Private);
        result.meta.clone_from(&self.meta);
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let mut result = ListResourceTemplatesResult::default()
            .with_ttl_ms(list_ttl())
            .with_cache_scope(CacheScope::Public);
        result.meta.clone_from(&self.meta);
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let document = documents::visible(caller(&context)?)
            .find(|document| document.uri == request.uri)
            .ok_or_else(|| {
                let uri = json!({ "uri": shorten(&request.uri) });
                ErrorData::invalid_params("Resource not found", Some(uri))
            })?;
        let text = document.text(&self.registry);
        let contents =
            ResourceContents::text(text, document.uri).with_mime_type("application/json");
        let mut result = ReadResourceResult::new(vec![contents])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private);
        result.meta.clone_from(&self.meta);
        Ok(result.into())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let mut result = ListPromptsResult::with_all_items(self.prompts.clone())
            .with_ttl_ms(list_ttl())
            .with_cache_scope(CacheScope::Public);
        result.meta.clone_from(&self.meta);
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != guide::NAME {
            let message = format!("Unknown prompt: {}", shorten(&request.name));
            return Err(ErrorData::invalid_params(message, None));
        }
        let message = PromptMessage::new_text(Role::User, self.guide.clone());
        let mut result = GetPromptResult::new(vec![message]).with_description(guide::DESCRIPTION);
        result.meta.clone_from(&self.meta);
        Ok(result.into())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        // The capability is not offered; the default would answer with nothing.
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // The SDK hands over what it could not read, also under the names of methods we serve.
        if SERVED.contains(&request.method.as_str()) {
            let message = format!("Malformed params of {}", request.method);
            return Err(ErrorData::invalid_params(message, None));
        }
        let message = shorten(&request.method);
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None))
    }
}
