//! What each client was seen to send, in our own words. Ports that a client chooses anew are some port
//! here, and what is random is made by the test.

/// One client, as it was recorded.
pub(crate) struct Recorded {
    /// Client and version.
    pub(crate) name: &'static str,
    /// The method and the `MCP-Protocol-Version` of its first request without a token.
    pub(crate) probe: (&'static str, Option<&'static str>),
    /// Its revision, and whether it names it in the requests that follow.
    pub(crate) speaks: Speaks,
    /// The metadata that it registers with.
    pub(crate) registration: &'static str,
    /// How it proves to the token endpoint who it is.
    pub(crate) proof: Proof,
    /// The parameters of each authorization request beside those that all send alike.
    pub(crate) asks: &'static [&'static [(&'static str, &'static str)]],
    /// The parameters of a refresh beside those that all send alike.
    pub(crate) refresh: &'static [(&'static str, &'static str)],
    /// Whether a refresh names the resource.
    pub(crate) refreshes_for_resource: bool,
    /// Whether it asks for `subscriptions/listen`. Clients of older revisions all open a GET stream.
    pub(crate) listens: bool,
}

/// How a client speaks MCP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// Revision 2026-07-28: every request stands alone.
    Modern,
    /// Revision 2025-11-25: a handshake and a session.
    Legacy,
    /// The same, without any `MCP-Protocol-Version`.
    Unnamed,
}

/// How a client proves who it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Its id in the form.
    Nothing,
    /// A Basic header, and its id in the form too.
    Basic,
    /// First a Basic header with an empty secret, then its id in the form.
    GuessesBasic,
}

const READ: &[(&str, &str)] = &[("scope", "mcp:read")];
const READ_OFFLINE: &[(&str, &str)] = &[("scope", "mcp:read offline_access")];
const READ_OFFLINE_PROMPT: &[(&str, &str)] =
    &[("scope", "mcp:read offline_access"), ("prompt", "consent")];
const BOTH: &[(&str, &str)] = &[("scope", "mcp:read mcp:write")];
const BOTH_OFFLINE: &[(&str, &str)] = &[("scope", "mcp:read mcp:write offline_access")];
const BOTH_OFFLINE_PROMPT: &[(&str, &str)] = &[
    ("scope", "mcp:read mcp:write offline_access"),
    ("prompt", "consent"),
];

/// A public client of the newest revision that steps up after a 403; the others differ from it.
const USUAL: Recorded = Recorded {
    name: "typescript 2.4.0",
    probe: ("POST", Some("2026-07-28")),
    speaks: Speaks::Modern,
    registration: r#"{"client_name": "typescript",
        "redirect_uris": ["http://127.0.0.1:40101/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "application_type": "native",
        "scope": "mcp:read offline_access"}"#,
    proof: Proof::Nothing,
    asks: &[READ_OFFLINE_PROMPT, BOTH_OFFLINE_PROMPT],
    refresh: &[],
    refreshes_for_resource: true,
    listens: false,
};

/// A client that the operator registered, so libraries that register nobody can be it.
const NATIVE: &str = r#"{"client_name": "native-client",
    "redirect_uris": ["http://127.0.0.1:40102/callback"], "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"], "application_type": "native"}"#;

const INSPECTOR: &str = r#"{"redirect_uris": ["http://127.0.0.1:6276/oauth/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
    "client_name": "MCP Inspector",
    "client_uri": "https://github.com/modelcontextprotocol/inspector",
    "scope": "mcp:read offline_access", "application_type": "native"}"#;

/// All of them.
pub(crate) const CLIENTS: [Recorded; 20] = [
    USUAL,
    Recorded {
        name: "typescript 1.32.2",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: r#"{"client_name": "typescript",
            "redirect_uris": ["http://127.0.0.1:40103/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "scope": "mcp:read"}"#,
        asks: &[READ],
        ..USUAL
    },
    Recorded {
        name: "python-mcp 2.3.0",
        registration: r#"{"response_types": ["code"], "scope": "mcp:read offline_access",
            "client_name": "python", "redirect_uris": ["http://127.0.0.1:40104/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "application_type": "native"}"#,
        proof: Proof::Basic,
        ..USUAL
    },
    Recorded {
        name: "python-mcp 1.30.0",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: r#"{"redirect_uris": ["http://127.0.0.1:40105/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "scope": "mcp:read", "client_name": "python"}"#,
        proof: Proof::Basic,
        asks: &[READ, BOTH],
        ..USUAL
    },
    Recorded {
        name: "fastmcp 4.1.1",
        registration: r#"{"response_types": ["code"], "scope": "mcp:read offline_access",
            "client_name": "FastMCP Client", "redirect_uris": ["http://localhost:40106/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "application_type": "native"}"#,
        ..USUAL
    },
    Recorded {
        name: "rmcp 3.8.0",
        registration: r#"{"client_name": "rmcp",
            "redirect_uris": ["http://127.0.0.1:40107/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none", "response_types": ["code"],
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
        asks: &[READ_OFFLINE, BOTH_OFFLINE],
        refresh: READ_OFFLINE,
        ..USUAL
    },
    Recorded {
        name: "oauth4webapi 3.8.8",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: r#"{"client_name": "oauth4webapi",
            "redirect_uris": ["http://127.0.0.1:40108/callback"], "application_type": "native",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}"#,
        asks: &[BOTH],
        ..USUAL
    },
    Recorded {
        name: "openid-client 6.8.9",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: r#"{"client_name": "openid-client",
            "redirect_uris": ["http://127.0.0.1:40109/callback"], "application_type": "native",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}"#,
        asks: &[BOTH],
        ..USUAL
    },
    Recorded {
        name: "go-sdk 1.8.0",
        registration: r#"{"redirect_uris": ["http://127.0.0.1:40110/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "client_name": "go",
            "application_type": "native"}"#,
        asks: &[READ_OFFLINE, BOTH_OFFLINE],
        refreshes_for_resource: false,
        ..USUAL
    },
    Recorded {
        name: "go-oauth2 0.37.0",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: NATIVE,
        proof: Proof::GuessesBasic,
        asks: &[&[("scope", "mcp:read mcp:write"), ("access_type", "offline")]],
        refreshes_for_resource: false,
        ..USUAL
    },
    Recorded {
        name: "authlib 1.9.8",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: NATIVE,
        asks: &[BOTH],
        refresh: BOTH,
        refreshes_for_resource: false,
        ..USUAL
    },
    Recorded {
        name: "requests-oauthlib 2.0.0",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: NATIVE,
        asks: &[BOTH],
        refresh: &[
            ("scope", "mcp:read mcp:write"),
            ("json", "{'jsonrpc': '2.0', 'method': 'tools/call'}"),
        ],
        ..USUAL
    },
    Recorded {
        name: "mcp-remote 0.15.1",
        probe: ("GET", None),
        speaks: Speaks::Legacy,
        registration: r#"{"redirect_uris": ["http://localhost:40111/oauth/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "client_name": "MCP CLI Proxy",
            "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
            "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d", "software_version": "0.15.1",
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
        refresh: READ,
        ..USUAL
    },
    Recorded {
        name: "inspector-cli 2.12.0",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: INSPECTOR,
        asks: &[READ_OFFLINE_PROMPT],
        ..USUAL
    },
    Recorded {
        name: "inspector-cli 2.12.0, modern",
        registration: INSPECTOR,
        listens: true,
        asks: &[READ_OFFLINE_PROMPT],
        ..USUAL
    },
    Recorded {
        name: "mcporter 0.12.3",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: r#"{"client_name": "mcporter ",
            "redirect_uris": ["http://127.0.0.1:40112/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "scope": "mcp:read"}"#,
        asks: &[READ],
        ..USUAL
    },
    Recorded {
        name: "claude-code 2.1.329",
        registration: r#"{"client_name": "Claude Code ",
            "redirect_uris": ["http://localhost:40113/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "application_type": "native",
            "scope": "mcp:read offline_access"}"#,
        listens: true,
        ..USUAL
    },
    Recorded {
        name: "codex 0.169.0",
        probe: ("GET", Some("2024-11-05")),
        speaks: Speaks::Legacy,
        registration: r#"{"client_name": "Codex",
            "redirect_uris": ["http://127.0.0.1:40114/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none", "response_types": ["code"],
            "scope": "mcp:read offline_access", "application_type": "native"}"#,
        asks: &[READ_OFFLINE, BOTH_OFFLINE],
        refresh: READ_OFFLINE,
        ..USUAL
    },
    Recorded {
        name: "opencode 1.18.33",
        probe: ("POST", None),
        speaks: Speaks::Legacy,
        registration: r#"{"redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
            "client_name": "OpenCode", "client_uri": "https://opencode.ai",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none", "scope": "mcp:read offline_access"}"#,
        asks: &[READ_OFFLINE_PROMPT],
        ..USUAL
    },
    Recorded {
        name: "gemini-cli 0.61.0",
        probe: ("HEAD", None),
        speaks: Speaks::Unnamed,
        registration: r#"{"client_name": "Gemini CLI MCP Client",
            "redirect_uris": ["http://localhost:40115/oauth/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "openid offline_access mcp:read mcp:write mcp:infer"}"#,
        asks: &[&[(
            "scope",
            "openid offline_access mcp:read mcp:write mcp:infer",
        )]],
        ..USUAL
    },
];
