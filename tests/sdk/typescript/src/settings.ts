// Settings, and the sessions of one identity.

import assert from "node:assert/strict"

import type { Identity, SettingsFlow, UpdateSettingsFlowBody } from "#sdk"

import {
  Visitor,
  accept,
  csrfToken,
  hasMessage,
  newEmail,
  refuse,
  refusedWith,
  signInNatively,
  signUp,
  signedInBrowser,
  unknownId,
} from "./kratos.js"
import { promise } from "./report.js"

const profile = (email: string, first: string, csrf_token?: string): UpdateSettingsFlowBody => ({
  method: "profile",
  traits: { email, name: { first } },
  csrf_token,
})

const firstName = (identity?: Identity): unknown => identity?.traits.name.first

promise("native settings change the identity", async () => {
  const [somebody, stranger, app] = [await signUp(), await signUp(), Visitor.nativeApp()]
  const { api } = app
  const own = { xSessionToken: somebody.token }
  await refuse("createNativeSettingsFlow", 401, "session_inactive", api.createNativeSettingsFlow())
  const flow = await accept("createNativeSettingsFlow", api.createNativeSettingsFlow(own))
  assert.equal(flow.identity.id, somebody.identity)
  await accept("getSettingsFlow", api.getSettingsFlow({ id: flow.id, ...own }))
  await refuse("getSettingsFlow", 401, undefined, api.getSettingsFlow({ id: flow.id }))
  await refuse("getSettingsFlow", 404, undefined, api.getSettingsFlow({ id: unknownId, ...own }))
  const theirs = { xSessionToken: stranger.token }
  const peek = api.getSettingsFlow({ id: flow.id, ...theirs })
  await refuse("getSettingsFlow", 403, "security_identity_mismatch", peek)
  const submit = (session: object, updateSettingsFlowBody: UpdateSettingsFlowBody) =>
    api.updateSettingsFlow({ flow: flow.id, ...session, updateSettingsFlowBody })
  const body = profile(stranger.email, "Eve")
  await refuse("updateSettingsFlow", 403, "security_identity_mismatch", submit(theirs, body))
  await refuse("updateSettingsFlow", 401, undefined, submit({}, body))

  const weak = submit(own, { method: "password", password: "short" })
  hasMessage((await refusedWith<SettingsFlow>("updateSettingsFlow", 400, weak)).ui, 4000032)
  await app.admitted(somebody.token, somebody.identity)
  const saved = await accept("updateSettingsFlow", submit(own, profile(somebody.email, "Zoe")))
  assert.deepEqual([saved.state, firstName(saved.identity)], ["success", "Zoe"])
  hasMessage(saved.ui, 1050001)
  assert.equal(firstName((await accept("toSession", api.toSession(own))).identity), "Zoe")

  // The service hears of a new address at once, although the session was cached with the old one.
  const address = newEmail()
  await accept("updateSettingsFlow", submit(own, profile(address, "Zoe")))
  const told = (await app.knock(somebody.token)).headers["x-user-email"]
  if (told !== undefined) assert.equal(told, address)
})

promise("browser settings need a cookie and a CSRF token", async () => {
  const somebody = await signUp()
  const anonymous = Visitor.browser().api.createBrowserSettingsFlow()
  await refuse("createBrowserSettingsFlow", 401, "session_inactive", anonymous)
  const visitor = await signedInBrowser(somebody.email)
  const { api } = visitor
  const { id, ui } = await accept("createBrowserSettingsFlow", api.createBrowserSettingsFlow())
  await accept("getSettingsFlow", api.getSettingsFlow({ id }))
  const submit = (csrf: string) =>
    api.updateSettingsFlow({ flow: id, updateSettingsFlowBody: profile(somebody.email, "Zoe", csrf) })
  await refuse("updateSettingsFlow", 403, "security_csrf_violation", submit("made-up"))
  const saved = await accept("updateSettingsFlow", submit(csrfToken(ui)))
  assert.equal(firstName(saved.identity), "Zoe")
  await visitor.admitted(undefined, somebody.identity)
})

promise("sessions are listed and ended", async () => {
  const [somebody, stranger, app] = [await signUp(), await signUp(), Visitor.nativeApp()]
  const { api } = app
  const own = { xSessionToken: somebody.token }
  const unknown = { xSessionToken: "ory_st_unknown" }
  const [second, third] = [await signInNatively(somebody.email), await signInNatively(somebody.email)]
  const sessions = await accept("listMySessions", api.listMySessions(own))
  assert.deepEqual(sessions.map((session) => session.id), [third.session.id, second.session.id])
  assert.equal(sessions[0]?.devices?.length, 1)
  const page = await api.listMySessions({ ...own, perPage: 1, page: 1 })
  assert.deepEqual(page.data.map((session) => session.id), [second.session.id])
  assert.equal(page.headers["x-total-count"], "2")
  await refuse("listMySessions", 401, undefined, api.listMySessions(unknown))

  for (const login of [second, third]) await app.admitted(login.session_token, somebody.identity)
  const id = second.session.id
  await refuse("disableMySession", 400, undefined, api.disableMySession({ id: somebody.session, ...own }))
  await refuse("disableMySession", 401, undefined, api.disableMySession({ id, ...unknown }))
  await accept("disableMySession", api.disableMySession({ id, xSessionToken: stranger.token }), 204)
  await app.admitted(second.session_token, somebody.identity)
  await accept("disableMySession", api.disableMySession({ id, ...own }), 204)
  await app.turnedAway(second.session_token)
  await app.admitted(third.session_token, somebody.identity)

  await refuse("disableMyOtherSessions", 401, undefined, api.disableMyOtherSessions(unknown))
  assert.equal((await accept("disableMyOtherSessions", api.disableMyOtherSessions(own))).count, 1)
  await app.turnedAway(third.session_token)
  await app.admitted(somebody.token, somebody.identity)
})
