package clients

import (
	"bytes"
	"encoding/json"
	"testing"
)

// options is what the scripts read.
type options struct {
	Command   string            `json:"command,omitempty"`
	Args      []string          `json:"args,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	URL       string            `json:"url,omitempty"`       // of a server that runs, in place of a command
	Transport string            `json:"transport,omitempty"` // http or sse
	Token     string            `json:"token,omitempty"`     // of a client of that server
	Banks     map[string]bank   `json:"banks,omitempty"`
	Era       string            `json:"era,omitempty"`
	Expose    string            `json:"expose,omitempty"`
	Egress    string            `json:"egress,omitempty"`
	Chromium  string            `json:"chromium,omitempty"`
}

// sdks are the versions of the TypeScript SDK, in each era that it speaks.
var sdks = []struct{ name, script, era string }{
	{"v1", "sdk-v1.mjs", ""},
	{"v2 legacy", "sdk-v2.mjs", "legacy"},
	{"v2 auto", "sdk-v2.mjs", "auto"},
	{"v2 pinned", "sdk-v2.mjs", "2026-07-28"},
}

// TestSDK plays every journey with each version of the TypeScript SDK, in
// each era of the protocol that it speaks: once with the simulator inside the
// server, once with one outside, where a person can consent; there accounts
// are read through the proxy beside the server. The exposures for programs are
// played once each.
func TestSDK(t *testing.T) {
	n := findNode(t)
	program := build(t)
	for _, expose := range []string{"token", "full"} {
		t.Run("v2 exposing "+expose, func(t *testing.T) {
			play(t, n, "sdk-v2.mjs", options{Command: program, Args: []string{"stdio", "--simulate", "--expose", expose},
				Env: map[string]string{"HOME": t.TempDir()}, Era: "auto", Expose: expose})
		})
	}
	for _, sdk := range sdks {
		t.Run(sdk.name+" simulated", func(t *testing.T) {
			play(t, n, sdk.script, options{Command: program, Args: []string{"stdio", "--simulate"},
				Env: map[string]string{"HOME": t.TempDir()}, Era: sdk.era})
		})
		t.Run(sdk.name+" with consent", func(t *testing.T) {
			s := simulate(t, program)
			play(t, n, sdk.script, options{Command: program, Args: []string{"stdio", "--egress"}, Env: s.env, Banks: s.banks, Era: sdk.era})
		})
	}
}

// TestSDKOverHTTP plays the same journeys over HTTP, with banks that a person
// can consent at.
func TestSDKOverHTTP(t *testing.T) {
	n := findNode(t)
	program := build(t)
	over := func(t *testing.T, script, transport, path, era string) {
		s := simulate(t, program)
		play(t, n, script, options{URL: serve(t, program, s.env, "--egress") + path, Transport: transport, Banks: s.banks, Era: era})
	}
	for _, sdk := range sdks {
		t.Run(sdk.name, func(t *testing.T) { over(t, sdk.script, "http", "/mcp", sdk.era) })
		if sdk.era == "2026-07-28" {
			continue // a client that insists has nothing to look for on a transport of 2024
		}
		t.Run(sdk.name+" sse", func(t *testing.T) { over(t, sdk.script, "sse", "/sse", sdk.era) })
	}
}

// play runs a script and reports its checks that failed.
func play(t *testing.T, n node, script string, o options) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	got := n.run(t, script, string(text))
	got.judge(t, script)
}

// judge reports the checks of a script that failed, and one that broke off.
func (a answer) judge(t *testing.T, script string) {
	t.Helper()
	ended, passed := false, 0
	for line := range bytes.Lines(a.stdout) {
		var check struct {
			Name   string `json:"name"`
			OK     bool   `json:"ok"`
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal(line, &check); err != nil {
			t.Errorf("reading %s: %v", line, err)
			continue
		}
		if !check.OK {
			t.Errorf("%s: %s", check.Name, check.Detail)
			continue
		}
		passed++
		ended = check.Name == "end"
	}
	if !ended {
		t.Errorf("%s did not come to its end", script)
	}
	t.Logf("%d checks passed", passed)
	if len(a.stderr) > 0 {
		t.Errorf("stderr is not quiet:\n%s", a.stderr)
	}
}
