// What the tests of this suite share: where the server is, who visits it, and what an operation has to answer.

package sdk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"
	"time"

	kratos "github.com/ory/kratos-client-go"
)

const (
	password = "correct-horse-battery"
	// Well formed, and nobody's.
	unknownID = "00000000-0000-4000-8000-000000000000"
	elsewhere = "https://elsewhere.example/"
)

var (
	ctx          = context.Background()
	kratosURL    = strings.TrimSuffix(variable("KRATOS_URL", "http://127.0.0.1:4455"), "/")
	protectedURL = variable("PROTECTED_URL", kratosURL+"/private")
	mailboxURL   = os.Getenv("MAILBOX_URL")
)

func variable(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// visitor is one client. A browser keeps cookies, a native app does not.
type visitor struct {
	kratos.FrontendAPI
	http *http.Client
}

func newVisitor(jar http.CookieJar) visitor {
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	configuration := kratos.NewConfiguration()
	configuration.Servers = kratos.ServerConfigurations{{URL: kratosURL}}
	configuration.HTTPClient = client
	return visitor{kratos.NewAPIClient(configuration).FrontendAPI, client}
}

func nativeApp() visitor { return newVisitor(nil) }

func browser(t *testing.T) visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return newVisitor(jar)
}

// accept demands success, decoded into the type that the SDK promises.
func accept[T any](t *testing.T, operation string, execute func() (T, *http.Response, error)) T {
	t.Helper()
	value, response, err := execute()
	if err != nil {
		outcomes.failed(operation)
		t.Fatalf("%s: %v (%s)", operation, err, describe(response, err))
	}
	outcomes.succeeded(operation)
	return value
}

// acceptEmpty is accept for the operations that answer 204.
func acceptEmpty(t *testing.T, operation string, execute func() (*http.Response, error)) {
	t.Helper()
	response := accept(t, operation, func() (*http.Response, *http.Response, error) {
		response, err := execute()
		return response, response, err
	})
	equal(t, response.StatusCode, http.StatusNoContent)
}

// refuse demands Kratos' error of that status and id; an empty id means that the error must have none.
func refuse[T any](t *testing.T, operation string, status int64, id string, execute func() (T, *http.Response, error)) kratos.GenericError {
	t.Helper()
	refusal := refusedWith[kratos.ErrorGeneric](t, operation, int(status), execute)
	equal(t, refusal.Error.GetCode(), status)
	equal(t, refusal.Error.GetId(), id)
	if refusal.Error.Message == "" {
		t.Fatalf("%s: the error has no message", operation)
	}
	return refusal.Error
}

// refuseEmpty is refuse for the operations without a result.
func refuseEmpty(t *testing.T, operation string, status int64, id string, execute func() (*http.Response, error)) {
	t.Helper()
	refuse(t, operation, status, id, func() (any, *http.Response, error) {
		response, err := execute()
		return nil, response, err
	})
}

// refusedWith demands that status, with a body that the SDK decodes into an E: an error, or the flow with messages.
func refusedWith[E, T any](t *testing.T, operation string, status int, execute func() (T, *http.Response, error)) E {
	t.Helper()
	_, response, err := execute()
	var failure *kratos.GenericOpenAPIError
	if !errors.As(err, &failure) || response == nil || response.StatusCode != status {
		outcomes.failed(operation)
		t.Fatalf("%s: expected a refusal with %d, got %v (%s)", operation, status, err, describe(response, err))
	}
	model, typed := failure.Model().(E)
	if !typed {
		outcomes.failed(operation)
		t.Fatalf("%s: the refusal was not decoded: %v (%s)", operation, err, failure.Body())
	}
	outcomes.refused(operation)
	return model
}

func describe(response *http.Response, err error) string {
	if response == nil {
		return "no response"
	}
	var failure *kratos.GenericOpenAPIError
	if errors.As(err, &failure) {
		return response.Status + " " + string(failure.Body())
	}
	return response.Status
}

// sighting is what the service behind the gateway saw of a request.
type sighting struct {
	Identity *string           `json:"identity"`
	Headers  map[string]string `json:"headers"`
}

// knock calls the protected path, and returns the status and what the service saw.
func (v visitor) knock(t *testing.T, token string) (int, sighting) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, protectedURL, nil)
	must(t, err)
	request.Header.Set("Accept", "application/json")
	if token != "" {
		request.Header.Set("X-Session-Token", token)
	}
	response, err := v.http.Do(request)
	must(t, err)
	defer response.Body.Close()
	var seen sighting
	if response.StatusCode == http.StatusOK {
		must(t, json.NewDecoder(response.Body).Decode(&seen))
	}
	return response.StatusCode, seen
}

// admitted demands that the service sees that identity, twice: the second time from the gateway's cache.
func (v visitor) admitted(t *testing.T, token, identity string) {
	t.Helper()
	for range 2 {
		status, seen := v.knock(t, token)
		equal(t, status, http.StatusOK)
		if seen.Identity == nil || *seen.Identity != identity {
			t.Fatalf("the service should have seen %s, it saw %v", identity, seen.Headers)
		}
		equal(t, seen.Headers["x-kratos-authenticated-identity-id"], identity)
	}
}

// turnedAway demands that the credential is worth nothing, cached or not.
func (v visitor) turnedAway(t *testing.T, token string) {
	t.Helper()
	status, _ := v.knock(t, token)
	equal(t, status, http.StatusUnauthorized)
}

func newEmail() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random)
	return "go-" + hex.EncodeToString(random) + "@example.com"
}

// account is somebody new, signed up by a native app.
type account struct {
	email, identity, token, session string
}

func signUp(t *testing.T) account {
	t.Helper()
	app := nativeApp()
	flow := accept(t, "createNativeRegistrationFlow", app.CreateNativeRegistrationFlow(ctx).Execute)
	email := newEmail()
	result := accept(t, "updateRegistrationFlow", register(app, flow.Id, email, password, "").Execute)
	return account{email, result.Identity.Id, result.GetSessionToken(), result.Session.Id}
}

func register(v visitor, flow, email, password, csrf string) kratos.FrontendAPIUpdateRegistrationFlowRequest {
	traits := map[string]any{"email": email, "name": map[string]any{"first": "Ann"}}
	body := kratos.NewUpdateRegistrationFlowWithPasswordMethod("password", password, traits)
	body.CsrfToken = optional(csrf)
	return v.UpdateRegistrationFlow(ctx).Flow(flow).
		UpdateRegistrationFlowBody(kratos.UpdateRegistrationFlowWithPasswordMethodAsUpdateRegistrationFlowBody(body))
}

func logIn(v visitor, flow, email, password, csrf string) kratos.FrontendAPIUpdateLoginFlowRequest {
	body := kratos.NewUpdateLoginFlowWithPasswordMethod(email, "password", password)
	body.CsrfToken = optional(csrf)
	return v.UpdateLoginFlow(ctx).Flow(flow).
		UpdateLoginFlowBody(kratos.UpdateLoginFlowWithPasswordMethodAsUpdateLoginFlowBody(body))
}

// signInNatively opens one more session.
func signInNatively(t *testing.T, email string) *kratos.SuccessfulNativeLogin {
	t.Helper()
	app := nativeApp()
	flow := accept(t, "createNativeLoginFlow", app.CreateNativeLoginFlow(ctx).Execute)
	return accept(t, "updateLoginFlow", logIn(app, flow.Id, email, password, "").Execute)
}

// signedInBrowser is a browser with a session cookie.
func signedInBrowser(t *testing.T, email string) visitor {
	t.Helper()
	visitor := browser(t)
	flow := accept(t, "createBrowserLoginFlow", visitor.CreateBrowserLoginFlow(ctx).Execute)
	accept(t, "updateLoginFlow", logIn(visitor, flow.Id, email, password, csrfToken(t, flow.Ui)).Execute)
	return visitor
}

// csrfToken reads the token from the node that every flow has.
func csrfToken(t *testing.T, ui kratos.UiContainer) string {
	t.Helper()
	for _, node := range ui.Nodes {
		if input := node.Attributes.UiNodeInputAttributes; input != nil && input.Name == "csrf_token" {
			if token, isText := input.Value.(string); isText && token != "" {
				return token
			}
		}
	}
	t.Fatal("the flow has no csrf_token")
	return ""
}

// hasMessage demands a message of that id, above the form or at a node.
func hasMessage(t *testing.T, ui kratos.UiContainer, id int64) {
	t.Helper()
	found := ui.Messages
	for _, node := range ui.Nodes {
		found = append(found, node.Messages...)
	}
	for _, message := range found {
		if message.Id == id {
			return
		}
	}
	t.Fatalf("no message %d among %v", id, found)
}

// mailedCode is the newest code that went to that address. Without a mailbox the test cannot go on.
func mailedCode(t *testing.T, address string) string {
	t.Helper()
	if mailboxURL == "" {
		t.Skip("NOT TESTED: codes cannot be read without MAILBOX_URL")
	}
	response, err := http.Get(mailboxURL)
	must(t, err)
	defer response.Body.Close()
	var mails []struct{ To, Code string }
	must(t, json.NewDecoder(response.Body).Decode(&mails))
	for index := len(mails) - 1; index >= 0; index-- {
		if mails[index].To == address && mails[index].Code != "" {
			return mails[index].Code
		}
	}
	t.Fatalf("no mail with a code went to %s", address)
	return ""
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, got, expected T) {
	t.Helper()
	if got != expected {
		t.Fatalf("expected %v, got %v", expected, got)
	}
}
