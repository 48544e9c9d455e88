// Login, logout and the second factor.

package sdk

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	kratos "github.com/ory/kratos-client-go"
)

func TestNativeLoginYieldsATokenThatTheGatewayKnows(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	flow := accept(t, "createNativeLoginFlow", app.CreateNativeLoginFlow(ctx).Execute)
	equal(t, flow.Type, "api")
	read := accept(t, "getLoginFlow", app.GetLoginFlow(ctx).Id(flow.Id).Execute)
	equal(t, read.Id, flow.Id)
	equal(t, len(read.Ui.Nodes), len(flow.Ui.Nodes))

	refused := refusedWith[kratos.LoginFlow](t, "updateLoginFlow", 400, logIn(app, flow.Id, somebody.email, "wrong", "").Execute)
	hasMessage(t, refused.Ui, 4000006)

	login := accept(t, "updateLoginFlow", logIn(app, flow.Id, somebody.email, password, "").Execute)
	equal(t, login.Session.Identity.Id, somebody.identity)
	token := login.GetSessionToken()
	session := accept(t, "toSession", app.ToSession(ctx).XSessionToken(token).Execute)
	equal(t, session.Id, login.Session.Id)
	equal(t, session.GetActive(), true)
	equal(t, session.GetAuthenticatorAssuranceLevel(), kratos.AUTHENTICATORASSURANCELEVEL_AAL1)
	equal(t, session.AuthenticationMethods[0].GetMethod(), "password")
	equal(t, session.ExpiresAt.After(time.Now()), true)
	app.admitted(t, token, somebody.identity)

	acceptEmpty(t, "performNativeLogout", logOut(app, token).Execute)
	app.turnedAway(t, token)
	refuse(t, "toSession", 401, "", app.ToSession(ctx).XSessionToken(token).Execute)
	acceptEmpty(t, "performNativeLogout", logOut(app, token).Execute)
	refuseEmpty(t, "performNativeLogout", 403, "", logOut(app, "ory_st_unknown").Execute)
}

func logOut(v visitor, token string) kratos.FrontendAPIPerformNativeLogoutRequest {
	return v.PerformNativeLogout(ctx).PerformNativeLogoutBody(*kratos.NewPerformNativeLogoutBody(token))
}

func TestLoginFlowsAreRefusedToWhoHasNoUseForThem(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	refuse(t, "createNativeLoginFlow", 400, "session_already_available",
		app.CreateNativeLoginFlow(ctx).XSessionToken(somebody.token).Execute)
	refuse(t, "getLoginFlow", 404, "", app.GetLoginFlow(ctx).Id(unknownID).Execute)
	refuse(t, "updateLoginFlow", 404, "", logIn(app, unknownID, somebody.email, password, "").Execute)

	visitor := browser(t)
	refuse(t, "createBrowserLoginFlow", 401, "session_aal1_required", visitor.CreateBrowserLoginFlow(ctx).Aal("aal2").Execute)
	refuse(t, "createBrowserLoginFlow", 400, "self_service_flow_return_to_forbidden",
		visitor.CreateBrowserLoginFlow(ctx).ReturnTo(elsewhere).Execute)
	flow := accept(t, "createBrowserLoginFlow", visitor.CreateBrowserLoginFlow(ctx).Execute)
	refuse(t, "getLoginFlow", 403, "security_csrf_violation", browser(t).GetLoginFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "updateLoginFlow", 403, "security_csrf_violation",
		logIn(visitor, flow.Id, somebody.email, password, "made-up").Execute)
}

func TestBrowserLoginGivesACookieAndLogoutTakesItAway(t *testing.T) {
	counted(t)
	somebody, visitor := signUp(t), browser(t)
	refuse(t, "createBrowserLogoutFlow", 401, "session_inactive", visitor.CreateBrowserLogoutFlow(ctx).Execute)
	visitor.turnedAway(t, "")

	flow := accept(t, "createBrowserLoginFlow", visitor.CreateBrowserLoginFlow(ctx).Execute)
	equal(t, flow.Type, "browser")
	accept(t, "getLoginFlow", visitor.GetLoginFlow(ctx).Id(flow.Id).Execute)
	login := accept(t, "updateLoginFlow", logIn(visitor, flow.Id, somebody.email, password, csrfToken(t, flow.Ui)).Execute)
	equal(t, login.HasSessionToken(), false)
	equal(t, accept(t, "toSession", visitor.ToSession(ctx).Execute).Id, login.Session.Id)
	visitor.admitted(t, "", somebody.identity)
	refuse(t, "createBrowserLoginFlow", 400, "session_already_available", visitor.CreateBrowserLoginFlow(ctx).Execute)

	logout := accept(t, "createBrowserLogoutFlow", visitor.CreateBrowserLogoutFlow(ctx).Execute)
	equal(t, strings.Contains(logout.LogoutUrl, logout.LogoutToken), true)
	refuseEmpty(t, "updateLogoutFlow", 403, "", visitor.UpdateLogoutFlow(ctx).Token("made-up").Execute)
	// A copy of the cookies, since the browser will obey and forget them.
	address, err := url.Parse(kratosURL)
	must(t, err)
	thief := browser(t)
	thief.http.Jar.SetCookies(address, visitor.http.Jar.Cookies(address))
	thief.admitted(t, "", somebody.identity)
	acceptEmpty(t, "updateLogoutFlow", visitor.UpdateLogoutFlow(ctx).Token(logout.LogoutToken).Execute)
	thief.turnedAway(t, "")
	refuse(t, "toSession", 401, "", thief.ToSession(ctx).Execute)
	refuseEmpty(t, "updateLogoutFlow", 401, "session_inactive", visitor.UpdateLogoutFlow(ctx).Token(logout.LogoutToken).Execute)
}

func TestACodeByMailSignsIn(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	flow := accept(t, "createNativeLoginFlow", app.CreateNativeLoginFlow(ctx).Execute)
	submit := func(code string) kratos.FrontendAPIUpdateLoginFlowRequest {
		body := kratos.NewUpdateLoginFlowWithCodeMethod("", "code")
		body.Identifier, body.Code = &somebody.email, optional(code)
		return app.UpdateLoginFlow(ctx).Flow(flow.Id).
			UpdateLoginFlowBody(kratos.UpdateLoginFlowWithCodeMethodAsUpdateLoginFlowBody(body))
	}
	sent := refusedWith[kratos.LoginFlow](t, "updateLoginFlow", 400, submit("").Execute)
	equal(t, sent.State.(string), "sent_email")
	hasMessage(t, refusedWith[kratos.LoginFlow](t, "updateLoginFlow", 400, submit("000000").Execute).Ui, 4010008)
	login := accept(t, "updateLoginFlow", submit(mailedCode(t, somebody.email)).Execute)
	equal(t, login.Session.AuthenticationMethods[0].GetMethod(), "code")
}

func TestWhoamiTokenizesTheSession(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	session := accept(t, "toSession", app.ToSession(ctx).XSessionToken(somebody.token).TokenizeAs("dev").Execute)
	parts := strings.Split(session.GetTokenized(), ".")
	equal(t, len(parts), 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims struct{ Sub, Sid string }
	must(t, json.Unmarshal(payload, &claims))
	equal(t, claims.Sub, somebody.identity)
	equal(t, claims.Sid, somebody.session)
	refuse(t, "toSession", 400, "", app.ToSession(ctx).XSessionToken(somebody.token).TokenizeAs("unknown").Execute)
	refuse(t, "toSession", 401, "", app.ToSession(ctx).XSessionToken("ory_st_unknown").Execute)
}

func TestASecondFactorIsSetUpAndAskedFor(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	flow := accept(t, "createNativeSettingsFlow", app.CreateNativeSettingsFlow(ctx).XSessionToken(somebody.token).Execute)
	var secret string
	for _, node := range flow.Ui.Nodes {
		if text := node.Attributes.UiNodeTextAttributes; text != nil && text.Id == "totp_secret_key" {
			secret = text.Text.Context["secret"].(string)
		}
	}
	link := func(code string) kratos.FrontendAPIUpdateSettingsFlowRequest {
		body := kratos.NewUpdateSettingsFlowWithTotpMethod("totp")
		body.TotpCode = &code
		return app.UpdateSettingsFlow(ctx).Flow(flow.Id).XSessionToken(somebody.token).
			UpdateSettingsFlowBody(kratos.UpdateSettingsFlowWithTotpMethodAsUpdateSettingsFlowBody(body))
	}
	hasMessage(t, refusedWith[kratos.SettingsFlow](t, "updateSettingsFlow", 400, link("000").Execute).Ui, 4000008)
	equal(t, accept(t, "updateSettingsFlow", link(totp(t, secret)).Execute).State.(string), "success")
	// Who sets a factor up has shown it.
	session := accept(t, "toSession", app.ToSession(ctx).XSessionToken(somebody.token).Execute)
	equal(t, session.GetAuthenticatorAssuranceLevel(), kratos.AUTHENTICATORASSURANCELEVEL_AAL2)

	login := signInNatively(t, somebody.email)
	token := login.GetSessionToken()
	if login.Session.HasIdentity() {
		t.Fatal("half a login must not tell who it is")
	}
	refuse(t, "toSession", 403, "session_aal2_required", app.ToSession(ctx).XSessionToken(token).Execute)
	refuse(t, "listMySessions", 403, "session_aal2_required", app.ListMySessions(ctx).XSessionToken(token).Execute)
	refuse(t, "createNativeSettingsFlow", 403, "session_aal2_required", app.CreateNativeSettingsFlow(ctx).XSessionToken(token).Execute)
	step := accept(t, "createNativeLoginFlow", app.CreateNativeLoginFlow(ctx).Aal("aal2").XSessionToken(token).Execute)
	equal(t, step.GetRequestedAal(), kratos.AUTHENTICATORASSURANCELEVEL_AAL2)
	prove := func(code string) kratos.FrontendAPIUpdateLoginFlowRequest {
		body := kratos.UpdateLoginFlowWithTotpMethodAsUpdateLoginFlowBody(kratos.NewUpdateLoginFlowWithTotpMethod("totp", code))
		return app.UpdateLoginFlow(ctx).Flow(step.Id).XSessionToken(token).UpdateLoginFlowBody(body)
	}
	hasMessage(t, refusedWith[kratos.LoginFlow](t, "updateLoginFlow", 400, prove("000").Execute).Ui, 4000008)
	strong := accept(t, "updateLoginFlow", prove(totp(t, secret)).Execute)
	equal(t, strong.Session.Id, login.Session.Id)
	app.admitted(t, token, somebody.identity)

	// A browser that is told to go on elsewhere. The published schema nests this error once too often for the SDK.
	visitor := browser(t)
	first := accept(t, "createBrowserLoginFlow", visitor.CreateBrowserLoginFlow(ctx).Execute)
	_, response, err := logIn(visitor, first.Id, somebody.email, password, csrfToken(t, first.Ui)).Execute()
	equal(t, response.StatusCode, http.StatusUnprocessableEntity)
	var moved struct {
		To string `json:"redirect_browser_to"`
	}
	must(t, json.Unmarshal(err.(*kratos.GenericOpenAPIError).Body(), &moved))
	equal(t, strings.Contains(moved.To, "aal=aal2"), true)
	outcomes.refused("updateLoginFlow")
}

// totp is the code of this half minute (RFC 6238).
func totp(t *testing.T, secret string) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	must(t, err)
	mac := hmac.New(sha1.New, key)
	must(t, binary.Write(mac, binary.BigEndian, time.Now().Unix()/30))
	sum := mac.Sum(nil)
	start := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[start:start+4])&0x7fffffff%1000000)
}

func TestASessionTokenIsExchangedForTwoCodes(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	flow := accept(t, "createNativeLoginFlow",
		app.CreateNativeLoginFlow(ctx).ReturnSessionTokenExchangeCode(true).ReturnTo(kratosURL+"/done").Execute)
	code := flow.GetSessionTokenExchangeCode()
	exchange := func(init, returned string) kratos.FrontendAPIExchangeSessionTokenRequest {
		return app.ExchangeSessionToken(ctx).InitCode(init).ReturnToCode(returned)
	}
	refuse(t, "exchangeSessionToken", 404, "", exchange(code, "made-up").Execute)
	login := accept(t, "updateLoginFlow", logIn(app, flow.Id, somebody.email, password, "").Execute)
	if len(login.ContinueWith) == 0 {
		t.Skip("NOT TESTED: this Kratos gives the second code in redirects of social sign-in only")
	}
	back, err := url.Parse(login.ContinueWith[0].ContinueWithRedirectBrowserTo.RedirectBrowserTo)
	must(t, err)
	exchanged := accept(t, "exchangeSessionToken", exchange(code, back.Query().Get("code")).Execute)
	equal(t, exchanged.GetSessionToken(), login.GetSessionToken())
	equal(t, exchanged.Session.Identity.Id, somebody.identity)
	refuse(t, "exchangeSessionToken", 404, "", exchange(code, back.Query().Get("code")).Execute)
}
