// Operators' pages: what would become of a request, and what became of those that came.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { serve } from "../support/second_gateway.js";
import { story } from "../support/story.js";

let gateway;
before(async () => {
  gateway = await serve(`
kratos: embedded
rules:
  - id: orders
    match: { hosts: [shop.example.com], paths: ["/orders/{id}"] }
    headers: { X-Mail: "\${identity.traits.email}" }
    upstream: http://127.0.0.1:9
  - { id: closed, match: { paths: [/closed/**] }, access: deny }
`);
});
after(() => gateway?.stop());

const session = {
  id: "9496bbd5-d0a3-4d6b-a12c-ddd7ba6d1d4f",
  active: true,
  expires_at: "2999-01-01T00:00:00Z",
  authenticator_assurance_level: "aal1",
  identity: { id: "5ba5ff9e-0b5a-4b4c-8e0f-9e7f6c1a1d11", traits: { email: "<ann>@example.com" } },
};

story("an operator asks what would become of a request, and for whom", {}, async (operator) => {
  const { page } = operator;
  await page.goto(`${gateway.operators}/explain`);
  await page.getByLabel("URL or path").fill("https://shop.example.com/orders/7");
  await page.getByRole("combobox").selectOption("none");
  await page.getByRole("button", { name: "Explain" }).click();
  assert.match(await page.getByRole("status").textContent(), /^Refuse: 401 session_inactive$/);
  await page.getByText("Kratos, unless its answer is cached").waitFor();

  // The form keeps what was asked, so that the next question is a small change.
  assert.equal(await page.getByLabel("URL or path").inputValue(), "https://shop.example.com/orders/7");
  await page.getByRole("combobox").selectOption("json");
  await page.getByLabel("Session as JSON").fill(JSON.stringify(session));
  await page.getByRole("button", { name: "Explain" }).click();
  assert.equal(await page.getByRole("status").textContent(), "Permit");
  await page.getByText("X-Mail: <ann>@example.com").waitFor();
  assert.ok(!page.url().includes("ann"), "a session does not end up in an address");
  await operator.picture("explain");

  await page.getByLabel("Session as JSON").fill("{}");
  operator.expects(page.url(), 400);
  await page.getByRole("button", { name: "Explain" }).click();
  assert.match(await page.getByRole("alert").textContent(), /no session/);

  await page.goto(`${gateway.operators}/explain?url=/nowhere`);
  assert.match(await page.getByRole("status").textContent(), /404 no_rule/);
});

story("an operator sees what became of requests, rule by rule", {}, async (operator) => {
  const { page } = operator;
  const refused = async () => {
    await page.goto(`${gateway.operators}/rules?filter=closed`);
    assert.equal(await page.locator("tbody tr").count(), 1);
    return Number(await page.locator('#closed td[data-label="Refused"]').textContent());
  };
  const before = await refused();
  for (let i = 0; i < 3; i++) assert.equal((await fetch(`${gateway.origin}/closed/x`)).status, 403);
  assert.equal(await refused(), before + 3);
  await page.goto(`${gateway.operators}/rules`);
  await page.getByRole("cell", { name: "kratos built in" }).waitFor();
  await operator.picture("rules");
});
