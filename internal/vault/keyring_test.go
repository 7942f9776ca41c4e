//go:build linux

package vault_test

import (
	"database/sql"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"bankauth/internal/vault"
)

const sessionVariable = "BANKAUTH_VAULT_TEST_SESSION"

// TestKeyring runs TestKeyringSession in a desktop session of its own, with a
// real Secret Service.
func TestKeyring(t *testing.T) {
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing", program)
			}
			t.Skipf("%s is missing: the keyring is not tested (Debian: gnome-keyring, dbus-daemon)", program)
		}
	}
	home := t.TempDir()
	cmd := exec.Command("dbus-run-session", "--", "sh", "-c",
		`printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$0" -test.run='^TestKeyringSession$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), sessionVariable+"=1", "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestKeyringSession keeps a vault's key in the keyring and changes it there.
func TestKeyringSession(t *testing.T) {
	if os.Getenv(sessionVariable) == "" {
		return // TestKeyring runs it
	}
	o := vault.Options{Dir: folder(t)}
	bank := &strict{now: map[string]string{}}
	v := open(t, o)
	server := open(t, o)
	ref := bank.consent(t, v)
	if s, err := v.Status(t.Context()); err != nil || s.KeySource != "keyring" {
		t.Fatalf("%+v %v", s, err)
	}
	account := "vault-" + hex.EncodeToString(vaultID(t, o.Dir))
	old, err := keyring.Get("bankauth", account)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := v.Rekey(t.Context(), vault.Key{}); err != nil || r.Source != "keyring" {
		t.Fatalf("%+v %v", r, err)
	}
	fresh, err := keyring.Get("bankauth", account)
	if err != nil || fresh == old {
		t.Errorf("the keyring has the old key, %v", err)
	}
	if _, err := keyring.Get("bankauth", account+".next"); err == nil {
		t.Error("the passing entry was left")
	}
	if _, _, err := server.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, bank.mint); err != nil {
		t.Errorf("a running server: %v", err)
	}
	shut(t, v)
	shut(t, server)
	for name, text := range map[string]string{account + ".next": fresh, account: old} { // cut off after the commit
		if err := keyring.Set("bankauth", name, text); err != nil {
			t.Fatal(err)
		}
	}
	bank.alive(t, open(t, vault.Options{Dir: o.Dir, Key: vault.Key{Keyring: true}}))
	if now, err := keyring.Get("bankauth", account); err != nil || now != fresh {
		t.Errorf("the new key was not put in its place: %v", err)
	}
	if _, err := os.Stat(o.Dir + "/vault.key"); err == nil {
		t.Error("a key file was made")
	}
	if err := keyring.Delete("bankauth", account); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, o, "unlock the keyring")
	time.Sleep(10 * time.Millisecond) // the library's goroutines end
}

func vaultID(t *testing.T, dir string) (id []byte) {
	t.Helper()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", link+"/vault.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT value FROM meta WHERE name = 'vault_id'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}
