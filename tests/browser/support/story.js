// A story: somebody with a browser of their own, in which nothing may go wrong that the story does not expect.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { chromium } from "playwright-core";
import { chromium as executablePath, gateway, screenshots } from "./surroundings.js";

// Chromium's own sandbox needs a kernel and a user that containers seldom have; all it sees here is ours.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
after(() => browser.close());

/**
 * A test with a browser context of its own. `options` are Playwright's; the story gets a `Visitor`.
 * Fails where the story fails, and also where a page complained: of its content policy, a script, a missing file.
 */
export function story(promise, options, tell) {
  test(promise, { timeout: 120_000, skip: options.skip }, async () => {
    const { skip, ...wanted } = options;
    const context = await browser.newContext({ baseURL: gateway, ...wanted });
    context.setDefaultTimeout(15_000);
    const visitor = new Visitor(context, await context.newPage());
    try {
      await tell(visitor);
      assert.deepEqual(visitor.complaints, [], "the pages have nothing to complain of");
    } catch (error) {
      await visitor.picture(join("failures", promise.replace(/[^a-z0-9]+/gi, "-")));
      const complaints = visitor.complaints.join("\n") || "nothing";
      throw new Error(`on ${visitor.page.url()}, which complained of ${complaints}: ${error.message}`, { cause: error });
    } finally {
      await context.close();
    }
  });
}

/** The same story twice: a browser with JavaScript, and one without. */
export function storyWithAndWithoutScripts(promise, tell) {
  story(promise, {}, tell);
  story(`${promise}, without JavaScript`, { javaScriptEnabled: false }, tell);
}

export class Visitor {
  /** What went wrong in any page, in the browser's words. */
  complaints = [];
  #refused = new Map();

  constructor(context, page) {
    this.context = context;
    this.page = page;
    context.on("console", (message) => {
      if (message.type() === "error" && !this.#expected(message)) this.complaints.push(message.text());
    });
    context.on("weberror", (error) => this.complaints.push(String(error.error())));
  }

  /** Opens an address, and holds it to the status that the story expects. */
  async open(path, status = 200) {
    const url = new URL(path, gateway).href;
    if (status >= 400) this.expects(url, status);
    const response = await this.page.goto(url);
    assert.equal(response.status(), status, `${url} is answered with ${status}`);
  }

  /** Takes a refusal at this address for granted: Chromium reports every answer from 400 up as an error. */
  expects(address, status) {
    this.#refused.set(withoutQuery(new URL(address, gateway)), status);
  }

  #expected(message) {
    const { url } = message.location();
    const status = url && this.#refused.get(withoutQuery(new URL(url)));
    return status !== undefined && message.text().includes(`status of ${status}`);
  }

  /** Waits until the browser shows this path of the gateway, whatever stands behind the `?`. */
  async arrivesAt(path) {
    await this.page.waitForURL((url) => url.origin === gateway && url.pathname === path);
  }

  async fill(label, text) {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  async press(button) {
    await this.page.getByRole("button", { name: button, exact: true }).click();
  }

  async follow(link) {
    await this.page.getByRole("link", { name: link, exact: true }).first().click();
  }

  /** Waits for the page with this heading. */
  async sees(heading) {
    await this.page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
  }

  /** The text that a screen reader is told at once (`alert`) or in its turn (`status`). */
  async hears(role) {
    return (await this.page.getByRole(role).first().textContent()).trim();
  }

  /** Fills in the sign-in page that is open. */
  async signIn({ email, password }) {
    await this.sees("Sign in");
    await this.fill("E-Mail", email);
    await this.fill("Password", password);
    await this.press("Sign in with password");
  }

  /** From the door to a new account. */
  async signUp({ email, password }) {
    await this.open("/");
    await this.follow("Sign up");
    await this.arrivesAt("/ui/registration");
    await this.fill("E-Mail", email);
    await this.fill("Password", password);
    await this.press("Sign up");
    await this.arrivesAt("/");
  }

  async signOut() {
    await this.open("/");
    await this.follow("Sign out");
    await this.sees("Sign out?");
    await this.follow("Sign out");
    await this.page.getByText("The gateway does not say who you are.").waitFor();
  }

  /** Whom the demo service, whose page is open, was told the visitor is. */
  async identity() {
    return this.page.locator(".who code").textContent();
  }

  /** What the demo service, whose page is open, got in a header. */
  async sentHeader(name) {
    return this.page.getByRole("row").filter({ has: this.page.getByText(name, { exact: true }) }).getByRole("cell").textContent();
  }

  /** Presses Tab until the field or link of this name has the focus, and sees to it that the focus can be seen. */
  async tabsTo(name) {
    for (let presses = 0; presses < 30; presses += 1) {
      await this.page.keyboard.press("Tab");
      const focused = this.page.locator(":focus");
      const names = [await focused.getAttribute("name"), await focused.textContent()];
      if (!names.includes(name)) continue;
      const outline = await focused.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(outline, "none", `the focus on ${name} can be seen`);
      return;
    }
    throw new Error(`Tab does not lead to ${name}`);
  }

  async picture(name) {
    const path = join(screenshots, `${name}.png`);
    await mkdir(join(path, ".."), { recursive: true });
    await this.page.screenshot({ path, fullPage: true });
  }
}

function withoutQuery(url) {
  return url.origin + url.pathname;
}
