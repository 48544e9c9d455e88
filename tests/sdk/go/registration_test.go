// Registration, and the operations that belong to no flow.

package sdk

import (
	"strings"
	"testing"

	kratos "github.com/ory/kratos-client-go"
)

func TestNativeRegistrationSignsInAndMailsACode(t *testing.T) {
	counted(t)
	app, email := nativeApp(), newEmail()
	flow := accept(t, "createNativeRegistrationFlow", app.CreateNativeRegistrationFlow(ctx).Execute)
	equal(t, accept(t, "getRegistrationFlow", app.GetRegistrationFlow(ctx).Id(flow.Id).Execute).Type, "api")
	weak := refusedWith[kratos.RegistrationFlow](t, "updateRegistrationFlow", 400, register(app, flow.Id, email, "short", "").Execute)
	hasMessage(t, weak.Ui, 4000032)
	similar := refusedWith[kratos.RegistrationFlow](t, "updateRegistrationFlow", 400, register(app, flow.Id, email, email, "").Execute)
	hasMessage(t, similar.Ui, 4000031)

	result := accept(t, "updateRegistrationFlow", register(app, flow.Id, email, password, "").Execute)
	equal(t, result.Identity.Traits.(map[string]any)["email"].(string), email)
	equal(t, result.Identity.VerifiableAddresses[0].Value, email)
	equal(t, result.Identity.VerifiableAddresses[0].Verified, false)
	equal(t, result.Identity.RecoveryAddresses[0].Value, email)
	equal(t, result.Session.Identity.Id, result.Identity.Id)
	var verifies, tells bool
	for _, action := range result.ContinueWith {
		if next := action.ContinueWithVerificationUi; next != nil {
			verifies = true
			equal(t, next.Flow.VerifiableAddress, email)
			accept(t, "getVerificationFlow", app.GetVerificationFlow(ctx).Id(next.Flow.Id).Execute)
		}
		if next := action.ContinueWithSetOrySessionToken; next != nil {
			tells = true
			equal(t, next.OrySessionToken, result.GetSessionToken())
		}
	}
	equal(t, verifies && tells, true)
	app.admitted(t, result.GetSessionToken(), result.Identity.Id)
}

func TestRegistrationFlowsAreRefusedToWhoHasNoUseForThem(t *testing.T) {
	counted(t)
	somebody, app := signUp(t), nativeApp()
	refuse(t, "createNativeRegistrationFlow", 400, "self_service_flow_return_to_forbidden",
		app.CreateNativeRegistrationFlow(ctx).ReturnTo(elsewhere).Execute)
	refuse(t, "getRegistrationFlow", 404, "", app.GetRegistrationFlow(ctx).Id(unknownID).Execute)
	refuse(t, "updateRegistrationFlow", 404, "", register(app, unknownID, newEmail(), password, "").Execute)
	refuse(t, "createBrowserRegistrationFlow", 400, "session_already_available",
		signedInBrowser(t, somebody.email).CreateBrowserRegistrationFlow(ctx).Execute)

	flow := accept(t, "createNativeRegistrationFlow", app.CreateNativeRegistrationFlow(ctx).Execute)
	taken := refusedWith[kratos.RegistrationFlow](t, "updateRegistrationFlow", 400, register(app, flow.Id, somebody.email, password, "").Execute)
	hasMessage(t, taken.Ui, 4000007)
}

func TestBrowserRegistrationGivesACookie(t *testing.T) {
	counted(t)
	visitor, email := browser(t), newEmail()
	flow := accept(t, "createBrowserRegistrationFlow", visitor.CreateBrowserRegistrationFlow(ctx).Execute)
	accept(t, "getRegistrationFlow", visitor.GetRegistrationFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "getRegistrationFlow", 403, "security_csrf_violation", browser(t).GetRegistrationFlow(ctx).Id(flow.Id).Execute)
	refuse(t, "updateRegistrationFlow", 403, "security_csrf_violation",
		register(visitor, flow.Id, email, password, "made-up").Execute)
	csrf := csrfToken(t, flow.Ui)
	malformed := refusedWith[kratos.RegistrationFlow](t, "updateRegistrationFlow", 400, register(visitor, flow.Id, "no address", password, csrf).Execute)
	hasMessage(t, malformed.Ui, 4000040)
	result := accept(t, "updateRegistrationFlow", register(visitor, flow.Id, email, password, csrfToken(t, malformed.Ui)).Execute)
	equal(t, result.HasSessionToken(), false)
	visitor.admitted(t, "", result.Identity.Id)
}

func TestErrorsOfFlowsCanBeRead(t *testing.T) {
	counted(t)
	app := nativeApp()
	// An id that Kratos documents for those who build error pages.
	stub := accept(t, "getFlowError", app.GetFlowError(ctx).Id("stub:500").Execute)
	equal(t, stub.Error["code"].(float64), 500)
	refuse(t, "getFlowError", 404, "", app.GetFlowError(ctx).Id(unknownID).Execute)
}

func TestTheWebAuthnScriptIsServed(t *testing.T) {
	counted(t)
	script := accept(t, "getWebAuthnJavaScript", nativeApp().GetWebAuthnJavaScript(ctx).Execute)
	equal(t, strings.Contains(script, "oryWebAuthn"), true)
}
