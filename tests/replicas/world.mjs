// Where the servers are and how they are asked; scripts/replicas-test sets the environment.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import https from "node:https";

import { Browser, walk } from "../interop/human.mjs";

const from = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run scripts/replicas-test`);
  return value;
};

export const front = from("FRONT");
export const authz = from("AUTHZ").split(" ");
export const resource = from("RESOURCE").split(" ");
export const tester = { id: from("CLIENT_ID"), secret: from("CLIENT_SECRET") };
export const app = { id: from("APP_ID"), secret: from("APP_SECRET"), redirect: "https://app.test/callback" };
export const asker = { id: from("ASKER_ID"), secret: from("ASKER_SECRET") };
const person = { username: from("PERSON"), password: from("PERSON_PASSWORD") };

const { host } = new URL(front);
const most = { keepAlive: true, maxSockets: 64, maxFreeSockets: 64 };
const agents = { "http:": new http.Agent(most), "https:": new https.Agent(most) };
const protocols = { "http:": http, "https:": https };

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
export const now = () => performance.now();

// Opens a request and returns the answer as soon as its head is there.
export const open = (base, path, { method = "GET", headers = {}, body, timeout = 15_000 } = {}) =>
  new Promise((resolve, reject) => {
    const url = new URL(path, base);
    const length = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const request = protocols[url.protocol].request(
      url,
      // Straight to a replica the request still names the host that everybody knows.
      { method, agent: agents[url.protocol], headers: { Host: host, ...length, ...headers } },
      resolve,
    );
    request.setTimeout(timeout, () => request.destroy(new Error(`${method} ${path}: no answer within ${timeout} ms`)));
    request.on("error", reject).end(body);
  });

// One whole request: status, headers, text, and how many milliseconds it took.
export const ask = async (base, path, options) => {
  const began = now();
  const response = await open(base, path, options);
  const chunks = await response.toArray();
  const text = Buffer.concat(chunks).toString();
  return { status: response.statusCode, headers: response.headers, text, took: now() - began };
};

const basic = ({ id, secret }) => `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString("base64")}`;

export const form = (base, path, client, fields) =>
  ask(base, path, {
    method: "POST",
    headers: { Authorization: basic(client), "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields).toString(),
  });

export const clientToken = (base, client = tester) => form(base, "/token", client, { grant_type: "client_credentials" });
export const refresh = (base, token) => form(base, "/token", app, { grant_type: "refresh_token", refresh_token: token });
export const introspect = async (base, token) => JSON.parse(ok(await form(base, "/introspect", asker, { token })).text);
export const revoke = (base, token) => form(base, "/revoke", app, { token });

export const ok = (answer) => {
  assert.equal(answer.status, 200, `${answer.status}: ${answer.text}`);
  return answer;
};

// A person who logs in once and lets the app in; each call brings a code and its verifier.
const browser = new Browser();
export const code = async () => {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    response_type: "code",
    client_id: app.id,
    redirect_uri: app.redirect,
    state: randomBytes(8).toString("hex"),
    scope: "mcp:read mcp:write",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  const { callback } = await walk(`${front}/authorize?${query}`, person, browser);
  const code = callback.searchParams.get("code");
  assert.ok(code, callback.href);
  return { code, verifier };
};
export const redeem = (base, { code, verifier }) =>
  form(base, "/token", app, { grant_type: "authorization_code", code, redirect_uri: app.redirect, code_verifier: verifier });
export const grant = async () => JSON.parse(ok(await redeem(front, await code())).text);

const both = "application/json, text/event-stream";
const body = (id, method, params) => JSON.stringify({ jsonrpc: "2.0", ...(id && { id }), method, params });
const hello = { name: "echo", arguments: { message: "hello" } };
const echoed = (answer) => answer.status === 200 && answer.text.includes("hello") && !answer.text.includes('"isError":true');

// A call of MCP 2026-07-28, which stands alone.
export const call = async (base, token) => {
  const meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} };
  const answer = await ask(base, "/mcp", {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      Accept: both,
      "MCP-Protocol-Version": "2026-07-28",
      "Mcp-Method": "tools/call",
      "Mcp-Name": "echo",
    },
    body: body(1, "tools/call", { ...hello, _meta: meta }),
  });
  return { ...answer, good: echoed(answer) };
};

// A session of MCP 2025-11-25.
export class Session {
  static async begin(base, token) {
    const session = new Session();
    Object.assign(session, { base, token, calls: 0 });
    const first = await session.#post(1, "initialize", {
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "replicas", version: "1" },
    });
    session.id = ok(first).headers["mcp-session-id"];
    assert.ok(session.id, "the answer names no session");
    const noted = await session.#post(undefined, "notifications/initialized", {});
    assert.equal(noted.status, 202, `${noted.status}: ${noted.text}`);
    return session;
  }

  #headers() {
    const own = this.id ? { "Mcp-Session-Id": this.id, "MCP-Protocol-Version": "2025-11-25" } : {};
    return { Authorization: `Bearer ${this.token}`, Accept: both, ...own };
  }

  #post(id, method, params) {
    const headers = { "Content-Type": "application/json", ...this.#headers() };
    return ask(this.base, "/mcp", { method: "POST", headers, body: body(id, method, params) });
  }

  async call() {
    this.calls += 1;
    const answer = await this.#post(this.calls + 1, "tools/call", hello);
    return { ...answer, good: echoed(answer) };
  }

  // Opens the stream on which the server may speak; `ended` says "clean" or why not.
  async listen() {
    const response = await open(this.base, "/mcp", { headers: { ...this.#headers(), Accept: "text/event-stream" }, timeout: 600_000 });
    const ended = new Promise((resolve) => {
      response.on("end", () => resolve("clean")).on("error", (error) => resolve(String(error))).resume();
    });
    return { status: response.statusCode, ended };
  }
}

// Runs `work` for each of `list`, so many at a time.
export const each = async (list, width, work) => {
  const left = list[Symbol.iterator]();
  const worker = async () => {
    for (const one of left) await work(one);
  };
  await Promise.all(Array.from({ length: width }, worker));
};

export const say = (text) => console.log(text);
export const done = () => {
  for (const agent of Object.values(agents)) agent.destroy();
};
