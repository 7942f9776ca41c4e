package clients

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// bank is where a person can consent.
type bank struct {
	Base     string `json:"base"`
	ClientID string `json:"clientID"`
}

// simulation is a server's environment in which three banks answer that
// outlive it.
type simulation struct {
	env   map[string]string
	banks map[string]bank
}

var setting = regexp.MustCompile(`^(?:export )?([A-Z]+_(?:BASE_URL|CLIENT_ID|CLIENT_SECRET|PRIVATE_KEY))=["']?([^"']*)["']?$`)

// simulate starts the simulator as a process of its own and waits until it
// has said all that the server needs to know.
func simulate(t *testing.T, program string) simulation {
	t.Helper()
	s := simulation{env: scratch(t), banks: map[string]bank{}}
	stdout := startSimulator(t, program)
	said := make(chan map[string]string, 1)
	go func() { // ends with the process
		said <- settings(stdout)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	select {
	case got := <-said:
		maps.Copy(s.env, got)
	case <-time.After(30 * time.Second):
		t.Fatal("the simulator did not print its settings")
	}
	for _, name := range []string{"fintecture", "flinks"} {
		prefix := strings.ToUpper(name)
		b := bank{Base: s.env[prefix+"_BASE_URL"], ClientID: s.env[prefix+"_CLIENT_ID"]}
		if b.Base == "" || b.ClientID == "" {
			t.Fatalf("the simulator did not name the base URL and client id of %s", name)
		}
		s.banks[name] = b
	}
	return s
}

func startSimulator(t *testing.T, program string) io.Reader {
	t.Helper()
	cmd := exec.Command(program, "simulate")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting the simulator: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return stdout
}

// settings reads until all ten are known or the text ends.
func settings(from io.Reader) map[string]string {
	found := map[string]string{}
	for lines := bufio.NewScanner(from); len(found) < 10 && lines.Scan(); {
		if m := setting.FindStringSubmatch(strings.TrimSpace(lines.Text())); m != nil {
			found[m[1]] = m[2]
		}
	}
	return found
}

// scratch returns the environment of a server that keeps to folders of the
// test's own and to no keyring.
func scratch(t *testing.T) map[string]string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return map[string]string{
		"HOME":               t.TempDir(),
		"BANKAUTH_DATA_DIR":  filepath.Join(t.TempDir(), "vault"),
		"BANKAUTH_VAULT_KEY": base64.StdEncoding.EncodeToString(key),
	}
}
