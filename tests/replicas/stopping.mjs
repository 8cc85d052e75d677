// Asks one server to stop and looks at it on a connection that was open before: it must say that it is not
// ready, and that this answer is the last one.
// usage: node stopping.mjs ADDRESS PID

import assert from "node:assert/strict";
import net from "node:net";

const [address, pid] = process.argv.slice(2);
const { hostname, port } = new URL(address);
const socket = net.connect(Number(port), hostname);
socket.setEncoding("utf8");
let text = "";
socket.on("data", (part) => (text += part));
const asked = `GET /readyz HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`;
const until = async (isSo) => {
  for (let tries = 0; !isSo(); tries += 1) {
    assert.ok(tries < 500, text);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
socket.write(asked);
await until(() => text.includes("ready"));
assert.match(text, /^HTTP\/1\.1 200 /);
text = "";
process.kill(Number(pid), "SIGTERM");
// The signal needs a moment to arrive.
await new Promise((resolve) => setTimeout(resolve, 100));
socket.write(asked);
await until(() => text.includes("ready"));
assert.match(text, /^HTTP\/1\.1 503 /);
assert.match(text, /\r\nconnection: close\r\n/i);
await until(() => socket.readableEnded);
process.exit(0);
