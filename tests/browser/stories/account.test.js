// The life of an account: made, verified, signed in, lost and found again, signed out.

import assert from "node:assert/strict";
import { storyWithAndWithoutScripts } from "../support/story.js";
import { accounts, gateway, mail, mailbox, stranger } from "../support/surroundings.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

storyWithAndWithoutScripts("somebody new signs up, verifies the address and is known to the service", async (visitor) => {
  const account = stranger();
  await visitor.open("/");
  assert.equal(await visitor.page.locator(".who").textContent(), "The gateway does not say who you are.");
  await visitor.signUp(account);
  assert.match(await visitor.identity(), UUID);

  await mail(account.email, "verification_code_valid");
  await visitor.open(mailbox);
  const letter = visitor.page.getByRole("article").filter({ hasText: account.email });
  await letter.getByRole("link", { name: "Open the link" }).click();
  await visitor.sees("Check your messages");
  await visitor.press("Continue");
  await visitor.sees("You are verified");
  assert.equal(await visitor.hears("status"), "You successfully verified your email address.");

  await visitor.page.getByRole("link", { name: "Continue" }).click();
  await visitor.arrivesAt("/");
  await visitor.follow("Private");
  await visitor.arrivesAt("/private");
  assert.match(await visitor.identity(), UUID);
  assert.equal(await visitor.sentHeader("x-user-email"), account.email);
});

storyWithAndWithoutScripts("a wrong password is told where it was typed, and announced", async (visitor) => {
  await visitor.open("/ui/login");
  await visitor.signIn({ ...accounts.demo, password: "not-my-password" });
  const message = visitor.page.getByRole("alert");
  await message.waitFor();
  assert.match(await message.textContent(), /credentials are invalid/);
  assert.match(await visitor.page.title(), /^Error: /);
  // In the card of the form, above it; the address is still there and the password is not.
  assert.equal(await visitor.page.locator(".card").filter({ has: message }).locator("form").count(), 1);
  assert.equal(await visitor.page.getByLabel("E-Mail", { exact: true }).inputValue(), accounts.demo.email);
  assert.equal(await visitor.page.getByLabel("Password", { exact: true }).inputValue(), "");
  assert.equal(await visitor.page.locator(":focus").getAttribute("name"), "password", "the cursor waits there");
  await visitor.open("/");
  assert.equal(await visitor.page.locator(".who").textContent(), "The gateway does not say who you are.");
});

storyWithAndWithoutScripts("a password that is too short is told at its field", async (visitor) => {
  await visitor.open("/ui/registration");
  await visitor.fill("E-Mail", stranger().email);
  await visitor.fill("Password", "short");
  await visitor.press("Sign up");
  const field = visitor.page.locator("input[name=password][aria-invalid=true]");
  await field.waitFor();
  const described = visitor.page.locator(`#${await field.getAttribute("aria-describedby")}`);
  assert.match(await described.textContent(), /at least 8 characters/);
  assert.equal(await described.getByRole("alert").count(), 1);
});

storyWithAndWithoutScripts("whoever is sent to the sign-in page comes back to what was asked for", async (visitor) => {
  await visitor.open("/private/reports?year=2026&tag=a%20b");
  await visitor.arrivesAt("/ui/login");
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/private/reports");
  assert.equal(visitor.page.url(), `${gateway}/private/reports?year=2026&tag=a%20b`);
  assert.match(await visitor.identity(), UUID);
});

storyWithAndWithoutScripts("signing out ends the session at once, for a copy of the cookie too", async (visitor) => {
  await visitor.open("/private");
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/private");
  const copy = (await visitor.context.cookies()).filter((cookie) => cookie.name === "ory_kratos_session");
  assert.equal(copy.length, 1);
  assert.ok(copy[0].httpOnly, "no script can read the session");

  await visitor.signOut();
  await visitor.context.addCookies(copy);
  await visitor.open("/private");
  await visitor.arrivesAt("/ui/login");
  await visitor.open("/");
  assert.equal(await visitor.page.locator(".who").textContent(), "The gateway does not say who you are.");
});

storyWithAndWithoutScripts("a forgotten password is replaced with a mailed code", async (visitor) => {
  const account = stranger();
  await visitor.signUp(account);
  await visitor.signOut();

  await visitor.follow("Sign in");
  await visitor.follow("Forgot your password?");
  await visitor.sees("Recover your account");
  await visitor.fill("Email", account.email);
  await visitor.press("Continue");
  await visitor.sees("Check your messages");
  await visitor.fill("Recovery code", "000000");
  await visitor.press("Continue");
  assert.match(await visitor.hears("alert"), /code is invalid/);
  await visitor.fill("Recovery code", (await mail(account.email, "recovery_code_valid")).code);
  await visitor.press("Continue");

  await visitor.sees("Account settings");
  const changed = { ...account, password: "a-fresh-horse-battery" };
  const section = visitor.page.getByRole("region", { name: "Password" });
  await section.getByLabel("Password", { exact: true }).fill(changed.password);
  await section.getByRole("button", { name: "Save" }).click();
  assert.match(await visitor.hears("status"), /changes have been saved/);

  await visitor.signOut();
  await visitor.open("/private");
  await visitor.signIn(account);
  await visitor.page.getByRole("alert").waitFor();
  await visitor.signIn(changed);
  await visitor.arrivesAt("/private");
});

storyWithAndWithoutScripts("a mailed code signs in without a password", async (visitor) => {
  await visitor.open("/private");
  await visitor.arrivesAt("/ui/login");
  await visitor.fill("E-Mail", accounts.demo.email);
  await visitor.press("Send sign in code");
  await visitor.sees("Enter your code");
  await visitor.fill("Login code", (await mail(accounts.demo.email, "login_code_valid")).code);
  await visitor.press("Continue");
  await visitor.arrivesAt("/private");
  assert.match(await visitor.identity(), UUID);
});
