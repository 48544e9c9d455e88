// Recovery and verification, which need a mailbox to come to their end.

import assert from "node:assert/strict"

import type { ErrorBrowserLocationChangeRequired, LoginFlow, RecoveryFlow, VerificationFlow } from "#sdk"

import {
  Visitor,
  accept,
  csrfToken,
  elsewhere,
  hasMessage,
  logIn,
  mailedCode,
  password,
  refuse,
  refusedWith,
  signUp,
  signedInBrowser,
  unknownId,
} from "./kratos.js"
import { promise } from "./report.js"

interface Fields {
  email?: string
  code?: string
  csrf_token?: string
}

const recover = ({ api }: Visitor, flow: string, fields: Fields) =>
  api.updateRecoveryFlow({ flow, updateRecoveryFlowBody: { method: "code", ...fields } })

const verify = ({ api }: Visitor, flow: string, fields: Fields) =>
  api.updateVerificationFlow({ flow, updateVerificationFlowBody: { method: "code", ...fields } })

promise("native recovery lets a new password be set", async () => {
  const [{ email, identity }, app] = [await signUp(), Visitor.nativeApp()]
  const { api } = app
  const signedIn = (await signedInBrowser(email)).api.createNativeRecoveryFlow()
  await refuse("createNativeRecoveryFlow", 400, "session_already_available", signedIn)
  const { id } = await accept("createNativeRecoveryFlow", api.createNativeRecoveryFlow())
  await accept("getRecoveryFlow", api.getRecoveryFlow({ id }))
  await refuse("getRecoveryFlow", 404, undefined, api.getRecoveryFlow({ id: unknownId }))
  await refuse("updateRecoveryFlow", 404, undefined, recover(app, unknownId, { email }))
  hasMessage((await refusedWith<RecoveryFlow>("updateRecoveryFlow", 400, recover(app, id, {}))).ui, 4000002)

  const sent = await accept("updateRecoveryFlow", recover(app, id, { email }))
  assert.equal(sent.state, "sent_email")
  hasMessage(sent.ui, 1060003)
  // A wrong code is no error: the flow comes back and says so.
  hasMessage((await accept("updateRecoveryFlow", recover(app, id, { code: "000000" }))).ui, 4060006)

  const done = await accept("updateRecoveryFlow", recover(app, id, { code: await mailedCode(email) }))
  let [token, settings] = ["", ""]
  for (const next of done.continue_with ?? []) {
    if (next.action === "set_ory_session_token") token = next.ory_session_token
    if (next.action === "show_settings_ui") settings = next.flow.id
  }
  await app.admitted(token, identity)
  const own = { xSessionToken: token }
  await accept("getSettingsFlow", api.getSettingsFlow({ id: settings, ...own }))
  const fresh = "battery-horse-correct"
  const change = { flow: settings, ...own, updateSettingsFlowBody: { method: "password", password: fresh } } as const
  await accept("updateSettingsFlow", api.updateSettingsFlow(change))
  const login = await accept("createNativeLoginFlow", api.createNativeLoginFlow())
  await refusedWith<LoginFlow>("updateLoginFlow", 400, logIn(app, login.id, email, password))
  await accept("updateLoginFlow", logIn(app, login.id, email, fresh))
})

promise("browser recovery leads to the settings", async () => {
  const [{ email, identity }, visitor] = [await signUp(), Visitor.browser()]
  const { api } = visitor
  const signedIn = (await signedInBrowser(email)).api.createBrowserRecoveryFlow()
  await refuse("createBrowserRecoveryFlow", 400, "session_already_available", signedIn)
  const stray = api.createBrowserRecoveryFlow({ returnTo: elsewhere })
  await refuse("createBrowserRecoveryFlow", 400, "self_service_flow_return_to_forbidden", stray)
  const { id, ui } = await accept("createBrowserRecoveryFlow", api.createBrowserRecoveryFlow())
  await accept("getRecoveryFlow", api.getRecoveryFlow({ id }))
  await refuse("getRecoveryFlow", 403, "security_csrf_violation", Visitor.browser().api.getRecoveryFlow({ id }))
  const forged = recover(visitor, id, { email, csrf_token: "made-up" })
  await refuse("updateRecoveryFlow", 403, "security_csrf_violation", forged)
  const csrf_token = csrfToken(ui)
  await accept("updateRecoveryFlow", recover(visitor, id, { email, csrf_token }))
  const submit = recover(visitor, id, { code: await mailedCode(email), csrf_token })
  const moved = await refusedWith<ErrorBrowserLocationChangeRequired>("updateRecoveryFlow", 422, submit)
  assert.ok(moved.redirect_browser_to)
  await visitor.admitted(undefined, identity)
})

promise("verification marks the address", async () => {
  const [{ email, token }, app] = [await signUp(), Visitor.nativeApp()]
  const { api } = app
  const stray = api.createNativeVerificationFlow({ returnTo: elsewhere })
  await refuse("createNativeVerificationFlow", 400, "self_service_flow_return_to_forbidden", stray)
  const { id } = await accept("createNativeVerificationFlow", api.createNativeVerificationFlow())
  await accept("getVerificationFlow", api.getVerificationFlow({ id }))
  await refuse("getVerificationFlow", 404, undefined, api.getVerificationFlow({ id: unknownId }))
  await refuse("updateVerificationFlow", 404, undefined, verify(app, unknownId, { email }))
  hasMessage((await refusedWith<VerificationFlow>("updateVerificationFlow", 400, verify(app, id, {}))).ui, 4000002)

  const sent = await accept("updateVerificationFlow", verify(app, id, { email }))
  assert.equal(sent.state, "sent_email")
  hasMessage(sent.ui, 1080003)
  hasMessage((await accept("updateVerificationFlow", verify(app, id, { code: "000000" }))).ui, 4070006)
  const done = await accept("updateVerificationFlow", verify(app, id, { code: await mailedCode(email) }))
  assert.equal(done.state, "passed_challenge")
  hasMessage(done.ui, 1080002)
  const session = await accept("toSession", api.toSession({ xSessionToken: token }))
  const [address] = session.identity?.verifiable_addresses ?? []
  assert.deepEqual([address?.verified, address?.status], [true, "completed"])
})

promise("browser verification is bound to its browser", async () => {
  const [{ email }, visitor] = [await signUp(), Visitor.browser()]
  const { api } = visitor
  const stray = api.createBrowserVerificationFlow({ returnTo: elsewhere })
  await refuse("createBrowserVerificationFlow", 400, "self_service_flow_return_to_forbidden", stray)
  const { id, ui } = await accept("createBrowserVerificationFlow", api.createBrowserVerificationFlow())
  const foreign = Visitor.browser().api.getVerificationFlow({ id })
  await refuse("getVerificationFlow", 403, "security_csrf_violation", foreign)
  const forged = verify(visitor, id, { email, csrf_token: "made-up" })
  await refuse("updateVerificationFlow", 403, "security_csrf_violation", forged)
  const csrf_token = csrfToken(ui)
  await accept("updateVerificationFlow", verify(visitor, id, { email, csrf_token }))
  const submit = verify(visitor, id, { code: await mailedCode(email), csrf_token })
  assert.equal((await accept("updateVerificationFlow", submit)).state, "passed_challenge")
})
