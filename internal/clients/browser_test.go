package clients

import (
	"os/exec"
	"strings"
	"testing"
)

// TestBrowser has a person consent with a real browser, in each era: the SDK
// is asked to show the address, Chromium opens it and presses a button.
func TestBrowser(t *testing.T) {
	n := findNode(t)
	chromium := findChromium(t)
	program := build(t)
	for _, era := range []string{"legacy", "2026-07-28"} {
		t.Run(era, func(t *testing.T) {
			play(t, n, "browser.mjs", options{Command: program, Args: []string{"stdio", "--simulate"},
				Env: map[string]string{"HOME": t.TempDir()}, Era: era, Chromium: chromium})
		})
	}
}

// TestBrowserOverHTTP does the same with a server whose client has a token, and
// whose pages the browser, which has none, finds at the server's own address.
func TestBrowserOverHTTP(t *testing.T) {
	n := findNode(t)
	chromium := findChromium(t)
	program := build(t)
	for _, era := range []string{"legacy", "2026-07-28"} {
		t.Run(era, func(t *testing.T) {
			env := scratch(t)
			token := addClient(t, program, env)
			play(t, n, "browser.mjs", options{URL: serve(t, program, env, "--simulate") + "/mcp", Token: token, Era: era, Chromium: chromium})
		})
	}
}

func findChromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "there is no chromium on the PATH (Debian: apt-get install chromium)")
	}
	return path
}

// addClient lets a client in at the server of that environment, and returns
// its token.
func addClient(t *testing.T, program string, env map[string]string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "clients", "add", "agent")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("adding a client: %v", err)
	}
	return strings.TrimSpace(string(out))
}
