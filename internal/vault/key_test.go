//go:build unix

package vault_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bankauth/internal/fault"
	"bankauth/internal/vault"
)

// TestKeyFilesRefused: whoever may read the file may open the vault.
func TestKeyFilesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		hint  string
	}{
		"readable by the group": {func(t *testing.T, path string) { chmod(t, path, 0o640) }, "chmod 600"},
		"readable by all":       {func(t *testing.T, path string) { chmod(t, path, 0o604) }, "chmod 600"},
		"a link": {func(t *testing.T, path string) {
			if err := errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)); err != nil {
				t.Fatal(err)
			}
		}, "plain file"},
		"a folder": {func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "plain file"},
		"another user's": {func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}, "owner"},
		"empty":     {func(t *testing.T, path string) { write(t, path, "", 0o600) }, "32 bytes"},
		"cut short": {func(t *testing.T, path string) { write(t, path, keyText[:40], 0o600) }, "32 bytes"},
	} {
		for _, kind := range []string{"file", "credential", "own"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				noKeyring(t)
				path := filepath.Join(t.TempDir(), "CANARY")
				o := vault.Options{Dir: folder(t)}
				switch kind {
				case "file":
					o.Key.File = path
				case "credential":
					o.Key.Credential = path
				case "own":
					path = o.Dir + "/vault.key"
				}
				if kind != "own" {
					write(t, path, keyText, 0o600)
				}
				v, err := vault.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				s, err := v.Status(t.Context())
				if want := map[string]string{"file": "file", "credential": "systemd credential", "own": "key file"}[kind]; err != nil || s.KeySource != want {
					t.Errorf("%+v %v", s, err)
				}
				shut(t, v)
				c.spoil(t, path)
				mustRefuse(t, o, c.hint)
				if _, err := vault.Open(t.Context(), o); err == nil || strings.Contains(fault.From(err).Message+fault.From(err).Hint, "CANARY") {
					t.Errorf("the path of a file that the user named is told: %v", err)
				}
			})
		}
	}
}

// TestNoCredential: without a file of that name systemd has given us none.
func TestNoCredential(t *testing.T) {
	noKeyring(t)
	o := vault.Options{Dir: folder(t), Key: vault.Key{Credential: filepath.Join(t.TempDir(), vault.CredentialName)}}
	if s, err := open(t, o).Status(t.Context()); err != nil || s.KeySource != "key file" {
		t.Errorf("%+v %v", s, err)
	}
}
