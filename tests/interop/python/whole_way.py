"""The way of a client with a person, the same for both generations of the SDK: 401, metadata,
registration, login and consent, code, list, call, 403, step-up, refresh."""

import asyncio
import json
import os
import sys
import time
import traceback
from urllib.parse import parse_qs, urlsplit

from human import walk

MOST_SECONDS = 30
AT_ONCE = 8
ISSUER = os.environ["PORTCULLIS_URL"]
MCP = f"{ISSUER}/mcp"
PERSON = (os.environ["PERSON"], os.environ["PERSON_PASSWORD"])
CALLBACK = "http://127.0.0.1:3919/callback"
REGISTERED = {"redirect_uris": [CALLBACK], "client_name": "People", "grant_types": ["authorization_code", "refresh_token"]}
SUM = ("calculate", {"operation": "add", "operands": [10, 20, 30]})
HELLO = ("echo", {"message": "hello"})
# The site with a metadata document at every path; where there is one, nobody can register.
DOCUMENTS = os.environ.get("DOCUMENTS")


def known(*methods):
    """The ways in which a client becomes known, each with words for it: by its document, or by a
    registration for each of these authentication methods."""
    if DOCUMENTS:
        return [("its document", None)]
    return [(f"registration for {method or 'no method in particular'}", method) for method in methods]


def document_of(name):
    """The document of one client alone, if it is known by one."""
    return f"{DOCUMENTS}/{name}.json" if DOCUMENTS else None


class App:
    """What a program keeps for its user: the registration, the tokens, and where it sent the browser.
    The SDK reads and writes it as its token storage."""

    def __init__(self, *untick):
        self.untick, self.walks, self.lines = untick, [], []
        self.tokens = self.client = self.answer = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client

    async def record(self, response):
        """One line per request: "POST /token 200"."""
        request = response.request
        form = parse_qs(request.content.decode()) if request.url.path == "/token" else {}
        grant = "".join(f" {value}" for value in form.get("grant_type", []))
        self.lines.append(f"{request.method} {request.url.path}{grant} {response.status_code}")

    async def open_browser(self, url):
        """The person logs in and consents; the first time without the scopes to leave out."""
        callback, seen = await asyncio.to_thread(walk, url, PERSON, () if self.walks else self.untick)
        assert seen == ["login", "consent"], seen
        self.walks.append({name: values[0] for name, values in parse_qs(urlsplit(url).query).items()})
        self.answer = {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}
        assert self.answer.get("iss") == ISSUER and "code" in self.answer, self.answer


def echoed(result):
    """The text that came back from `echo`, whichever way the tool dressed it."""
    result = result.model_dump(by_alias=True)
    assert not result.get("isError"), result
    return (result.get("structuredContent") or json.loads(result["content"][0]["text"]))["echo"]


async def call_until_refreshed(session, app):
    """Calls until the token has died and another one came, without anybody at the forms."""
    before, walks, end = app.tokens, len(app.walks), time.monotonic() + MOST_SECONDS
    while "POST /token refresh_token 200" not in app.lines:
        assert time.monotonic() < end, app.lines
        assert echoed(await session.call_tool(*HELLO)) == "hello"
    assert app.tokens.access_token != before.access_token
    assert app.tokens.scope == before.scope
    assert len(app.walks) == walks, "the person had to log in again"


async def whole_way(session, app, document):
    """All steps on an entered session."""
    way = ["GET /.well-known/oauth-protected-resource/mcp 200", "GET /.well-known/oauth-authorization-server 200"]
    way += [] if document else ["POST /register 201"]
    assert app.lines[: len(way) + 2] == ["POST /mcp 401", *way, "POST /token authorization_code 200"], app.lines
    assert "mcp:read" in app.tokens.scope and "mcp:write" not in app.tokens.scope, app.tokens.scope
    tools = (await session.list_tools()).tools
    assert "calculate" in [tool.name for tool in tools]
    assert echoed(await session.call_tool(*HELLO)) == "hello"

    # The consent of the second walk is whole, and the SDK repeats the call by itself.
    result = await session.call_tool(*SUM)
    assert not result.model_dump(by_alias=True).get("isError"), result
    assert "POST /mcp 403" in app.lines and len(app.walks) == 2, app.lines
    assert "mcp:write" in app.walks[1]["scope"] and "mcp:write" in app.tokens.scope
    registrations = [line for line in app.lines if line.startswith("POST /register")]
    assert len(registrations) == (0 if document else 1), registrations

    await call_until_refreshed(session, app)
    assert not (await session.call_tool(*SUM)).model_dump(by_alias=True).get("isError")
    if document:
        known_by_document(app, document)


def known_by_document(app, document):
    """The server saw the document once, for it may keep it, and it knew nothing else of the client."""
    with open(os.environ["DOCUMENTS_ASKED"], encoding="utf-8") as asked:
        assert asked.read().split().count(urlsplit(document).path) == 1
    assert [walk["client_id"] for walk in app.walks] == [document, document], app.walks


async def run(ways):
    """Goes all ways, several at once; answers whether every one led to the end."""
    slots, failed = asyncio.Semaphore(AT_ONCE), 0

    async def one(name, way):
        nonlocal failed
        async with slots:
            began = time.monotonic()
            try:
                await way()
                print(f"ok - {name} ({time.monotonic() - began:.1f} s)", flush=True)
            except BaseException:
                failed += 1
                print(f"not ok - {name}\n{traceback.format_exc()}", flush=True)

    await asyncio.gather(*(one(name, way) for name, way in ways))
    print(f"{len(ways) - failed} passed, {failed} failed")
    return failed == 0


def main(ways):
    """Runs them as a program."""
    sys.exit(0 if asyncio.run(run(ways)) else 1)
