"""The official Python SDK, second generation, with a person, on both revisions."""

from functools import partial

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from whole_way import MCP, REGISTERED, App, document_of, known, main, whole_way


async def way(mode, revision, method):
    """All steps, with a document or registered for this way of authenticating."""
    app, document = App("mcp:write"), document_of(f"python-2-{mode}")

    async def answer():
        return AuthorizationCodeResult(**{name: app.answer[name] for name in ("code", "state", "iss")})

    registration = OAuthClientMetadata(**REGISTERED, token_endpoint_auth_method=method)
    auth = OAuthClientProvider(MCP, registration, app, app.open_browser, answer, client_metadata_url=document)
    hooks = {"response": [app.record]}
    async with (
        httpx2.AsyncClient(auth=auth, event_hooks=hooks, timeout=30) as http,
        Client(streamable_http_client(MCP, http_client=http), mode=mode) as client,
    ):
        assert client.protocol_version == revision, client.protocol_version
        await whole_way(client, app, document)


MODES = [("auto", "2026-07-28"), ("legacy", "2025-11-25")]
METHODS = known("none", "client_secret_basic", "client_secret_post", None)
main(
    [
        (f"Python SDK 2.x on {revision} ({mode}), known by {by}", partial(way, mode, revision, method))
        for mode, revision in MODES
        for by, method in METHODS
    ]
)
