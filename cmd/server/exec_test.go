package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bankauth/tools"
)

// ran is what a command left behind.
type ran struct {
	out, err string
	code     int
}

// tryShell runs bankauth to its end, however it ends.
func tryShell(t *testing.T, env []string, args ...string) ran {
	t.Helper()
	cmd := exec.Command("bankauth", args...)
	cmd.Env = outside(t, env)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the code says it
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

func clientToken(t *testing.T, env []string) string {
	t.Helper()
	return ref(t, shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=client_credentials"))
}

func needsShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("it is about a Unix shell")
	}
}

// The command gets a live token and nothing that opens more; what it prints
// and how it ends is all that is seen.
func TestExec(t *testing.T) {
	needsShell(t)
	bank, env := simulation(t)
	handle := clientToken(t, env)
	env = append(env, "OTHER_CLIENT_SECRET=canary1", "FINAPI_CLIENT_SECRET_FILE=canary2", "FINTECTURE_PRIVATE_KEY=canary3", "FINTECTURE_PRIVATE_KEY_FILE=canary8", "KEPT= two  words ", "BANKAUTH_ACCESS_TOKEN=canary4", "BANKAUTH_VAULT_KEY=",
		"BANKAUTH_VAULT_NEW_KEY=canary5", "BANKAUTH_VAULT_NEW_KEY_FILE=canary6", "CREDENTIALS_DIRECTORY=/canary7")
	got := tryShell(t, env, "exec", handle, "--", "sh", "-c", "env; echo to-stderr >&2; exit 7")
	lines := strings.Split(got.out, "\n")
	tokens := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "BANKAUTH_ACCESS_TOKEN=") })
	if len(tokens) != 1 || !bank.Alive(strings.TrimPrefix(tokens[0], "BANKAUTH_ACCESS_TOKEN=")) {
		t.Errorf("one live token was expected, got %d variables", len(tokens))
	}
	if got.code != 7 || got.err != "to-stderr\n" {
		t.Errorf("got %d and %q", got.code, got.err)
	}
	if !slices.Contains(lines, "KEPT= two  words ") || !strings.Contains(got.out, "FLINKS_CLIENT_ID=") {
		t.Error("what is no secret is handed on as it is")
	}
	for _, gone := range []string{"CLIENT_SECRET", "PRIVATE_KEY", "VAULT_KEY", "VAULT_NEW_KEY", "CREDENTIALS", "canary"} {
		if strings.Contains(got.out, gone) {
			t.Errorf("%s was handed on", gone)
		}
	}
	named := tryShell(t, env, "exec", "--env", "TOKEN", handle, "--", "sh", "-c", `test -n "$TOKEN" && echo "$BANKAUTH_ACCESS_TOKEN"`)
	if named.code != 0 || named.out != "canary4\n" {
		t.Errorf("--env: got %+v", named)
	}
}

// A token that lives shorter than is wanted is refreshed first; flags of the
// command are its own.
func TestExecRefreshes(t *testing.T) {
	needsShell(t)
	bank, env := simulation(t)
	handle := clientToken(t, env)
	for _, tt := range []struct {
		args []string
		more int64
	}{
		{[]string{"exec", handle, "--", "true"}, 0},
		{[]string{"exec", "--min-ttl=1h", handle, "--", "true"}, 1},
		{[]string{"exec", handle, "--", "sh", "-c", `test "$1" = --min-ttl=1h`, "sh", "--min-ttl=1h"}, 0},
	} {
		before := bank.Truth().Posts["/api/v1/token"]
		got := tryShell(t, env, tt.args...)
		if more := bank.Truth().Posts["/api/v1/token"] - before; got.code != 0 || got.out+got.err != "" || more != tt.more {
			t.Errorf("%q: %+v, %d requests, want %d", tt.args[1:], got, more, tt.more)
		}
	}
}

// A token out of a backup is handed to nobody before the operator's word, by no
// command.
func TestASuspectTokenIsNotHandedOut(t *testing.T) {
	needsShell(t)
	bank, env := simulation(t)
	code, err := bank.Code(t.Context(), "https://app.example/callback", "")
	if err != nil {
		t.Fatal(err)
	}
	handle := ref(t, shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=authorization_code", "code="+code, "redirect_uri=https://app.example/callback"))
	backup := filepath.Join(t.TempDir(), "backup")
	shell(t, env, "vault", "backup", backup)
	shell(t, env, "tokens", "revoke", handle)
	shell(t, env, "vault", "restore", backup)
	using := map[string][]string{
		"exec":                  {"exec", handle, "--", "true"},
		"reveal":                {"tokens", "reveal", "--yes", handle},
		"reveal, refresh token": {"tokens", "reveal", "--yes", "--refresh-token", handle},
	}
	before := bank.Truth().Requests
	for name, args := range using {
		if got := tryShell(t, env, args...); got.code != 1 || got.out != "" || !strings.Contains(got.err, "bankauth vault accept "+handle) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if n := bank.Truth().Requests; n != before {
		t.Errorf("%d requests reached the bank", n-before)
	}
	_, url, stop := startEgress(t, env)
	resp := through(t, url+"/flinks/api/v1/accounts", handle)
	stop()
	if resp == http.StatusOK || bank.Truth().Requests != before {
		t.Errorf("through the proxy: %d", resp)
	}
	shell(t, env, "vault", "accept", handle)
	for name, args := range using {
		if got := tryShell(t, env, args...); got.code != 0 {
			t.Errorf("%s, after the word: %+v", name, got)
		}
	}
}

func through(t *testing.T, url, handle string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+handle)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Signals reach the command, and SIGPIPE is to it what it is to any other.
func TestExecSignals(t *testing.T) {
	needsShell(t)
	_, env := simulation(t)
	handle := clientToken(t, env)
	for sent, code := range map[syscall.Signal]int{syscall.SIGTERM: 40, syscall.SIGINT: 41, syscall.SIGHUP: 42} {
		if signal.Ignored(sent) {
			t.Logf("%v is ignored here (nohup, or a job in the background), and no shell traps it then", sent)
			continue
		}
		cmd := exec.Command("bankauth", "exec", handle, "--", "sh", "-c",
			"trap 'exit 40' TERM; trap 'exit 41' INT; trap 'exit 42' HUP; echo ready; while :; do sleep 0.05; done")
		cmd.Env = outside(t, env)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		if err := cmd.Process.Signal(sent); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the code says it
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: got %d, want %d", sent, got, code)
		}
	}
	got := tryShell(t, env, "exec", handle, "--", "sh", "-c", "kill -PIPE $$; echo alive")
	if got.out != "" {
		t.Error("the command ignores SIGPIPE")
	}
}

func TestExecCannotRun(t *testing.T) {
	needsShell(t)
	bank, env := simulation(t)
	handle := clientToken(t, env)
	before := bank.Truth().Requests
	for command, code := range map[string]int{"no-such-command": exitNotFound, "/": exitNotRun, "/no/such": exitNotFound} {
		if got := tryShell(t, env, "exec", "--min-ttl=1h", handle, "--", command); got.code != code || got.out != "" || got.err == "" {
			t.Errorf("%s: got %+v, want %d", command, got, code)
		}
	}
	if bank.Truth().Requests != before {
		t.Error("a token was fetched for nobody")
	}
}

// The token itself is printed only with a word, and the refresh token only by name.
func TestReveal(t *testing.T) {
	bank, env := simulation(t)
	code, err := bank.Code(t.Context(), "https://app.example/callback", "")
	if err != nil {
		t.Fatal(err)
	}
	handle := ref(t, shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=authorization_code", "code="+code, "redirect_uri=https://app.example/callback"))
	if got := tryShell(t, env, "tokens", "reveal", handle); got.code != exitMisused || got.out != "" {
		t.Errorf("into a pipe: got %d", got.code)
	}
	access := strings.TrimSpace(shell(t, env, "tokens", "reveal", "--yes", handle))
	refresh := strings.TrimSpace(shell(t, env, "tokens", "reveal", "--yes", "--refresh-token", handle))
	if access == refresh || !bank.Alive(access) || !bank.Alive(refresh) {
		t.Error("two live tokens were expected")
	}
	if _, known := bank.Truth().Refresh(refresh); !known {
		t.Error("it is no refresh token")
	}
	if got := tryShell(t, env, "tokens", "reveal", "--yes", "--refresh-token", clientToken(t, env)); got.code == 0 || got.out != "" {
		t.Errorf("without a refresh token: got %d", got.code)
	}
}

func TestTokensRevoke(t *testing.T) {
	bank, env := simulation(t)
	code, err := bank.Code(t.Context(), "https://app.example/callback", "")
	if err != nil {
		t.Fatal(err)
	}
	handle := ref(t, shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=authorization_code", "code="+code, "redirect_uri=https://app.example/callback"))
	access := strings.TrimSpace(shell(t, env, "tokens", "reveal", "--yes", handle))
	var said tools.Revocation
	if err := json.Unmarshal([]byte(shell(t, env, "tokens", "revoke", "--json", handle)), &said); err != nil || said.Outcome != tools.Revoked || bank.Alive(access) {
		t.Errorf("got %+v, %v", said, err)
	}
	if got := shell(t, env, "tokens", "revoke", clientToken(t, env)); !strings.Contains(got, "has no way to end such a token") {
		t.Errorf("got %q", got)
	}
	if listed := shell(t, env, "tokens", "list", "--json"); strings.TrimSpace(listed) != "[]" {
		t.Errorf("the vault still holds %s", listed)
	}
}
