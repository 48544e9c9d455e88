// A single-page app on another origin that calls a protected service through the gateway, with the visitor's cookies.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before } from "node:test";
import { refusal, serve } from "../support/second_gateway.js";
import { story } from "../support/story.js";
import { accounts, kratos } from "../support/surroundings.js";

const configuration = (origin, service) => `
kratos: ${kratos}
upstreams: { service: ${service} }
rules:
  - id: api
    match: { paths: [/api/**] }
    access: session
    cors: { origins: ["${origin}"], credentials: true }
    upstream: service
`;

// Nothing but an empty page: the stories are its program.
const app = await listen((_request, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end('<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,"><h1>App</h1>');
});
// The same page on an origin that the gateway knows nothing of.
const stranger = await listen((_request, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end('<!doctype html><html lang="en"><title>Stranger</title><link rel="icon" href="data:,"><h1>Stranger</h1>');
});
const seen = [];
const service = await listen(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  seen.push(request.method);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ identity: request.headers["x-kratos-authenticated-identity-id"], body }));
});
const complaint = await refusal(configuration(app.origin, service.origin));
const skip = complaint?.includes("unknown key `cors`") && "this gateway knows no `cors`";
if (complaint && !skip) throw new Error(complaint);

let gateway;
before(async () => {
  if (!skip) gateway = await serve(configuration(app.origin, service.origin));
});
after(async () => {
  await gateway?.stop();
  for (const server of [app, stranger, service]) server.close();
});

story("a single-page app on another origin reads and writes as the visitor", { skip }, async (visitor) => {
  await visitor.open("/private");
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/private");
  const identity = await visitor.identity();

  await visitor.open(app.origin);
  const read = await call(visitor, "/api/orders", {});
  assert.deepEqual([read.status, read.body.identity], [200, identity]);

  // A method and a type of content that browsers ask leave for beforehand, without the cookie.
  const written = await call(visitor, "/api/orders/7", {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: '{"amount":3}',
  });
  assert.deepEqual([written.status, written.body.identity, written.body.body], [200, identity, '{"amount":3}']);
  assert.ok(!seen.includes("OPTIONS"), "the gateway answers preflights itself");
});

story("a single-page app can read why it was refused", { skip }, async (visitor) => {
  await visitor.open(app.origin);
  visitor.expects(`${gateway.origin}/api/orders`, 401);
  const refused = await call(visitor, "/api/orders", {});
  assert.deepEqual([refused.status, refused.body.error.id], [401, "session_inactive"]);
});

story("an origin that the rule does not name reads and writes nothing", { skip }, async (visitor) => {
  await visitor.open("/private");
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/private");
  await visitor.open(stranger.origin);
  const before = seen.length;
  assert.equal((await call(visitor, "/api/orders", { method: "PUT" })).failed, "TypeError");
  assert.equal(seen.length, before, "the service heard nothing of it");
  assert.equal((await call(visitor, "/api/orders", {})).failed, "TypeError");
  // The browser says why; that is what it should do.
  assert.ok(visitor.complaints.length > 0 && visitor.complaints.every((text) => /CORS|Failed to load/.test(text)));
  visitor.complaints.length = 0;
});

/** What the app's program gets of a call with credentials. */
function call(visitor, path, options) {
  return visitor.page.evaluate(
    async ([url, options]) => {
      try {
        const response = await fetch(url, { ...options, credentials: "include" });
        return { status: response.status, body: await response.json() };
      } catch (error) {
        return { failed: error.name };
      }
    },
    [gateway.origin + path, options],
  );
}

async function listen(answer) {
  const server = createServer(answer);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const close = () => server.close() && server.closeAllConnections();
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}
