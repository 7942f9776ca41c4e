package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bankauth/internal/simulator"
)

// startEgress runs bankauth egress and returns what it printed: NAME and value.
func startEgress(t *testing.T, env []string, args ...string) (name, value string, stop func()) {
	t.Helper()
	return startEgressSaying(t, os.Stderr, env, args...)
}

// startEgressSaying is startEgress with another place for what goes to stderr.
func startEgressSaying(t *testing.T, said io.Writer, env []string, args ...string) (name, value string, stop func()) {
	t.Helper()
	cmd := exec.Command("bankauth", append([]string{"egress"}, args...)...)
	cmd.Env = outside(t, env)
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if runtime.GOOS == "windows" {
			_ = cmd.Process.Kill()
		} else {
			_ = cmd.Process.Signal(os.Interrupt)
		}
		if err := cmd.Wait(); err != nil && runtime.GOOS != "windows" {
			t.Errorf("bankauth egress: %v", err)
		}
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
	if err != nil || !ok {
		stop()
		t.Fatalf("bankauth egress said %q, %v", line, err)
	}
	return name, value, stop
}

// curl works through the proxy with nothing but another address: with the key
// in its path, with the key in a header, and over a socket.
func TestEgressWithCurl(t *testing.T) {
	requires(t, "curl")
	bank, env := simulation(t)
	code, err := bank.Code(t.Context(), "https://app.example/callback", "")
	if err != nil {
		t.Fatal(err)
	}
	handle := ref(t, shell(t, env, "call", "create_access_token", "provider="+simulator.NameFlinks, "grant_type=authorization_code", "code="+code, "redirect_uri=https://app.example/callback"))
	name, url, stop := startEgress(t, env)
	defer stop()
	if name != egressURL {
		t.Errorf("got %s", name)
	}
	at, key := url[:strings.LastIndex(url, "/")], url[strings.LastIndex(url, "/")+1:]
	ways := [][]string{{url + "/flinks/api/v1/accounts"}, {"-H", "Bankauth-Key: " + key, at + "/flinks/api/v1/accounts"}}
	if runtime.GOOS != "windows" {
		dir, err := os.MkdirTemp("", "ba") // t.TempDir is too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		name, path, stop := startEgress(t, env, "--socket", filepath.Join(dir, "s"), "--read-only")
		defer stop()
		if name != egressSocket {
			t.Errorf("got %s", name)
		}
		ways = append(ways, []string{"--unix-socket", path, "http://bankauth/flinks/api/v1/accounts"})
	}
	for _, way := range ways {
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--max-time", "10", "-H", "Authorization: Bearer " + handle}, way...)...).CombinedOutput()
		var got struct{ Accounts []json.RawMessage }
		if err != nil || json.Unmarshal(out, &got) != nil || len(got.Accounts) != 1 {
			t.Errorf("curl %s: %s, %v", strings.Join(way, " "), out, err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "--max-time", "10", "-H", "Authorization: Bearer "+handle, at+"/flinks/api/v1/accounts").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "know its key") {
		t.Errorf("without the key: %s, %v", out, err)
	}
}
