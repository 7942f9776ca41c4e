package main

import (
	"encoding/base64"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mistyped are command lines with a secret in the wrong place; % is the
// secret.
var mistyped = []string{
	"%", "% stdio", "stdio %", "stdio --client-secret=%", "stdio --client-secret %", "stdio --finapi-client-secret=%", "stdio --vault-key=%", "stdio -%", "stdio --%", "stdio --%=1",
	"stdio --expose=%", "stdio --expose %", "stdio --log-level=%", "stdio --log-format=%", "stdio --providers=%", "stdio --simulate=%", "--client-secret=%", "-p %", "--vault-key=% stdio",
	"call", "call %", "call % provider=finapi", "call create_access_token %", "call create_access_token =%", "call create_access_token %=", "call create_access_token %==", "call create_access_token %=x",
	"call create_access_token provider=finapi grant_type=client_credentials %=", "call create_user provider=finapi %==", "call refresh_token token_ref=tok_a %=", "call create_access_token provider=finapi %=x",
	"call create_access_token provider=%", "call create_access_token provider=finapi grant_type=%", "call create_access_token provider=finapi grant_type=password username=ada password=%",
	"call create_access_token provider=finapi grant_type=client_credentials client_secret=%", "call create_access_token provider=finapi grant_type=client_credentials client_id=% client_secret=%",
	"call create_access_token provider=finapi grant_type=client_credentials force=%", "call create_access_token provider=finapi provider=%", "call create_access_token provider=@%", "call create_access_token --%",
	"call create_access_token --client-secret=%", "call create_access_token provider=finapi --client-secret %", "call refresh_token token_ref=%", "call refresh_token %", "call refresh_token refresh_token=%",
	"call refresh_token token_ref=% force=true", "call create_user provider=finapi password=%", "call create_user provider=finapi isAutoUpdateEnabled=%", "call create_user provider=finapi id=%%%%",
	"call --explain create_access_token provider=finapi grant_type=password username=ada password=%", "call --explain create_access_token provider=finapi grant_type=client_credentials client_secret=%",
	"call --explain create_access_token provider=flinks grant_type=authorization_code redirect_uri=https://app.example code=%",
	"call --explain refresh_token token_ref=%", "call --explain refresh_token refresh_token=%", "call --explain create_user provider=finapi password=%", "call --explain %",
	"doctor %", "doctor --%", "doctor --json=%", "doctor --offline=%", "tokens %", "tokens list %", "tokens show %", "tokens show --json %", "tokens show --%", "tokens show % %",
	"config %", "config codex %", "config --client-secret=% codex", "config --expose=% codex", "demo %", "demo --%", "demo --json=%", "simulate %", "simulate --finapi-port=%", "simulate --%", "simulate --flinks-rotation=%",
	"version %", "version --%", "help %", "reveal %", "vault rekey %", "vault rekey --new-key-file=%", "vault %", "vault accept %", "vault accept --all %", "vault backup /%/x", "vault restore %", "vault check %", "audit %", "audit list %", "audit list --since=%", "audit list --last=%", "audit verify %", "tokens reveal %", "tokens revoke %", "serve --token=%", "exec % -- true",
	"capability %", "capability export %", "capability export --format=%", "capability export --environment=%", "capability check", "capability check %", "capability check --%",
}

// TestCanaryMistyped types secrets where they do not belong.
func TestCanaryMistyped(t *testing.T) {
	w := newWatch(t)
	env := []string{"BANKAUTH_DATA_DIR=" + filepath.Join(t.TempDir(), "vault"), "BANKAUTH_LOG_LEVEL=trace"}
	for i, line := range mistyped {
		secret := w.secrets.issue("mistyped secret")
		if i%3 == 2 {
			raw := w.secrets.add("mistyped secret", base64.StdEncoding.EncodeToString([]byte(secret)))
			secret = strings.TrimRight(raw, "=")
		}
		args := strings.Fields(line)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "%", secret)
		}
		out, code := w.command(t, env, "bankauth", args...)
		if code == 0 && !strings.Contains(line, "code=%") {
			t.Errorf("bankauth %s ended with 0: %.300s", line, out)
		}
		for _, s := range w.empty() {
			w.keep(s.place+" "+line, s.bytes)
		}
		w.searchQuietly(t)
	}
}

// settings are variables that hold a secret, and something wrong besides; % is
// the secret.
var settings = [][]string{
	{"FINAPI_BASE_URL=https://user:%@host.example"}, {"FINAPI_BASE_URL=https://%@host.example"}, {"FINAPI_BASE_URL=https://host.example/?token=%"}, {"FINAPI_BASE_URL=https://host.example/#%"},
	{"FINAPI_BASE_URL=%"}, {"FINAPI_BASE_URL=ftp://user:%@host"}, {"FINAPI_BASE_URL=http://%.example"}, {"FINAPI_BASE_URL=https://[%"}, {"FINAPI_BASE_URL=https://host:%"}, {"FINAPI_BASE_URL=https://host/\x7f%"},
	{"FINAPI_ENVIRONMENT=%"}, {"FINAPI_CLIENT_SECRET=%\nX: y"}, {"FINAPI_CLIENT_ID=%\r\nX: y", "FINAPI_CLIENT_SECRET=%"}, {"FINAPI_CLIENT_SECRET=%\x00"},
	{"FINAPI_CLIENT_SECRET_FILE=%"}, {"FINAPI_CLIENT_SECRET_FILE=~%"}, {"FINAPI_CLIENT_SECRET=%", "FINAPI_CLIENT_SECRET_FILE=%"}, {"FINAPI_CLIENT_SECRET=${%}"}, {"FINAPI_CLIENT_ID=%"}, {"FINAPI_CLIENT_SECRET=%"},
	{"BANKAUTH_VAULT_KEY=%"}, {"BANKAUTH_VAULT_KEY_FILE=%"}, {"BANKAUTH_VAULT_KEY=%", "BANKAUTH_VAULT_KEY_FILE=%"}, {"BANKAUTH_VAULT_KEY=keyring:%"}, {"BANKAUTH_VAULT_NEW_KEY=%"}, {"BANKAUTH_VAULT_NEW_KEY_FILE=%"}, {"CREDENTIALS_DIRECTORY=/%"}, {"BANKAUTH_STORE=postgres://u:%@db.example/b"}, {"BANKAUTH_STORE=%"},
	{"BANKAUTH_STORE_FILE=%"}, {"BANKAUTH_EXPOSE=%"}, {"BANKAUTH_LOG_LEVEL=%"}, {"BANKAUTH_LOG_FORMAT=%"}, {"BANKAUTH_PROVIDERS=%"}, {"BANKAUTH_SIMULATE=%"}, {"BANKAUTH_CLIENT_SECRET=%"}, {"FINAPI_SECRET=%"},
	{"FINAPI_TOKEN=%"}, {"BANKAUTH_TOKEN=%"}, {"FINAPI_CLIENT_SECERT=%"}, {"BANKAUTH_LISTEN=%"},
}

// TestCanarySettings sets secrets in the environment, wrongly.
func TestCanarySettings(t *testing.T) {
	w := newWatch(t)
	for _, set := range settings {
		var env []string
		for _, v := range set {
			env = append(env, strings.ReplaceAll(v, "%", w.secrets.issue("secret in a setting")))
		}
		if !strings.HasPrefix(set[0], "BANKAUTH_LOG_LEVEL") {
			env = append(env, "BANKAUTH_LOG_LEVEL=trace")
		}
		if strings.Contains(env[0], "\x00") {
			continue // no system takes it
		}
		for _, args := range [][]string{{"stdio"}, {"doctor", "--offline"}, {"tokens", "list"}, {"vault", "rekey"}, {"config", "claude-code"},
			{"call", "create_access_token", "provider=finapi", "grant_type=password", "username=ada"}, {"call", "--explain", "create_access_token", "provider=finapi", "grant_type=client_credentials"}} {
			w.command(t, env, "bankauth", args...)
			for _, s := range w.empty() {
				w.keep(s.place+" "+args[0]+" "+set[0], s.bytes)
			}
		}
	}
	w.search(t)
}

// TestCanaryEnds ends a server amid its calls, in every way. A dump shows the
// words of each call's arguments, and must not show what these point to.
func TestCanaryEnds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no such signals")
	}
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		for _, depth := range []string{"single", "all", "system"} {
			w := newWatch(t)
			far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
			c := &caller{talk: w.talk(t, append(append(far.env, kept.env()...), "GOTRACEBACK="+depth)), secrets: w.secrets}
			c.user = c.good(t, newUser())[0]
			refs := c.good(t, c.code("flinks"), c.password())
			c.interrupted(t, far, signal, refs)
			if dump := string(c.err.bytes()); (signal == syscall.SIGQUIT || signal == syscall.SIGABRT) && !strings.Contains(dump, "goroutine ") {
				t.Errorf("%v: there was no dump: %s", signal, dump)
			}
			w.folder(t, kept.dir)
			w.search(t)
		}
	}
}

// interrupted ends the server while the far end holds on to its calls.
func (c *caller) interrupted(t *testing.T, far *farEnd, signal syscall.Signal, refs []string) {
	t.Helper()
	held := make(chan bool, 100)
	far.behave(slow(held))
	asks := []ask{own("fintecture"), own("finapi"), c.code("flinks"), newUser(), refresh(refs[0]), refresh(refs[1])}
	c.send(t, asks...)
	for range 4 {
		select {
		case <-held:
		case <-time.After(patience):
			t.Fatal("the calls did not reach the far end")
		}
	}
	if err := c.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	c.ended(t)
}
