#!/usr/bin/env node
// A pass-through that adds one `Authorization` header and changes nothing else.
//
// The conformance suite cannot send a bearer token and talks HTTP through several clients at once,
// so the token is added on the way. Host, Origin, the case and the order of headers reach the server
// as the suite wrote them, event streams flow as they come, and a peer that hangs up is hung up on.

import http from 'node:http';

const usage = `Usage: PROXY_TOKEN=TOKEN [PROXY_PORT=PORT] conformance-proxy.mjs URL

Listens on that loopback port, or a free one, forwards every request to the origin of URL with
"Authorization: Bearer TOKEN" appended, and prints its own URL as one line of JSON.
`;

if (process.argv.includes('--help')) {
  process.stdout.write(usage);
  process.exit(0);
}
const token = process.env.PROXY_TOKEN;
if (process.argv.length !== 3 || !token) {
  process.stderr.write(usage);
  process.exit(2);
}

const target = new URL(process.argv[2]);
const agent = new http.Agent({ keepAlive: true });

const proxy = http.createServer((request, response) => {
  const upstream = http.request({
    agent,
    host: target.hostname,
    port: target.port || 80,
    method: request.method,
    path: request.url,
    headers: [...request.rawHeaders, 'Authorization', `Bearer ${token}`],
    setHost: false,
  });
  upstream.on('response', (answer) => {
    response.sendDate = false;
    response.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
    // The head of an event stream must arrive before its first event does.
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => {
    if (!response.writableFinished) upstream.destroy();
  });
  request.pipe(upstream);
});

// Neither limit of this proxy may be mistaken for one of the server behind it.
proxy.requestTimeout = 0;
proxy.headersTimeout = 0;
proxy.listen(Number(process.env.PROXY_PORT ?? 0), '127.0.0.1', () => {
  const url = `http://localhost:${proxy.address().port}${target.pathname}`;
  process.stdout.write(`${JSON.stringify({ url })}\n`);
});
