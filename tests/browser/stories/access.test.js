// Doors that need more than a session: a second factor, a role.

import assert from "node:assert/strict";
import { story, storyWithAndWithoutScripts } from "../support/story.js";
import { accounts, stranger } from "../support/surroundings.js";
import { code } from "../support/totp.js";

storyWithAndWithoutScripts("a second factor is set up, and from then on opens the vault", async (visitor) => {
  const account = stranger();
  await visitor.signUp(account);
  await visitor.open("/vault");
  await visitor.sees("Two-step verification");
  await visitor.follow("Set up a second factor");

  await visitor.sees("Account settings");
  const section = visitor.page.getByRole("region", { name: "Authenticator app" });
  await section.getByRole("img", { name: "Authenticator app QR code" }).waitFor();
  const secret = (await section.locator("code").textContent()).trim();
  await section.getByLabel("Verify code", { exact: true }).fill(code(secret));
  await section.getByRole("button", { name: "Save" }).click();
  // Back at the door that asked for it.
  await visitor.arrivesAt("/vault");

  await visitor.signOut();
  await visitor.open("/vault");
  await visitor.signIn(account);
  await visitor.sees("Two-step verification");
  await visitor.fill("Authentication code", code(secret));
  await visitor.press("Use Authenticator");
  await visitor.arrivesAt("/vault");
  await visitor.identity();
});

storyWithAndWithoutScripts("a wrong second factor opens nothing, the right one steps up and comes back", async (visitor) => {
  await visitor.open("/vault");
  await visitor.signIn(accounts.totp);
  await visitor.sees("Two-step verification");
  await visitor.fill("Authentication code", "000000");
  await visitor.press("Use Authenticator");
  assert.match(await visitor.hears("alert"), /code is invalid/);
  await visitor.open("/vault");
  await visitor.sees("Two-step verification");
  await visitor.fill("Authentication code", code(accounts.totp.secret));
  await visitor.press("Use Authenticator");
  await visitor.arrivesAt("/vault");
  await visitor.identity();
});

storyWithAndWithoutScripts("a backup code stands in for the second factor, once", async (visitor) => {
  const account = stranger();
  await visitor.signUp(account);
  await visitor.open("/ui/settings");
  await visitor.press("Generate new backup recovery codes");
  const backupCode = await visitor.page.locator(".codes code").first().textContent();
  await visitor.press("Confirm backup recovery codes");
  await visitor.page.getByRole("status").filter({ hasText: "changes have been saved" }).waitFor();

  await visitor.signOut();
  await visitor.open("/vault");
  await visitor.signIn(account);
  await visitor.sees("Two-step verification");
  await visitor.fill("Backup recovery code", backupCode);
  await visitor.press("Use backup recovery code");
  await visitor.arrivesAt("/vault");

  await visitor.signOut();
  await visitor.open("/vault");
  await visitor.signIn(account);
  await visitor.sees("Two-step verification");
  await visitor.fill("Backup recovery code", backupCode);
  await visitor.press("Use backup recovery code");
  assert.match(await visitor.hears("alert"), /already been used/);
});

storyWithAndWithoutScripts("the administration is shut for the demo account, with a page that says so", async (visitor) => {
  await visitor.open("/private");
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/private");
  await visitor.open("/admin", 403);
  await visitor.sees("Access is not allowed");
});

storyWithAndWithoutScripts("the administration is open for the administrator", async (visitor) => {
  await visitor.open("/admin");
  await visitor.signIn(accounts.admin);
  await visitor.arrivesAt("/admin");
  await visitor.identity();
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "" : ", without JavaScript";
  story(`signing in needs no mouse${how}`, { javaScriptEnabled }, async (visitor) => {
    const { keyboard } = visitor.page;
    await visitor.open("/private");
    await visitor.sees("Sign in");
    // The cursor waits in the first field.
    await keyboard.type(accounts.demo.email);
    await visitor.tabsTo("password");
    await keyboard.type(accounts.demo.password);
    await keyboard.press("Enter");
    await visitor.arrivesAt("/private");

    await visitor.open("/");
    await visitor.tabsTo("Sign out");
    await keyboard.press("Enter");
    await visitor.sees("Sign out?");
    await visitor.tabsTo("Sign out");
    await keyboard.press("Enter");
    await visitor.page.getByText("The gateway does not say who you are.").waitFor();
  });
}
