// Gateways with a configuration of their own, beside the one that `run` started.

import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { program } from "./surroundings.js";

/** A port of this machine that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Why the gateway would not take this configuration; nothing if it would. */
export async function refusal(configuration) {
  return withFile(configuration, async (file) => {
    try {
      await promisify(execFile)(program, ["check", file]);
      return undefined;
    } catch (error) {
      return `${error.stdout}${error.stderr}`;
    }
  });
}

/** Starts a gateway with this configuration but for its listeners. Give it back with `stop`. */
export async function serve(configuration) {
  const listen = `127.0.0.1:${await freePort()}`;
  const ops = `127.0.0.1:${await freePort()}`;
  return withFile(`listen: ${listen}\nops: ${ops}\n${configuration}`, async (file) => {
    const child = spawn(program, ["serve", "--config", file], { stdio: ["ignore", "pipe", "pipe"] });
    let log = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (log += text));
    const ended = new Promise((end) => child.on("exit", end));
    const stop = async () => {
      child.kill("SIGKILL");
      await ended;
    };
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline && child.exitCode === null) {
      if (await answers(`http://${ops}/health/alive`)) return { origin: `http://${listen}`, operators: `http://${ops}`, stop };
      await new Promise((wake) => setTimeout(wake, 50));
    }
    await stop();
    throw new Error(`the gateway did not start:\n${log}`);
  });
}

async function answers(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function withFile(text, use) {
  const folder = await mkdtemp(join(tmpdir(), "portcullis-"));
  try {
    const file = join(folder, "portcullis.yaml");
    await writeFile(file, text);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}
