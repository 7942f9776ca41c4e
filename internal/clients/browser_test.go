package clients

import (
	"os/exec"
	"testing"
)

// TestBrowser has a person consent with a real browser, in each era: the SDK
// is asked to show the address, Chromium opens it and presses a button.
func TestBrowser(t *testing.T) {
	n := findNode(t)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "there is no chromium on the PATH (Debian: apt-get install chromium)")
	}
	program := build(t)
	for _, era := range []string{"legacy", "2026-07-28"} {
		t.Run(era, func(t *testing.T) {
			play(t, n, "browser.mjs", options{Command: program, Args: []string{"stdio", "--simulate"},
				Env: map[string]string{"HOME": t.TempDir()}, Era: era, Chromium: chromium})
		})
	}
}
