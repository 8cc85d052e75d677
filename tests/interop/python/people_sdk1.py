"""The official Python SDK, first generation, with a person. It speaks revisions up to 2025-11-25."""

from functools import partial

import httpx
from mcp.client.auth import OAuthClientProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from whole_way import MCP, REGISTERED, App, document_of, known, main, whole_way

REVISION = "2025-11-25"


async def way(method):
    """All steps, with a document or registered for this way of authenticating."""
    app, document = App("mcp:write"), document_of("python-1")

    async def answer():
        return app.answer["code"], app.answer["state"]

    registration = OAuthClientMetadata(**REGISTERED, token_endpoint_auth_method=method)
    auth = OAuthClientProvider(MCP, registration, app, app.open_browser, answer, client_metadata_url=document)
    hooks = {"response": [app.record]}
    async with (
        httpx.AsyncClient(auth=auth, event_hooks=hooks, timeout=30) as http,
        streamable_http_client(MCP, http_client=http) as (reads, writes, _),
        ClientSession(reads, writes) as session,
    ):
        assert (await session.initialize()).protocolVersion == REVISION
        await whole_way(session, app, document)


METHODS = known("none", "client_secret_basic", "client_secret_post", None)
main([(f"Python SDK 1.x on {REVISION}, known by {by}", partial(way, method)) for by, method in METHODS])
