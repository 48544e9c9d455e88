// What the tests of this suite share: where the server is, who visits it, and what an operation has to answer.

import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"

import axios, { type AxiosInstance, type AxiosResponse, isAxiosError } from "axios"

import {
  Configuration,
  FrontendApi,
  type ErrorGeneric,
  type SuccessfulNativeLogin,
  type UiContainer,
  type UpdateRegistrationFlowBody,
} from "#sdk"

import { NotTested, record } from "./report.js"

export const kratosUrl = (process.env.KRATOS_URL || "http://127.0.0.1:4455").replace(/\/$/, "")
const protectedUrl = process.env.PROTECTED_URL || `${kratosUrl}/private`
const mailboxUrl = process.env.MAILBOX_URL

export const password = "correct-horse-battery"
/** Well formed, and nobody's. */
export const unknownId = "00000000-0000-4000-8000-000000000000"
export const elsewhere = "https://elsewhere.example/"

/** One client. A browser keeps cookies, a native app does not. */
export class Visitor {
  readonly api: FrontendApi
  private readonly http: AxiosInstance

  constructor(private readonly cookies?: Map<string, string>) {
    this.http = axios.create({ timeout: 20_000 })
    this.api = new FrontendApi(new Configuration({ basePath: kratosUrl }), undefined, this.http)
    if (!cookies) return
    this.http.interceptors.request.use((request) => {
      if (cookies.size > 0) request.headers.set("Cookie", [...cookies].map((pair) => pair.join("=")).join("; "))
      return request
    })
    this.http.interceptors.response.use(
      (response) => this.keepCookies(response),
      (error: unknown) => {
        if (isAxiosError(error) && error.response) this.keepCookies(error.response)
        return Promise.reject(error)
      },
    )
  }

  static nativeApp = (): Visitor => new Visitor()
  static browser = (): Visitor => new Visitor(new Map())

  /** Somebody who holds a copy of the cookies of now. */
  thief(): Visitor {
    return new Visitor(new Map(this.cookies))
  }

  private keepCookies(response: AxiosResponse): AxiosResponse {
    for (const line of response.headers["set-cookie"] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name === undefined || value === undefined) continue
      if (/;\s*max-age=0/i.test(line)) this.cookies?.delete(name)
      else this.cookies?.set(name, value)
    }
    return response
  }

  /** Calls the protected path, and returns the status and what the service saw. */
  async knock(token?: string): Promise<{ status: number; identity?: string; headers: Record<string, string> }> {
    const response = await this.http.get(protectedUrl, {
      headers: { Accept: "application/json", ...(token && { "X-Session-Token": token }) },
      validateStatus: () => true,
    })
    return { status: response.status, identity: response.data.identity, headers: response.data.headers ?? {} }
  }

  /** Demands that the service sees that identity, twice: the second time from the gateway's cache. */
  async admitted(token: string | undefined, identity: string): Promise<void> {
    for (let time = 0; time < 2; time++) {
      const seen = await this.knock(token)
      assert.equal(seen.status, 200)
      assert.equal(seen.headers["x-kratos-authenticated-identity-id"], identity)
    }
  }

  /** Demands that the credential is worth nothing, cached or not. */
  async turnedAway(token?: string): Promise<void> {
    assert.equal((await this.knock(token)).status, 401)
  }
}

type Operation = keyof FrontendApi & string

/** Demands success, and returns the body. */
export async function accept<T>(operation: Operation, call: Promise<AxiosResponse<T>>, status = 200): Promise<T> {
  try {
    const response = await call
    assert.equal(response.status, status)
    record(operation, "succeeded")
    return response.data
  } catch (error) {
    record(operation, "failed")
    const answer = isAxiosError(error) ? JSON.stringify(error.response?.data) : ""
    throw new Error(`${operation} should have succeeded: ${String(error)} ${answer}`, { cause: error })
  }
}

/** Demands a refusal of that status, and returns its body: an error, or the flow with messages. */
export async function refusedWith<E>(operation: Operation, status: number, call: Promise<unknown>): Promise<E> {
  try {
    await call
  } catch (error) {
    if (isAxiosError<E>(error) && error.response?.status === status) {
      record(operation, "refused")
      return error.response.data
    }
    record(operation, "failed")
    const answer = isAxiosError(error) ? JSON.stringify(error.response?.data) : ""
    throw new Error(`${operation}: expected ${status}, got ${String(error)} ${answer}`, { cause: error })
  }
  record(operation, "failed")
  throw new Error(`${operation}: expected ${status}, but it succeeded`)
}

/** One of the two clients knows less of it than the other. */
type Refusal = ErrorGeneric & { error: { code?: number; id?: string } }

/** Demands Kratos' error of that status and id; without an id the error must have none. */
export async function refuse(operation: Operation, status: number, id: string | undefined, call: Promise<unknown>) {
  const { error } = await refusedWith<Refusal>(operation, status, call)
  assert.equal(error.code, status)
  assert.equal(error.id, id)
  assert.ok(error.message)
}

export const newEmail = (): string => `ts-${randomBytes(8).toString("hex")}@example.com`

export interface Account {
  email: string
  identity: string
  token: string
  session: string
}

export function registration(email: string, secret: string, csrf_token?: string): UpdateRegistrationFlowBody {
  return { method: "password", traits: { email, name: { first: "Ann" } }, password: secret, csrf_token }
}

/** Somebody new, signed up by a native app. */
export async function signUp(): Promise<Account> {
  const { api } = Visitor.nativeApp()
  const email = newEmail()
  const flow = await accept("createNativeRegistrationFlow", api.createNativeRegistrationFlow())
  const result = await accept(
    "updateRegistrationFlow",
    api.updateRegistrationFlow({ flow: flow.id, updateRegistrationFlowBody: registration(email, password) }),
  )
  assert.ok(result.session_token && result.session)
  return { email, identity: result.identity.id, token: result.session_token, session: result.session.id }
}

/** A submit of a login flow with a password. */
export function logIn({ api }: Visitor, flow: string, identifier: string, secret: string, csrf_token?: string) {
  return api.updateLoginFlow({
    flow,
    updateLoginFlowBody: { method: "password", identifier, password: secret, csrf_token },
  })
}

/** One more session. */
export async function signInNatively(email: string): Promise<SuccessfulNativeLogin & { session_token: string }> {
  const app = Visitor.nativeApp()
  const flow = await accept("createNativeLoginFlow", app.api.createNativeLoginFlow())
  const login = await accept("updateLoginFlow", logIn(app, flow.id, email, password))
  assert.ok(login.session_token)
  return { ...login, session_token: login.session_token }
}

/** A browser with a session cookie. */
export async function signedInBrowser(email: string): Promise<Visitor> {
  const visitor = Visitor.browser()
  const flow = await accept("createBrowserLoginFlow", visitor.api.createBrowserLoginFlow())
  await accept("updateLoginFlow", logIn(visitor, flow.id, email, password, csrfToken(flow.ui)))
  return visitor
}

/** The token from the node that every browser flow has. */
export function csrfToken(ui: UiContainer): string {
  for (const { attributes } of ui.nodes) {
    if (attributes.node_type === "input" && attributes.name === "csrf_token" && attributes.value) return attributes.value
  }
  throw new Error("the flow has no csrf_token")
}

/** Demands a message of that id, above the form or at a node. */
export function hasMessage(ui: UiContainer, id: number): void {
  const found = [...(ui.messages ?? []), ...ui.nodes.flatMap((node) => node.messages)].map((message) => message.id)
  assert.ok(found.includes(id), `no message ${id} among ${found}`)
}

/** The newest code that went to that address. Without a mailbox the test cannot go on. */
export async function mailedCode(address: string): Promise<string> {
  if (!mailboxUrl) throw new NotTested("codes cannot be read without MAILBOX_URL")
  const mails = (await axios.get<{ to: string; code?: string }[]>(mailboxUrl)).data
  const code = mails.filter((mail) => mail.to === address && mail.code).at(-1)?.code
  assert.ok(code, `no mail with a code went to ${address}`)
  return code
}
