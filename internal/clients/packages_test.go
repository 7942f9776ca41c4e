package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mcpb = "node_modules/@anthropic-ai/mcpb/dist/cli/cli.js"

// must runs a program to its end and returns what it writes to stdout.
func must(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, errs.Bytes())
	}
	return out
}

// talks starts a server and has it list its tools. The server gets env and
// nothing else but the PATH and a home folder of its own.
func talks(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"finapi","grant_type":"client_credentials"}}}
`)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, errs.Bytes())
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != 2 || !bytes.Contains(lines[0], []byte(`"name":"bankauth"`)) || !bytes.Contains(lines[1], []byte("not_configured")) {
		t.Errorf("%s %q said %s", name, args, out)
	}
}

// TestNPM packs the wrapper and the package with the binary, installs both
// without a network, and runs what was installed.
func TestNPM(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "there is no npm on the PATH")
	}
	dir, home := packed(t), t.TempDir()
	var archives []string
	folders, err := filepath.Glob(filepath.Join(dir, "npm", "*"))
	if err != nil || len(folders) != 2 {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, folder := range folders {
		var made []struct{ Filename string }
		if err := json.Unmarshal(must(t, home, npm, "pack", "--json", folder), &made); err != nil || len(made) != 1 {
			t.Fatalf("npm pack %s: %v", folder, err)
		}
		archives = append(archives, filepath.Join(home, made[0].Filename))
	}
	install := append([]string{"install", "--offline", "--no-audit", "--no-fund", "--cache", filepath.Join(home, "cache")}, archives...)
	must(t, home, npm, install...)
	installed := filepath.Join(home, "node_modules", ".bin", "bankauth")
	if said := must(t, home, installed, "version", "--json"); !bytes.Contains(said, []byte(`"os":"`+runtime.GOOS)) {
		t.Errorf("it said %s", said)
	}
	talks(t, nil, installed, "stdio")
	forwards(t, installed)

	// Without the binary it says so, and nothing on stdout.
	binary, err := filepath.Glob(filepath.Join(home, "node_modules", "@*", "bankauth-*"))
	if err != nil || len(binary) != 1 || os.RemoveAll(binary[0]) != nil {
		t.Fatalf("%v, %v", binary, err)
	}
	cmd := exec.Command(installed, "stdio")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err == nil || out.Len() > 0 || !strings.Contains(errs.String(), "is not installed") {
		t.Errorf("%v, %s, %s", err, out.Bytes(), errs.Bytes())
	}
}

// forwards ends the launcher with a signal, which must end the server too.
func forwards(t *testing.T, program string) {
	t.Helper()
	cmd := exec.Command(program, "simulate")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it is up
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // until nobody holds stdout any more, the server included
		_, _ = io.Copy(io.Discard, out)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the server outlives its launcher")
	}
	_ = cmd.Wait()
}

// TestBundle has Claude Desktop's own tool check, pack and unpack the bundle,
// and starts what comes out as Claude Desktop would for somebody who has
// answered nothing.
func TestBundle(t *testing.T) {
	n := findNode(t)
	dir := t.TempDir()
	folder, bundle, out := filepath.Join(packed(t), "mcpb"), filepath.Join(dir, "bankauth.mcpb"), filepath.Join(dir, "unpacked")
	for _, args := range [][]string{{"validate", filepath.Join(folder, "manifest.json")}, {"pack", folder, bundle}, {"unpack", bundle, out}} {
		if got := n.run(t, mcpb, args...); got.code != 0 {
			t.Fatalf("mcpb %q exits with %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
	body, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Server struct {
			Config struct {
				Command string
				Args    []string
				Env     map[string]string
			} `json:"mcp_config"`
		}
	}
	if err := json.Unmarshal(body, &manifest); err != nil {
		t.Fatal(err)
	}
	start := manifest.Server.Config
	for i := range start.Args {
		start.Args[i] = strings.ReplaceAll(start.Args[i], "${__dirname}", out)
	}
	var env []string
	for variable, value := range start.Env {
		env = append(env, variable+"="+value) // the reference as it stands
	}
	programs, err := filepath.Glob(filepath.Join(out, "server", "bankauth-*"))
	if err != nil || len(programs) != 1 || os.Chmod(programs[0], 0o644) != nil {
		t.Fatalf("%v, %v", programs, err)
	}
	talks(t, env, start.Command, start.Args...)
}

// TestPrettier: Docker's catalogue takes no entry that prettier would write
// otherwise.
func TestPrettier(t *testing.T) {
	n := findNode(t)
	if got := n.run(t, "node_modules/prettier/bin/prettier.cjs", "--check", "--no-config", "--no-editorconfig", "../../../packaging/docker/server.yaml"); got.code != 0 {
		t.Errorf("prettier exits with %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// TestSBOM has the release binary's bill of materials made and checked.
func TestSBOM(t *testing.T) {
	n := findNode(t)
	if _, err := exec.LookPath("cyclonedx-gomod"); err != nil {
		missing(t, "there is no cyclonedx-gomod on the PATH: go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0")
	}
	programs, err := filepath.Glob(filepath.Join(packed(t), "bin", "*", "bankauth"))
	if err != nil || len(programs) != 1 {
		t.Fatalf("%v, %v", programs, err)
	}
	document := filepath.Join(t.TempDir(), "bankauth.cdx.json")
	bill := must(t, filepath.Join("..", ".."), "go", "run", "./internal/pack", "-sbom", programs[0])
	if err := os.WriteFile(document, bill, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := n.run(t, "sbom.mjs", document); got.code != 0 || !strings.Contains(string(got.stdout), "valid") {
		t.Errorf("the validator exits with %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range []string{"pkg:golang/modernc.org/sqlite@v", "pkg:golang/github.com/alecthomas/kong@v"} {
		if !bytes.Contains(bill, []byte(want)) {
			t.Errorf("the bill does not list %s", want)
		}
	}
	if bytes.Contains(bill, []byte("build/release")) {
		t.Error("the bill names a folder")
	}
}
