package main

import (
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

	"bankauth/internal/simulator"
)

const callFlinks = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"flinks","grant_type":"client_credentials"}}}`

// simulation is banks in the test's own process, and the environment of a
// bankauth that finds them and keeps a vault of its own.
func simulation(t *testing.T) (*simulator.Bank, []string) {
	t.Helper()
	s, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Bank(simulator.NameFlinks), append(variables(s), "BANKAUTH_DATA_DIR="+filepath.Join(t.TempDir(), "vault"))
}

// shell runs bankauth and returns what it wrote to stdout.
func shell(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("bankauth", args...)
	cmd.Env = outside(t, env)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bankauth %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func ref(t *testing.T, result string) string {
	t.Helper()
	var v struct {
		TokenRef string `json:"token_ref"`
	}
	if err := json.Unmarshal([]byte(result), &v); err != nil || v.TokenRef == "" {
		t.Fatalf("no token_ref in %s", result)
	}
	return v.TokenRef
}

// What a running server has stored, the command line uses, and asks nobody.
func TestTwoProcessesShareAVault(t *testing.T) {
	bank, env := simulation(t)
	s := start(t, env, "stdio")
	s.say(t, callFlinks)
	var answer struct {
		Result struct{ StructuredContent json.RawMessage }
	}
	if err := json.Unmarshal([]byte(s.hear(t)), &answer); err != nil {
		t.Fatal(err)
	}
	first := ref(t, string(answer.Result.StructuredContent))
	second := shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=client_credentials")
	if ref(t, second) != first || !strings.Contains(second, `"reused":true`) {
		t.Errorf("got %s, want %s again", second, first)
	}
	if n := bank.Truth().Posts["/api/v1/token"]; n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	shown := shell(t, env, "tokens", "show", first)
	if !strings.Contains(shown, "live") || !strings.Contains(shown, "flinks") {
		t.Errorf("got %s", shown)
	}
	s.end(t)
}

// A server that is told to stop answers the call that is under way, and what
// it answered is in the vault.
func TestSignalDrains(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of Unix, which this system has not")
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		bank, env := simulation(t)
		bank.SetDelay(0, 300*time.Millisecond)
		s := start(t, env, "stdio")
		s.say(t, callFlinks)
		for deadline := time.Now().Add(patience); bank.Truth().Requests == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the call did not reach the provider")
			}
		}
		if err := s.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		answer := s.wait(t)
		if !strings.Contains(answer, `"token_ref":"tok_`) {
			t.Errorf("%v: got %q, want the answer of the call", signal, answer)
		}
		if listed := shell(t, env, "tokens", "list", "--json"); !strings.Contains(listed, `"state": "live"`) {
			t.Errorf("%v: the vault holds %s", signal, listed)
		}
	}
}

// The simulator as a server of its own tells bankauth where it is, and ends
// well when it is told to.
func TestSimulate(t *testing.T) {
	s := start(t, nil, "simulate", "--flinks-access-lifetime=15m")
	var env []string
	for range 10 {
		env = append(env, s.hear(t))
	}
	env = append(env, "BANKAUTH_DATA_DIR="+filepath.Join(t.TempDir(), "vault"))
	for _, provider := range []string{"fintecture", "flinks", "finapi"} {
		ref(t, shell(t, env, "call", "create_access_token", "provider="+provider, "grant_type=client_credentials"))
	}
	if listed := shell(t, env, "tokens", "list"); !strings.Contains(listed, "in 14m") && !strings.Contains(listed, "in 15m0s") {
		t.Errorf("the switch was not heard: %s", listed)
	}
	if said := shell(t, env, "doctor"); !strings.Contains(said, "can be reached at http://127.0.0.1:") {
		t.Errorf("got %s", said)
	}
	if runtime.GOOS == "windows" {
		return // no signal ends it well there
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if rest := s.wait(t); rest != "" {
		t.Errorf("it went on: %s", rest)
	}
}

// A client that reads no more ends the server, which is not killed amid its
// calls: what it had stored by then stays.
func TestClientGone(t *testing.T) {
	_, env := simulation(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bankauth", "stdio")
	cmd.Env = outside(t, env)
	cmd.Stdout = w
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Close(), r.Close()
	if _, err := io.WriteString(in, callFlinks+"\n"); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("the server ended with %v, want exit %d", cmd.ProcessState, exitFailed)
	}
	if listed := shell(t, env, "tokens", "list", "--json"); !strings.Contains(listed, `"state": "live"`) {
		t.Errorf("the vault holds %s", listed)
	}
}

// TestNobodyReads: a reader of the output that has had enough, as head has, is
// no error of ours.
func TestNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, args := range [][]string{{"version", "--json"}, {"simulate"}, {"config", "claude-code"}, {"capability", "export"}} {
		var said strings.Builder
		cmd := exec.Command("bankauth", args...)
		cmd.Env = outside(t, nil)
		cmd.Stdout, cmd.Stderr = w, &said
		if err := cmd.Run(); err == nil || strings.Contains(said.String(), "went wrong") {
			t.Errorf("%s: %v, and it said %q", args, err, said.String())
		}
	}
}
