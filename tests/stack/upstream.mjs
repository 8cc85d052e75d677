// A server to stand behind the front in tests: counts what arrives, and behaves in one of three ways.
// usage: node upstream.mjs PORT answer|drop
//
//   answer  200 with the headers that arrived, as JSON; /mcp is an event stream with one event that stays open
//   drop    takes the whole request and hangs up without an answer
//
// GET /count, asked for straight, says how many requests arrived.

import { createServer } from "node:http";

const [port, mode] = process.argv.slice(2);
let count = 0;

createServer((request, response) => {
  if (request.url === "/count") {
    response.end(`${count}\n`);
    return;
  }
  count += 1;
  request.resume().on("end", () => {
    if (mode === "drop") {
      request.socket.destroy();
    } else if (request.url === "/mcp") {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write("data: first\n\n");
    } else {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(request.headers));
    }
  });
}).listen(Number(port), "127.0.0.1");
