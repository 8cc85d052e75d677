// The web site of people who write clients: https on this machine, with a Client ID Metadata Document
// at every path. Each path that is asked for becomes a line of the file named last.
// Usage: node documents.mjs PORT CERTIFICATE KEY FILE

import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [port, certificate, key, asked] = process.argv.slice(2);
const origin = `https://localhost:${port}`;
const identity = { cert: readFileSync(certificate), key: readFileSync(key) };

createServer(identity, (request, response) => {
  appendFileSync(asked, `${request.url}\n`);
  const document = {
    client_id: `${origin}${request.url}`,
    client_name: 'People with a document',
    // Good for any port of loopback; the second is the one of mcp-remote.
    redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/oauth/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'max-age=600' });
  response.end(JSON.stringify(document));
}).listen(Number(port), '127.0.0.1');
