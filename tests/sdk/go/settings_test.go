// Settings, and the sessions of one identity.

package sdk

import (
	"testing"

	kratos "github.com/ory/kratos-client-go"
)

func changeProfile(v visitor, flow, token, email, first, csrf string) kratos.FrontendAPIUpdateSettingsFlowRequest {
	traits := map[string]any{"email": email, "name": map[string]any{"first": first}}
	body := kratos.NewUpdateSettingsFlowWithProfileMethod("profile", traits)
	body.CsrfToken = optional(csrf)
	return submitSettings(v, flow, token, kratos.UpdateSettingsFlowWithProfileMethodAsUpdateSettingsFlowBody(body))
}

func changePassword(v visitor, flow, token, password string) kratos.FrontendAPIUpdateSettingsFlowRequest {
	body := kratos.NewUpdateSettingsFlowWithPasswordMethod("password", password)
	return submitSettings(v, flow, token, kratos.UpdateSettingsFlowWithPasswordMethodAsUpdateSettingsFlowBody(body))
}

func submitSettings(v visitor, flow, token string, body kratos.UpdateSettingsFlowBody) kratos.FrontendAPIUpdateSettingsFlowRequest {
	request := v.UpdateSettingsFlow(ctx).Flow(flow).UpdateSettingsFlowBody(body)
	if token != "" {
		request = request.XSessionToken(token)
	}
	return request
}

func firstName(t *testing.T, identity kratos.Identity) string {
	t.Helper()
	return identity.Traits.(map[string]any)["name"].(map[string]any)["first"].(string)
}

func TestNativeSettingsChangeTheIdentity(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	refuse(t, "createNativeSettingsFlow", 401, "session_inactive", app.CreateNativeSettingsFlow(ctx).Execute)
	flow := accept(t, "createNativeSettingsFlow", app.CreateNativeSettingsFlow(ctx).XSessionToken(somebody.token).Execute)
	equal(t, flow.Identity.Id, somebody.identity)
	accept(t, "getSettingsFlow", app.GetSettingsFlow(ctx).Id(flow.Id).XSessionToken(somebody.token).Execute)
	refuse(t, "getSettingsFlow", 401, "", app.GetSettingsFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "getSettingsFlow", 404, "", app.GetSettingsFlow(ctx).Id(unknownID).XSessionToken(somebody.token).Execute)
	stranger := signUp(t)
	refuse(t, "getSettingsFlow", 403, "security_identity_mismatch",
		app.GetSettingsFlow(ctx).Id(flow.Id).XSessionToken(stranger.token).Execute)
	refuse(t, "updateSettingsFlow", 403, "security_identity_mismatch",
		changeProfile(app, flow.Id, stranger.token, stranger.email, "Eve", "").Execute)
	refuse(t, "updateSettingsFlow", 401, "", changeProfile(app, flow.Id, "", somebody.email, "Eve", "").Execute)

	weak := refusedWith[kratos.SettingsFlow](t, "updateSettingsFlow", 400, changePassword(app, flow.Id, somebody.token, "short").Execute)
	hasMessage(t, weak.Ui, 4000032)
	app.admitted(t, somebody.token, somebody.identity)
	saved := accept(t, "updateSettingsFlow", changeProfile(app, flow.Id, somebody.token, somebody.email, "Zoe", "").Execute)
	equal(t, saved.State.(string), "success")
	equal(t, firstName(t, saved.Identity), "Zoe")
	hasMessage(t, saved.Ui, 1050001)
	session := accept(t, "toSession", app.ToSession(ctx).XSessionToken(somebody.token).Execute)
	equal(t, firstName(t, *session.Identity), "Zoe")

	// The service hears of a new address at once, although the session was cached with the old one.
	address := newEmail()
	accept(t, "updateSettingsFlow", changeProfile(app, flow.Id, somebody.token, address, "Zoe", "").Execute)
	_, seen := app.knock(t, somebody.token)
	if told, configured := seen.Headers["x-user-email"]; configured {
		equal(t, told, address)
	}
}

func TestBrowserSettingsNeedACookieAndACSRFToken(t *testing.T) {
	counted(t)
	somebody := signUp(t)
	refuse(t, "createBrowserSettingsFlow", 401, "session_inactive", browser(t).CreateBrowserSettingsFlow(ctx).Execute)
	visitor := signedInBrowser(t, somebody.email)
	flow := accept(t, "createBrowserSettingsFlow", visitor.CreateBrowserSettingsFlow(ctx).Execute)
	accept(t, "getSettingsFlow", visitor.GetSettingsFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "updateSettingsFlow", 403, "security_csrf_violation",
		changeProfile(visitor, flow.Id, "", somebody.email, "Zoe", "made-up").Execute)
	saved := accept(t, "updateSettingsFlow",
		changeProfile(visitor, flow.Id, "", somebody.email, "Zoe", csrfToken(t, flow.Ui)).Execute)
	equal(t, firstName(t, saved.Identity), "Zoe")
	visitor.admitted(t, "", somebody.identity)
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	second, third := signInNatively(t, somebody.email), signInNatively(t, somebody.email)
	sessions := accept(t, "listMySessions", app.ListMySessions(ctx).XSessionToken(somebody.token).Execute)
	equal(t, len(sessions), 2)
	equal(t, sessions[0].Id, third.Session.Id)
	equal(t, len(sessions[0].Devices), 1)
	page, response, err := app.ListMySessions(ctx).XSessionToken(somebody.token).PerPage(1).Page(1).Execute()
	must(t, err)
	equal(t, page[0].Id, second.Session.Id)
	equal(t, response.Header.Get("X-Total-Count"), "2")
	refuse(t, "listMySessions", 401, "", app.ListMySessions(ctx).XSessionToken("ory_st_unknown").Execute)

	end := func(token, session string) kratos.FrontendAPIDisableMySessionRequest {
		return app.DisableMySession(ctx, session).XSessionToken(token)
	}
	for _, login := range []*kratos.SuccessfulNativeLogin{second, third} {
		app.admitted(t, login.GetSessionToken(), somebody.identity)
	}
	refuseEmpty(t, "disableMySession", 400, "", end(somebody.token, somebody.session).Execute)
	refuseEmpty(t, "disableMySession", 401, "", end("ory_st_unknown", second.Session.Id).Execute)
	stranger := signUp(t)
	acceptEmpty(t, "disableMySession", end(stranger.token, second.Session.Id).Execute)
	app.admitted(t, second.GetSessionToken(), somebody.identity)
	acceptEmpty(t, "disableMySession", end(somebody.token, second.Session.Id).Execute)
	app.turnedAway(t, second.GetSessionToken())
	app.admitted(t, third.GetSessionToken(), somebody.identity)

	refuse(t, "disableMyOtherSessions", 401, "", app.DisableMyOtherSessions(ctx).XSessionToken("ory_st_unknown").Execute)
	ended := accept(t, "disableMyOtherSessions", app.DisableMyOtherSessions(ctx).XSessionToken(somebody.token).Execute)
	equal(t, ended.GetCount(), 1)
	app.turnedAway(t, third.GetSessionToken())
	app.admitted(t, somebody.token, somebody.identity)
}
