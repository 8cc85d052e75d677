#!/usr/bin/env node
// A pass-through that leaves one way to authenticate in the metadata of the authorization server.
//
// The conformance suite sends no secret as long as the metadata offers `none`, so a confidential
// client is judged behind this. Everything but the two lists of methods passes as it is.

import http from 'node:http';

const usage = `Usage: FRONT_PORT=PORT FRONT_METHOD=METHOD conformance-front.mjs URL

Listens on that loopback port, forwards every request to the origin of URL, and prints its own URL as
one line of JSON. In the metadata, token_endpoint_auth_methods_supported becomes METHOD alone.
`;

if (process.argv.includes('--help')) {
  process.stdout.write(usage);
  process.exit(0);
}
const { FRONT_PORT: port, FRONT_METHOD: method } = process.env;
if (process.argv.length !== 3 || !port || !method) {
  process.stderr.write(usage);
  process.exit(2);
}

const target = new URL(process.argv[2]);
const wellKnown = /^\/\.well-known\/(oauth-authorization-server|openid-configuration)$/;

const narrowed = (text) => {
  const metadata = JSON.parse(text);
  // A method that the server does not offer must not be judged as if it did.
  if (!metadata.token_endpoint_auth_methods_supported.includes(method)) throw new Error(`${method} is not offered`);
  return JSON.stringify({ ...metadata, token_endpoint_auth_methods_supported: [method] });
};

const front = http.createServer((request, response) => {
  const { method: verb, url: path, rawHeaders } = request;
  const there = { host: target.hostname, port: target.port, method: verb, path, headers: rawHeaders, setHost: false };
  const upstream = http.request(there, async (answer) => {
    const { statusCode, statusMessage } = answer;
    if (statusCode !== 200 || !wellKnown.test(path)) {
      response.writeHead(statusCode, statusMessage, answer.rawHeaders);
      answer.pipe(response);
      return;
    }
    try {
      const body = narrowed(Buffer.concat(await answer.toArray()));
      const { 'content-length': _, etag: __, ...headers } = answer.headers;
      response.writeHead(statusCode, headers).end(body);
    } catch (error) {
      console.error(error);
      response.writeHead(502).end();
    }
  });
  upstream.on('error', () => response.destroy());
  request.pipe(upstream);
});

front.listen(Number(port), '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ url: `http://localhost:${port}` })}\n`);
});
