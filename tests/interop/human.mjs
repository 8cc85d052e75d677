// A person at a browser without script: follows an authorization URL through the pages for logging
// in and for consent, and ends where the browser would leave the server for the client's callback.

import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { fileURLToPath } from 'node:url';

const MOST_PAGES = 10;
const named = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#x27': "'", '#34': '"', '#38': '&', '#60': '<', '#62': '>' };
const unescaped = (text) => text.replace(/&(#?\w+);/g, (whole, name) => named[name] ?? whole);

// The attributes of one tag. An attribute without a value counts as empty text.
const attributes = (tag) => {
  const found = tag.matchAll(/\s([a-z-]+)(?:=(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/gi);
  return Object.fromEntries(
    [...found].map(([, name, double, single, bare]) => [name.toLowerCase(), unescaped(double ?? single ?? bare ?? '')]),
  );
};

// The forms of a page: where they go, and the names, types and values of their fields.
const forms = (page) =>
  [...page.matchAll(/(<form\b[^>]*>)([\s\S]*?)<\/form>/gi)].map(([, tag, inside]) => ({
    ...attributes(tag),
    fields: [...inside.matchAll(/<(?:input|button)\b[^>]*>/gi)].map(([field]) => attributes(field)),
  }));

// The buttons of a consent page, ours and Keycloak's.
const buttons = {
  allow: [['decision', 'allow'], ['accept', 'Yes']],
  deny: [['decision', 'deny'], ['cancel', 'No']],
};

const hasField = (form, name) => form.fields.some((field) => field.name === name);

export class Browser {
  #cookies = new Map();

  // node's own fetch does not let its caller say Sec-Fetch-Site, so this speaks http itself.
  #send(method, url, body, headers) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const all = { Accept: 'text/html', ...(cookie && { Cookie: cookie }), ...headers };
    return new Promise((resolve, reject) => {
      const { request: begin } = new URL(url).protocol === 'https:' ? https : http;
      const request = begin(url, { method, headers: all }, async (response) => {
        const chunks = await response.toArray();
        this.#keep(response.headers['set-cookie'] ?? []);
        resolve({ status: response.statusCode, headers: response.headers, page: Buffer.concat(chunks).toString() });
      });
      request.on('error', reject).end(body);
    });
  }

  #keep(lines) {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/;\s*max-age=0\b/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }

  open(url) {
    return this.#send('GET', url, undefined, { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' });
  }

  // A page under `Referrer-Policy: no-referrer` posts with an opaque origin.
  submit(url, entries) {
    const body = new URLSearchParams(entries).toString();
    return this.#send('POST', url, body, {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(body),
      Origin: 'null',
      'Sec-Fetch-Site': 'same-origin',
      'Sec-Fetch-Mode': 'navigate',
    });
  }
}

// What a person puts into the form of this page.
const filled = (form, { username, password, decision, untick }) => {
  const hidden = form.fields.filter(({ type }) => type === 'hidden').map(({ name, value }) => [name, value]);
  if (hasField(form, 'password')) return [...hidden, ['username', username], ['password', password]];
  const ticked = form.fields
    .filter(({ type, checked, value }) => type === 'checkbox' && checked !== undefined && !untick.includes(value))
    .map(({ name, value }) => [name, value]);
  return [...hidden, ...ticked, buttons[decision].find(([name]) => hasField(form, name))];
};

// Returns the URL of the client's callback that the server sends the browser to, and the pages seen
// on the way ("login", "consent"). A page that is neither ends the walk with what it says. A browser that
// was there before still has its session.
export const walk = async (authorizationUrl, person, browser = new Browser()) => {
  const who = { decision: 'allow', untick: [], ...person };
  const { origin } = new URL(authorizationUrl);
  const seen = [];
  let at = new URL(authorizationUrl);
  let answer = await browser.open(at);
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    if (answer.status === 302 || answer.status === 303) {
      at = new URL(answer.headers.location, at);
      if (at.origin !== origin) return { callback: at, seen };
      answer = await browser.open(at);
      continue;
    }
    const form = forms(answer.page).find((one) => ['password', 'decision', 'accept'].some((name) => hasField(one, name)));
    const page = form && hasField(form, 'password') ? 'login' : 'consent';
    assert.ok(form && answer.status === 200, `${at.pathname} answers ${answer.status}: ${heading(answer.page)}`);
    assert.ok(!seen.includes(page), `${page} is asked for again: ${heading(answer.page)}`);
    seen.push(page);
    at = new URL(form.action || at, at);
    answer = await browser.submit(at, filled(form, who));
  }
  throw new Error(`no end after ${MOST_PAGES} pages`);
};

const heading = (page) => unescaped(/<main>([\s\S]*?)<\/main>/.exec(page)?.[1] ?? page).replace(/<[^>]*>/g, ' ').trim();

// The person that scripts/with-server made an account for.
export const visitor = () => {
  const { PERSON: username, PERSON_PASSWORD: password } = process.env;
  assert.ok(username && password, 'PERSON and PERSON_PASSWORD are not set: run scripts/interop');
  return { username, password };
};

// As a program: walks the authorization URLs among the lines of standard input, and opens the
// callback of each, as the browser would.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { createInterface } = await import('node:readline');
  for await (const line of createInterface({ input: process.stdin })) {
    const url = /https?:\/\/\S+\/auth(?:orize)?\?\S+/.exec(line)?.[0];
    if (!url) continue;
    const { callback, seen } = await walk(url, visitor());
    console.error(`person: ${seen.join(', ')}`);
    await fetch(callback);
  }
}
