// Where everything is, as `run` says in the environment, and who lives there.

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; start the suite with tests/browser/run`);
  return value;
}

/** The origin of the gateway under test. */
export const gateway = needed("GATEWAY_URL");
/** The page on which the mails of its identity server can be read; with `.json` behind it, the same for programs. */
export const mailbox = needed("MAILBOX_URL");
/** The identity server behind the gateway. */
export const kratos = new URL(mailbox).origin;
/** The program under test. */
export const program = needed("PORTCULLIS_BIN");
export const chromium = needed("CHROMIUM");
/** The folder for pictures. */
export const screenshots = needed("SCREENSHOTS");

/** The accounts that `portcullis dev` seeds. */
export const accounts = {
  demo: { email: "demo@example.com", password: "portcullis-demo" },
  admin: { email: "admin@example.com", password: "portcullis-demo" },
  totp: { email: "totp@example.com", password: "portcullis-demo", secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" },
};

let count = 0;

/** Somebody who has never been here. */
export function stranger() {
  count += 1;
  const name = `visitor-${process.pid}-${Date.now().toString(36)}-${count}`;
  return { email: `${name}@example.com`, password: "correct-horse-battery" };
}

/** The newest mail to `address` of a kind, such as `recovery_code_valid`. Waits for it. */
export async function mail(address, kind) {
  const deadline = Date.now() + 5_000;
  while (Date.now() < deadline) {
    const mails = await (await fetch(`${mailbox}.json`)).json();
    const found = mails.findLast((mail) => mail.to === address && mail.kind === kind);
    if (found) return found;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`no ${kind} came for ${address}`);
}
