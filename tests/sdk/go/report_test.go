// Which operations were called and what came of it, for the table of all clients.

package sdk

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"testing"
)

type outcome struct {
	Succeeded int `json:"succeeded"`
	Refused   int `json:"refused"`
	Failed    int `json:"failed"`
}

type report map[string]*outcome

var (
	outcomes = report{}
	tests    struct{ passed, failed int }
	skipped  = []string{}
)

func (r report) of(operation string) *outcome {
	if r[operation] == nil {
		r[operation] = &outcome{}
	}
	return r[operation]
}

func (r report) succeeded(operation string) { r.of(operation).Succeeded++ }
func (r report) refused(operation string)   { r.of(operation).Refused++ }
func (r report) failed(operation string)    { r.of(operation).Failed++ }

// counted makes a test appear in the report.
func counted(t *testing.T) {
	t.Cleanup(func() {
		switch {
		case t.Failed():
			tests.failed++
		case t.Skipped():
			skipped = append(skipped, t.Name())
		default:
			tests.passed++
		}
	})
}

func TestMain(m *testing.M) {
	code := m.Run()
	if path := os.Getenv("SDK_REPORT"); path != "" {
		if err := write(path); err != nil {
			fmt.Fprintln(os.Stderr, "the report could not be written:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func write(path string) error {
	modules, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	client := regexp.MustCompile(`github.com/ory/kratos-client-go \S+`).FindString(string(modules))
	text, err := json.MarshalIndent(map[string]any{
		"client":     client,
		"passed":     tests.passed,
		"failed":     tests.failed,
		"skipped":    skipped,
		"operations": outcomes,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
