// Recovery and verification, which need a mailbox to come to their end.

package sdk

import (
	"encoding/json"
	"net/http"
	"testing"

	kratos "github.com/ory/kratos-client-go"
)

func recoverBy(v visitor, flow, email, code, csrf string) kratos.FrontendAPIUpdateRecoveryFlowRequest {
	body := kratos.NewUpdateRecoveryFlowWithCodeMethod("code")
	body.Email, body.Code, body.CsrfToken = optional(email), optional(code), optional(csrf)
	return v.UpdateRecoveryFlow(ctx).Flow(flow).
		UpdateRecoveryFlowBody(kratos.UpdateRecoveryFlowWithCodeMethodAsUpdateRecoveryFlowBody(body))
}

func verify(v visitor, flow, email, code, csrf string) kratos.FrontendAPIUpdateVerificationFlowRequest {
	body := kratos.NewUpdateVerificationFlowWithCodeMethod("code")
	body.Email, body.Code, body.CsrfToken = optional(email), optional(code), optional(csrf)
	return v.UpdateVerificationFlow(ctx).Flow(flow).
		UpdateVerificationFlowBody(kratos.UpdateVerificationFlowWithCodeMethodAsUpdateVerificationFlowBody(body))
}

func TestNativeRecoveryLetsANewPasswordBeSet(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	refuse(t, "createNativeRecoveryFlow", 400, "session_already_available",
		signedInBrowser(t, somebody.email).CreateNativeRecoveryFlow(ctx).Execute)
	flow := accept(t, "createNativeRecoveryFlow", app.CreateNativeRecoveryFlow(ctx).Execute)
	accept(t, "getRecoveryFlow", app.GetRecoveryFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "getRecoveryFlow", 404, "", app.GetRecoveryFlow(ctx).Id(unknownID).Execute)
	refuse(t, "updateRecoveryFlow", 404, "", recoverBy(app, unknownID, somebody.email, "", "").Execute)
	hasMessage(t, refusedWith[kratos.RecoveryFlow](t, "updateRecoveryFlow", 400, recoverBy(app, flow.Id, "", "", "").Execute).Ui, 4000002)

	sent := accept(t, "updateRecoveryFlow", recoverBy(app, flow.Id, somebody.email, "", "").Execute)
	equal(t, sent.State.(string), "sent_email")
	hasMessage(t, sent.Ui, 1060003)
	// A wrong code is no error: the flow comes back and says so.
	hasMessage(t, accept(t, "updateRecoveryFlow", recoverBy(app, flow.Id, "", "000000", "").Execute).Ui, 4060006)

	recovered := accept(t, "updateRecoveryFlow", recoverBy(app, flow.Id, "", mailedCode(t, somebody.email), "").Execute)
	var token, settings string
	for _, action := range recovered.ContinueWith {
		if next := action.ContinueWithSetOrySessionToken; next != nil {
			token = next.OrySessionToken
		}
		if next := action.ContinueWithSettingsUi; next != nil {
			settings = next.Flow.Id
		}
	}
	app.admitted(t, token, somebody.identity)
	accept(t, "getSettingsFlow", app.GetSettingsFlow(ctx).Id(settings).XSessionToken(token).Execute)
	accept(t, "updateSettingsFlow", changePassword(app, settings, token, "battery-horse-correct").Execute)
	login := accept(t, "createNativeLoginFlow", app.CreateNativeLoginFlow(ctx).Execute)
	refusedWith[kratos.LoginFlow](t, "updateLoginFlow", 400, logIn(app, login.Id, somebody.email, password, "").Execute)
	accept(t, "updateLoginFlow", logIn(app, login.Id, somebody.email, "battery-horse-correct", "").Execute)
}

func TestBrowserRecoveryLeadsToTheSettings(t *testing.T) {
	counted(t)
	somebody, visitor := signUp(t), browser(t)
	refuse(t, "createBrowserRecoveryFlow", 400, "session_already_available",
		signedInBrowser(t, somebody.email).CreateBrowserRecoveryFlow(ctx).Execute)
	refuse(t, "createBrowserRecoveryFlow", 400, "self_service_flow_return_to_forbidden",
		visitor.CreateBrowserRecoveryFlow(ctx).ReturnTo(elsewhere).Execute)
	flow := accept(t, "createBrowserRecoveryFlow", visitor.CreateBrowserRecoveryFlow(ctx).Execute)
	accept(t, "getRecoveryFlow", visitor.GetRecoveryFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "getRecoveryFlow", 403, "security_csrf_violation", browser(t).GetRecoveryFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "updateRecoveryFlow", 403, "security_csrf_violation", recoverBy(visitor, flow.Id, somebody.email, "", "made-up").Execute)
	csrf := csrfToken(t, flow.Ui)
	accept(t, "updateRecoveryFlow", recoverBy(visitor, flow.Id, somebody.email, "", csrf).Execute)
	_, response, err := recoverBy(visitor, flow.Id, "", mailedCode(t, somebody.email), csrf).Execute()
	equal(t, response.StatusCode, http.StatusUnprocessableEntity)
	var moved struct {
		To string `json:"redirect_browser_to"`
	}
	must(t, json.Unmarshal(err.(*kratos.GenericOpenAPIError).Body(), &moved))
	outcomes.refused("updateRecoveryFlow")
	visitor.admitted(t, "", somebody.identity)
}

func TestVerificationMarksTheAddress(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	refuse(t, "createNativeVerificationFlow", 400, "self_service_flow_return_to_forbidden",
		app.CreateNativeVerificationFlow(ctx).ReturnTo(elsewhere).Execute)
	flow := accept(t, "createNativeVerificationFlow", app.CreateNativeVerificationFlow(ctx).Execute)
	accept(t, "getVerificationFlow", app.GetVerificationFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "getVerificationFlow", 404, "", app.GetVerificationFlow(ctx).Id(unknownID).Execute)
	refuse(t, "updateVerificationFlow", 404, "", verify(app, unknownID, somebody.email, "", "").Execute)
	hasMessage(t, refusedWith[kratos.VerificationFlow](t, "updateVerificationFlow", 400, verify(app, flow.Id, "", "", "").Execute).Ui, 4000002)

	sent := accept(t, "updateVerificationFlow", verify(app, flow.Id, somebody.email, "", "").Execute)
	equal(t, sent.State.(string), "sent_email")
	hasMessage(t, sent.Ui, 1080003)
	hasMessage(t, accept(t, "updateVerificationFlow", verify(app, flow.Id, "", "000000", "").Execute).Ui, 4070006)
	done := accept(t, "updateVerificationFlow", verify(app, flow.Id, "", mailedCode(t, somebody.email), "").Execute)
	equal(t, done.State.(string), "passed_challenge")
	hasMessage(t, done.Ui, 1080002)
	session := accept(t, "toSession", app.ToSession(ctx).XSessionToken(somebody.token).Execute)
	equal(t, session.Identity.VerifiableAddresses[0].Verified, true)
	equal(t, session.Identity.VerifiableAddresses[0].Status, "completed")
}

func TestBrowserVerificationIsBoundToItsBrowser(t *testing.T) {
	counted(t)
	somebody, visitor := signUp(t), browser(t)
	refuse(t, "createBrowserVerificationFlow", 400, "self_service_flow_return_to_forbidden",
		visitor.CreateBrowserVerificationFlow(ctx).ReturnTo(elsewhere).Execute)
	flow := accept(t, "createBrowserVerificationFlow", visitor.CreateBrowserVerificationFlow(ctx).Execute)
	refuse(t, "getVerificationFlow", 403, "security_csrf_violation", browser(t).GetVerificationFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "updateVerificationFlow", 403, "security_csrf_violation", verify(visitor, flow.Id, somebody.email, "", "made-up").Execute)
	csrf := csrfToken(t, flow.Ui)
	accept(t, "updateVerificationFlow", verify(visitor, flow.Id, somebody.email, "", csrf).Execute)
	done := accept(t, "updateVerificationFlow", verify(visitor, flow.Id, "", mailedCode(t, somebody.email), csrf).Execute)
	equal(t, done.State.(string), "passed_challenge")
}
