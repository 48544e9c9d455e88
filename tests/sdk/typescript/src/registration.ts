// Registration, and the operations that belong to no flow.

import assert from "node:assert/strict"

import type { RegistrationFlow } from "#sdk"

import {
  Visitor,
  accept,
  csrfToken,
  elsewhere,
  hasMessage,
  newEmail,
  password,
  refuse,
  refusedWith,
  registration,
  signUp,
  signedInBrowser,
  unknownId,
} from "./kratos.js"
import { promise } from "./report.js"

function register({ api }: Visitor, flow: string, email: string, secret: string, csrf?: string) {
  return api.updateRegistrationFlow({ flow, updateRegistrationFlowBody: registration(email, secret, csrf) })
}

promise("native registration signs in and mails a code", async () => {
  const [app, email] = [Visitor.nativeApp(), newEmail()]
  const { api } = app
  const { id } = await accept("createNativeRegistrationFlow", api.createNativeRegistrationFlow())
  assert.equal((await accept("getRegistrationFlow", api.getRegistrationFlow({ id }))).type, "api")
  const refusal = (secret: string) =>
    refusedWith<RegistrationFlow>("updateRegistrationFlow", 400, register(app, id, email, secret))
  hasMessage((await refusal("short")).ui, 4000032)
  hasMessage((await refusal(email)).ui, 4000031)

  const result = await accept("updateRegistrationFlow", register(app, id, email, password))
  const { identity, session_token } = result
  assert.equal(identity.traits.email, email)
  const [address] = identity.verifiable_addresses ?? []
  assert.deepEqual([address?.value, address?.verified], [email, false])
  assert.equal(identity.recovery_addresses?.[0]?.value, email)
  assert.equal(result.session?.identity?.id, identity.id)
  for (const next of result.continue_with ?? []) {
    if (next.action === "show_verification_ui") {
      assert.equal(next.flow.verifiable_address, email)
      await accept("getVerificationFlow", api.getVerificationFlow({ id: next.flow.id }))
    } else if (next.action === "set_ory_session_token") {
      assert.equal(next.ory_session_token, session_token)
    }
  }
  const actions = result.continue_with?.map((next) => next.action) ?? []
  assert.deepEqual(actions.sort(), ["set_ory_session_token", "show_verification_ui"])
  await app.admitted(session_token, identity.id)
})

promise("registration flows are refused to who has no use for them", async () => {
  const [somebody, app] = [await signUp(), Visitor.nativeApp()]
  const { api } = app
  const stray = api.createNativeRegistrationFlow({ returnTo: elsewhere })
  await refuse("createNativeRegistrationFlow", 400, "self_service_flow_return_to_forbidden", stray)
  await refuse("getRegistrationFlow", 404, undefined, api.getRegistrationFlow({ id: unknownId }))
  await refuse("updateRegistrationFlow", 404, undefined, register(app, unknownId, newEmail(), password))
  const signedIn = await signedInBrowser(somebody.email)
  const again = signedIn.api.createBrowserRegistrationFlow()
  await refuse("createBrowserRegistrationFlow", 400, "session_already_available", again)

  const { id } = await accept("createNativeRegistrationFlow", api.createNativeRegistrationFlow())
  const submit = register(app, id, somebody.email, password)
  hasMessage((await refusedWith<RegistrationFlow>("updateRegistrationFlow", 400, submit)).ui, 4000007)
})

promise("browser registration gives a cookie", async () => {
  const [visitor, email] = [Visitor.browser(), newEmail()]
  const { api } = visitor
  const { id, ui } = await accept("createBrowserRegistrationFlow", api.createBrowserRegistrationFlow())
  await accept("getRegistrationFlow", api.getRegistrationFlow({ id }))
  const foreign = Visitor.browser().api.getRegistrationFlow({ id })
  await refuse("getRegistrationFlow", 403, "security_csrf_violation", foreign)
  const forged = register(visitor, id, email, password, "made-up")
  await refuse("updateRegistrationFlow", 403, "security_csrf_violation", forged)
  const malformed = register(visitor, id, "no address", password, csrfToken(ui))
  const refused = await refusedWith<RegistrationFlow>("updateRegistrationFlow", 400, malformed)
  hasMessage(refused.ui, 4000040)
  const submit = register(visitor, id, email, password, csrfToken(refused.ui))
  const result = await accept("updateRegistrationFlow", submit)
  assert.equal(result.session_token, undefined)
  await visitor.admitted(undefined, result.identity.id)
})

promise("errors of flows can be read", async () => {
  const { api } = Visitor.nativeApp()
  // An id that Kratos documents for those who build error pages.
  const stub = await accept("getFlowError", api.getFlowError({ id: "stub:500" }))
  assert.equal((stub.error as { code: number }).code, 500)
  await refuse("getFlowError", 404, undefined, api.getFlowError({ id: unknownId }))
})

promise("the WebAuthn script is served", async () => {
  const script = await accept("getWebAuthnJavaScript", Visitor.nativeApp().api.getWebAuthnJavaScript())
  assert.match(script, /oryWebAuthn/)
})
