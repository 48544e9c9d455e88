// Every page there is: pictures of it, light and dark, large and small, and what must hold for each.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { freePort, serve } from "../support/second_gateway.js";
import { story } from "../support/story.js";
import { accounts, mail, mailbox, stranger } from "../support/surroundings.js";
import { code } from "../support/totp.js";

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
/** As narrow as WCAG 2.1 (1.4.10) wants pages to work. */
const NARROWEST = { width: 320, height: 640 };

/** A gateway behind which nothing works. */
let ruin;
before(async () => {
  const nobody = `http://127.0.0.1:${await freePort()}`;
  ruin = await serve(`
kratos: ${nobody}
ui: { path_prefix: /ui, brand: Ruin }
upstreams: { nobody: ${nobody} }
rules:
  - { id: open, match: { paths: [/open/**] }, access: public, upstream: nobody }
  - { id: shut, match: { paths: [/shut/**] }, access: session, upstream: nobody }
`);
});
after(() => ruin?.stop());

page("login", (visitor) => visitor.open("/ui/login"));

page("login-wrong-password", async (visitor) => {
  await visitor.open("/ui/login");
  await visitor.signIn({ ...accounts.demo, password: "not-my-password" });
  await visitor.page.getByRole("alert").waitFor();
});

page("login-code", async (visitor) => {
  await visitor.open("/ui/login");
  await visitor.fill("E-Mail", accounts.demo.email);
  await visitor.press("Send sign in code");
  await visitor.sees("Enter your code");
});

page("login-again", async (visitor) => {
  await signIn(visitor);
  await visitor.open("/self-service/login/browser?refresh=true");
  await visitor.sees("Confirm it is you");
});

page("aal2", async (visitor) => {
  await visitor.open("/vault");
  await visitor.signIn(accounts.totp);
  await visitor.sees("Two-step verification");
});

page("aal2-without-a-factor", async (visitor) => {
  await signIn(visitor);
  await visitor.open("/vault");
  await visitor.sees("Two-step verification");
});

page("registration", (visitor) => visitor.open("/ui/registration"));

page("registration-short-password", async (visitor) => {
  await visitor.open("/ui/registration");
  await visitor.fill("E-Mail", stranger().email);
  await visitor.fill("Password", "short");
  await visitor.press("Sign up");
  await visitor.page.getByRole("alert").waitFor();
});

page("settings", async (visitor) => {
  await signIn(visitor);
  await visitor.open("/ui/settings");
});

page("settings-backup-codes", async (visitor) => {
  await visitor.signUp(stranger());
  await visitor.open("/ui/settings");
  await visitor.press("Generate new backup recovery codes");
  await visitor.page.locator(".codes").waitFor();
});

page("settings-second-factor", async (visitor) => {
  await visitor.open("/private");
  await visitor.signIn(accounts.totp);
  await visitor.sees("Two-step verification");
  await visitor.fill("Authentication code", code(accounts.totp.secret));
  await visitor.press("Use Authenticator");
  await visitor.arrivesAt("/private");
  await visitor.open("/ui/settings");
});

page("account", async (visitor) => {
  await signIn(visitor);
  await visitor.open("/ui");
});

page("welcome", (visitor) => visitor.open("/ui"));

page("recovery", (visitor) => visitor.open("/ui/recovery"));

page("recovery-code", async (visitor) => {
  await visitor.open("/ui/recovery");
  await visitor.fill("Email", accounts.demo.email);
  await visitor.press("Continue");
  await visitor.sees("Check your messages");
});

page("verification", (visitor) => visitor.open("/ui/verification"));

page("verification-code", async (visitor) => {
  const account = stranger();
  await visitor.signUp(account);
  await visitor.open((await mail(account.email, "verification_code_valid")).link);
});

page("verification-done", async (visitor) => {
  const account = stranger();
  await visitor.signUp(account);
  await visitor.open((await mail(account.email, "verification_code_valid")).link);
  await visitor.press("Continue");
  await visitor.sees("You are verified");
});

page("logout", async (visitor) => {
  await signIn(visitor);
  await visitor.open("/ui/logout");
});

page("logout-done", (visitor) => visitor.open("/ui/logout"));

page("error", async (visitor) => {
  // A browser that brings no CSRF cookie along is sent to the page of errors.
  await visitor.open("/ui/login");
  await visitor.context.clearCookies();
  visitor.expects("/ui/error", 403);
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/ui/error");
});

page("error-unknown", (visitor) => visitor.open("/ui/error?id=00000000-0000-4000-8000-000000000000", 404));
page("ui-not-found", (visitor) => visitor.open("/ui/nowhere", 404));
page("mailbox", (visitor) => visitor.open(mailbox));
page("demo-stranger", (visitor) => visitor.open("/"));
page("demo-signed-in", signIn);

page("gateway-403", async (visitor) => {
  await signIn(visitor);
  await visitor.open("/admin", 403);
});
page("gateway-404", (visitor) => visitor.open(`${ruin.origin}/nowhere`, 404));
page("gateway-400", (visitor) => visitor.open(`${ruin.origin}/a%2fb`, 400));
page("gateway-502", (visitor) => visitor.open(`${ruin.origin}/open`, 502));
page("gateway-503", async (visitor) => {
  await visitor.context.addCookies([{ name: "ory_kratos_session", value: "of-before", url: ruin.origin }]);
  await visitor.open(`${ruin.origin}/shut`, 503);
});
page("ui-kratos-away", (visitor) =>
  visitor.open(`${ruin.origin}/ui/login?flow=00000000-0000-4000-8000-000000000000`, 503));

async function signIn(visitor) {
  await visitor.open("/private");
  await visitor.signIn(accounts.demo);
  await visitor.arrivesAt("/private");
}

/** A story that brings a page up, takes its pictures, and sees whether everybody can use it. */
function page(name, bringUp) {
  story(`the page ${name} can be used by everybody`, {}, async (visitor) => {
    await bringUp(visitor);
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of Object.entries(SIZES)) {
        await visitor.page.emulateMedia({ colorScheme });
        await visitor.page.setViewportSize(viewport);
        await visitor.picture(`${name}-${colorScheme}-${size}`);
      }
    }
    await visitor.page.setViewportSize(NARROWEST);
    for (const colorScheme of ["light", "dark"]) {
      await visitor.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      judge(await visitor.page.evaluate(inspect));
    }
  });
}

function judge(found) {
  assert.equal(found.language, "en");
  assert.notEqual(found.title, "");
  assert.equal(found.headings, 1, "one h1");
  assert.equal(found.mains, 1, "one main");
  assert.ok(found.width <= NARROWEST.width, `no scrolling sideways: ${found.width} pixels at 320`);
  assert.deepEqual(found.nameless, [], "fields, buttons, links and pictures have names");
  assert.deepEqual(found.small, [], "what is to be tapped is large enough");
  assert.deepEqual(found.faint, [], "text stands out from its ground");
}

/** Runs in the page. */
function inspect() {
  const all = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.getClientRects().length);
  const told = (element) => element.outerHTML.slice(0, 120);
  const name = (element) =>
    element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.alt || element.textContent;
  // WCAG 2.2 (2.5.8): 24 pixels, but for links within text.
  const targets = all("button, input:not([type=checkbox]), select, a.button");
  const small = targets.filter((element) => {
    const { width, height } = element.getBoundingClientRect();
    return width < 24 || height < 24;
  });

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  // Colours come in many notations; a pixel has one.
  const pixel = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([red, green, blue]) => {
    const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
  };
  // What a page is painted on that says nothing itself; the colour depends on the scheme, which a canvas ignores.
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.backgroundColor = "Canvas";
  const paper = getComputedStyle(probe).backgroundColor;
  probe.remove();
  const grounds = (element) => {
    const own = getComputedStyle(element).backgroundColor;
    return element.parentElement ? [...grounds(element.parentElement), own] : [paper, own];
  };
  const opacity = (element) =>
    Number(getComputedStyle(element).opacity) * (element.parentElement ? opacity(element.parentElement) : 1);
  const faint = all("body *").filter((element) => {
    const speaks = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!speaks || element.disabled) return false;
    const ground = pixel(grounds(element));
    const ink = pixel([...grounds(element), getComputedStyle(element).color]).map(
      (value, channel) => value * opacity(element) + ground[channel] * (1 - opacity(element)),
    );
    const [dark, light] = [luminance(ink), luminance(ground)].sort((one, other) => one - other);
    return (light + 0.05) / (dark + 0.05) < 4.5;
  });

  return {
    language: document.documentElement.lang,
    title: document.title,
    headings: all("h1").length,
    mains: all("main").length,
    width: document.documentElement.scrollWidth,
    nameless: all("input, select, button, a, img").filter((element) => !name(element)?.trim()).map(told),
    small: small.map(told),
    faint: faint.map(told),
  };
}
