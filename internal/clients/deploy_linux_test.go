package clients

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unit is what deploy.md has an operator install.
const unit = "../../packaging/systemd/bankauth.service"

// TestUnit has systemd itself read the unit and judge its hardening, and starts
// what the unit starts, with its settings and its credential.
func TestUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		missing(t, "systemd-analyze (Debian: systemd)")
	}
	program, dir := build(t), t.TempDir()
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "/usr/local/bin/bankauth", program)
	file := filepath.Join(dir, "bankauth.service")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd does not like the unit: %v\n%s", err, out)
	}
	// In tenths; 10.0 is no protection at all, and 2.0 is called OK.
	if out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", file).CombinedOutput(); err != nil {
		t.Errorf("the unit is exposed: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "bankauth-vault-key"), []byte(scratch(t)["BANKAUTH_VAULT_KEY"]), 0o400); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/false")
	env := []string{"CREDENTIALS_DIRECTORY=" + dir, "BANKAUTH_LISTEN=127.0.0.1:0"}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ExecStart":
			words := strings.Fields(value)
			cmd = exec.Command(words[0], words[1:]...)
		case "Environment":
			env = append(env, strings.ReplaceAll(value, "%S", dir))
		}
	}
	cmd.Env = env
	url, stop := launch(t, cmd)
	if status, body := get(t, url+"/health/ready", ""); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, "bankauth", "vault.db")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bankauth", "vault.key")); err == nil {
		t.Error("the credential was not used: there is a key file")
	}
}

// TestContainer runs a static program as a container does: there is nothing
// but it, it is nobody, and it can write to /data alone. It is found from
// elsewhere, behind a proxy, by its clients, and its key may be root's.
func TestContainer(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root, who alone may run a program as somebody else")
	}
	root := t.TempDir()
	for _, dir := range []string{"/usr/local/bin", "/data"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65532
	if err := os.Chown(root+"/data", nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(root); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
	_ = os.Chmod(root, 0o755)
	program, err := os.ReadFile(build(t))
	if err == nil {
		err = os.WriteFile(root+"/usr/local/bin/bankauth", program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	key := scratch(t)["BANKAUTH_VAULT_KEY"]
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/usr/local/bin/bankauth", args...)
		cmd.Dir = "/"
		cmd.Env = []string{"BANKAUTH_DATA_DIR=/data", "BANKAUTH_VAULT_KEY=" + key, "BANKAUTH_LISTEN=0.0.0.0:0", "BANKAUTH_PROXY=127.0.0.0/8", "BANKAUTH_SIMULATE=true"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	token, err := run("clients", "add", "agent").Output()
	if err != nil {
		t.Fatal(err)
	}
	url, stop := launch(t, run("serve"))
	if status, body := get(t, url+"/health/ready", ""); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(t, url+"/v1/tokens", ""); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", status, body)
	}
	if status, body := get(t, url+"/v1/tokens", strings.TrimSpace(string(token))); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	stop()
	if err := os.WriteFile(root+"/key", []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{0o600: "cannot be read", 0o640: "", 0o644: "chmod 640"} {
		if err := errors.Join(os.Chmod(root+"/key", mode), os.Chown(root+"/key", 0, nobody)); err != nil {
			t.Fatal(err)
		}
		cmd := run("tokens", "list")
		cmd.Env = []string{"BANKAUTH_DATA_DIR=/data", "BANKAUTH_VAULT_KEY_FILE=/key"}
		if out, err := cmd.CombinedOutput(); (err == nil) != (want == "") || !strings.Contains(string(out), want) {
			t.Errorf("root's key with mode %o: %v: %s", mode, err, out)
		}
	}
	var written []string
	_ = filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid == nobody && !strings.HasPrefix(path, root+"/data") {
			written = append(written, path)
		}
		return nil
	})
	if len(written) > 0 {
		t.Errorf("it wrote to %v", written)
	}
}

// launch starts a server, and returns its address and what ends it well.
func launch(t *testing.T, cmd *exec.Cmd) (url string, stop func()) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := served.FindStringSubmatch(line)
	if m == nil {
		_ = cmd.Wait()
		t.Fatalf("the server said %q: %s", line, said.Bytes())
	}
	return m[1], func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server did not end well: %v: %s", err, said.Bytes())
		}
	}
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body)
	return a.StatusCode, string(b)
}
