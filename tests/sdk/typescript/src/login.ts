// Login, logout and the second factor.

import assert from "node:assert/strict"
import { createHmac } from "node:crypto"

import type { ErrorBrowserLocationChangeRequired, LoginFlow, SettingsFlow } from "#sdk"

import {
  Visitor,
  accept,
  csrfToken,
  elsewhere,
  hasMessage,
  kratosUrl,
  logIn,
  mailedCode,
  password,
  refuse,
  refusedWith,
  signInNatively,
  signUp,
  unknownId,
} from "./kratos.js"
import { NotTested, promise } from "./report.js"

promise("native login yields a token that the gateway knows, until logout", async () => {
  const [somebody, app] = [await signUp(), Visitor.nativeApp()]
  const { api } = app
  const flow = await accept("createNativeLoginFlow", api.createNativeLoginFlow())
  assert.equal(flow.type, "api")
  const read = await accept("getLoginFlow", api.getLoginFlow({ id: flow.id }))
  assert.deepEqual(read.ui.nodes, flow.ui.nodes)
  const refused = await refusedWith<LoginFlow>("updateLoginFlow", 400, logIn(app, flow.id, somebody.email, "wrong"))
  hasMessage(refused.ui, 4000006)

  const login = await accept("updateLoginFlow", logIn(app, flow.id, somebody.email, password))
  assert.equal(login.session.identity?.id, somebody.identity)
  const xSessionToken = login.session_token
  const session = await accept("toSession", api.toSession({ xSessionToken }))
  assert.equal(session.id, login.session.id)
  assert.equal(session.active, true)
  assert.equal(session.authenticator_assurance_level, "aal1")
  assert.equal(session.authentication_methods?.[0]?.method, "password")
  assert.ok(new Date(session.expires_at ?? 0) > new Date())
  await app.admitted(xSessionToken, somebody.identity)

  const logOut = (session_token = "") => api.performNativeLogout({ performNativeLogoutBody: { session_token } })
  await accept("performNativeLogout", logOut(xSessionToken), 204)
  await app.turnedAway(xSessionToken)
  await refuse("toSession", 401, undefined, api.toSession({ xSessionToken }))
  await accept("performNativeLogout", logOut(xSessionToken), 204)
  await refuse("performNativeLogout", 403, undefined, logOut("ory_st_unknown"))
})

promise("login flows are refused to who has no use for them", async () => {
  const [somebody, app, visitor] = [await signUp(), Visitor.nativeApp(), Visitor.browser()]
  const native = app.api.createNativeLoginFlow({ xSessionToken: somebody.token })
  await refuse("createNativeLoginFlow", 400, "session_already_available", native)
  await refuse("getLoginFlow", 404, undefined, app.api.getLoginFlow({ id: unknownId }))
  await refuse("updateLoginFlow", 404, undefined, logIn(app, unknownId, somebody.email, password))

  const { api } = visitor
  await refuse("createBrowserLoginFlow", 401, "session_aal1_required", api.createBrowserLoginFlow({ aal: "aal2" }))
  const stray = api.createBrowserLoginFlow({ returnTo: elsewhere })
  await refuse("createBrowserLoginFlow", 400, "self_service_flow_return_to_forbidden", stray)
  const { id } = await accept("createBrowserLoginFlow", api.createBrowserLoginFlow())
  await refuse("getLoginFlow", 403, "security_csrf_violation", Visitor.browser().api.getLoginFlow({ id }))
  const forged = logIn(visitor, id, somebody.email, password, "made-up")
  await refuse("updateLoginFlow", 403, "security_csrf_violation", forged)
})

promise("browser login gives a cookie, and logout takes it away", async () => {
  const [somebody, visitor] = [await signUp(), Visitor.browser()]
  const { api } = visitor
  await refuse("createBrowserLogoutFlow", 401, "session_inactive", api.createBrowserLogoutFlow())
  await visitor.turnedAway()

  const flow = await accept("createBrowserLoginFlow", api.createBrowserLoginFlow())
  assert.equal(flow.type, "browser")
  await accept("getLoginFlow", api.getLoginFlow({ id: flow.id }))
  const submit = logIn(visitor, flow.id, somebody.email, password, csrfToken(flow.ui))
  const login = await accept("updateLoginFlow", submit)
  assert.equal(login.session_token, undefined)
  assert.equal((await accept("toSession", api.toSession())).id, login.session.id)
  await visitor.admitted(undefined, somebody.identity)
  await refuse("createBrowserLoginFlow", 400, "session_already_available", api.createBrowserLoginFlow())

  const { logout_url, logout_token: token } = await accept("createBrowserLogoutFlow", api.createBrowserLogoutFlow())
  assert.ok(logout_url.includes(token))
  await refuse("updateLogoutFlow", 403, undefined, api.updateLogoutFlow({ token: "made-up" }))
  const thief = visitor.thief()
  await thief.admitted(undefined, somebody.identity)
  await accept("updateLogoutFlow", api.updateLogoutFlow({ token }), 204)
  await thief.turnedAway()
  await refuse("toSession", 401, undefined, thief.api.toSession())
  await refuse("updateLogoutFlow", 401, "session_inactive", api.updateLogoutFlow({ token }))
})

promise("a code by mail signs in", async () => {
  const [{ email: identifier }, { api }] = [await signUp(), Visitor.nativeApp()]
  const { id: flow } = await accept("createNativeLoginFlow", api.createNativeLoginFlow())
  const submit = (code?: string) =>
    api.updateLoginFlow({ flow, updateLoginFlowBody: { method: "code", identifier, code, csrf_token: "" } })
  const sent = await refusedWith<LoginFlow>("updateLoginFlow", 400, submit())
  assert.equal(sent.state, "sent_email")
  hasMessage((await refusedWith<LoginFlow>("updateLoginFlow", 400, submit("000000"))).ui, 4010008)
  const login = await accept("updateLoginFlow", submit(await mailedCode(identifier)))
  assert.equal(login.session.authentication_methods?.[0]?.method, "code")
})

promise("whoami tokenizes the session", async () => {
  const [somebody, { api }] = [await signUp(), Visitor.nativeApp()]
  const xSessionToken = somebody.token
  const session = await accept("toSession", api.toSession({ xSessionToken, tokenizeAs: "dev" }))
  const [, payload = "", signature] = (session.tokenized ?? "").split(".")
  assert.ok(signature)
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString())
  assert.deepEqual([claims.sub, claims.sid], [somebody.identity, somebody.session])
  await refuse("toSession", 400, undefined, api.toSession({ xSessionToken, tokenizeAs: "unknown" }))
  await refuse("toSession", 401, undefined, api.toSession({ xSessionToken: "ory_st_unknown" }))
})

promise("a second factor is set up and asked for", async () => {
  const [somebody, app] = [await signUp(), Visitor.nativeApp()]
  const { api } = app
  const own = { xSessionToken: somebody.token }
  const settings = await accept("createNativeSettingsFlow", api.createNativeSettingsFlow(own))
  let secret = ""
  for (const { attributes } of settings.ui.nodes) {
    if (attributes.node_type !== "text" || attributes.id !== "totp_secret_key") continue
    secret = (attributes.text.context as { secret: string }).secret
  }
  const link = (totp_code: string) =>
    api.updateSettingsFlow({ flow: settings.id, ...own, updateSettingsFlowBody: { method: "totp", totp_code } })
  hasMessage((await refusedWith<SettingsFlow>("updateSettingsFlow", 400, link("000"))).ui, 4000008)
  assert.equal((await accept("updateSettingsFlow", link(totp(secret)))).state, "success")
  // Who sets a factor up has shown it.
  assert.equal((await accept("toSession", api.toSession(own))).authenticator_assurance_level, "aal2")

  const login = await signInNatively(somebody.email)
  const weak = { xSessionToken: login.session_token }
  assert.ok(!login.session.identity, "half a login must not tell who it is")
  await refuse("toSession", 403, "session_aal2_required", api.toSession(weak))
  await refuse("listMySessions", 403, "session_aal2_required", api.listMySessions(weak))
  await refuse("createNativeSettingsFlow", 403, "session_aal2_required", api.createNativeSettingsFlow(weak))
  const step = await accept("createNativeLoginFlow", api.createNativeLoginFlow({ aal: "aal2", ...weak }))
  assert.equal(step.requested_aal, "aal2")
  const prove = (totp_code: string) =>
    api.updateLoginFlow({ flow: step.id, ...weak, updateLoginFlowBody: { method: "totp", totp_code } })
  hasMessage((await refusedWith<LoginFlow>("updateLoginFlow", 400, prove("000"))).ui, 4000008)
  assert.equal((await accept("updateLoginFlow", prove(totp(secret)))).session.id, login.session.id)
  await app.admitted(login.session_token, somebody.identity)

  const visitor = Visitor.browser()
  const flow = await accept("createBrowserLoginFlow", visitor.api.createBrowserLoginFlow())
  const submit = logIn(visitor, flow.id, somebody.email, password, csrfToken(flow.ui))
  const moved = await refusedWith<ErrorBrowserLocationChangeRequired>("updateLoginFlow", 422, submit)
  assert.match(moved.redirect_browser_to ?? "", /aal=aal2/)
})

/** The code of this half minute (RFC 6238). */
function totp(secret: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("")
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const mac = createHmac("sha1", key).update(counter).digest()
  const start = mac.readUInt8(mac.length - 1) & 15
  return ((mac.readUInt32BE(start) & 0x7fffffff) % 1_000_000).toString().padStart(6, "0")
}

promise("a session token is exchanged for two codes", async () => {
  const [somebody, app] = [await signUp(), Visitor.nativeApp()]
  const { api } = app
  const asked = api.createNativeLoginFlow({ returnSessionTokenExchangeCode: true, returnTo: `${kratosUrl}/done` })
  const flow = await accept("createNativeLoginFlow", asked)
  const initCode = flow.session_token_exchange_code
  assert.ok(initCode)
  const early = api.exchangeSessionToken({ initCode, returnToCode: "made-up" })
  await refuse("exchangeSessionToken", 404, undefined, early)
  const login = await accept("updateLoginFlow", logIn(app, flow.id, somebody.email, password))
  const next = login.continue_with?.find((action) => action.action === "redirect_browser_to")
  if (!next) throw new NotTested("this Kratos gives the second code in redirects of social sign-in only")
  const returnToCode = new URL(next.redirect_browser_to).searchParams.get("code") ?? ""
  const exchange = () => api.exchangeSessionToken({ initCode, returnToCode })
  const exchanged = await accept("exchangeSessionToken", exchange())
  assert.equal(exchanged.session_token, login.session_token)
  assert.equal(exchanged.session.identity?.id, somebody.identity)
  await refuse("exchangeSessionToken", 404, undefined, exchange())
})
