// Which operations were called and what came of it, for the table of all clients.

import { readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { after, test } from "node:test"

type Outcome = "succeeded" | "refused" | "failed"

const operations: Record<string, Record<Outcome, number>> = {}
const tests = { passed: 0, failed: 0, skipped: [] as string[] }

export function record(operation: string, outcome: Outcome): void {
  const counts = (operations[operation] ??= { succeeded: 0, refused: 0, failed: 0 })
  counts[outcome] += 1
}

/** Why a test could not come to its end here, through no fault of the server's. */
export class NotTested extends Error {}

/** A test that appears in the report. */
export function promise(name: string, check: () => Promise<void>): void {
  test(name, async (context) => {
    try {
      await check()
      tests.passed += 1
    } catch (error) {
      if (error instanceof NotTested) {
        tests.skipped.push(name)
        context.skip(`NOT TESTED: ${error.message}`)
        return
      }
      tests.failed += 1
      throw error
    }
  })
}

after(() => {
  const path = process.env.SDK_REPORT
  if (!path) return
  const name = process.execArgv.includes("--conditions=kratos") ? "@ory/kratos-client" : "@ory/client"
  const manifest = createRequire(__filename).resolve(`${name}/package.json`)
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string }
  writeFileSync(path, JSON.stringify({ client: `${name} ${version}`, ...tests, operations }, null, 2) + "\n")
})
