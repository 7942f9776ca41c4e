//go:build unix

package vault_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
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
				t.Skip("needs root, who alone can give a file away")
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

// TestOnlyTheKeyring makes no key file where the keyring was asked for, and
// takes none that lies there, nor a credential.
func TestOnlyTheKeyring(t *testing.T) {
	noKeyring(t)
	if runtime.GOOS != "linux" {
		t.Skip("the keyring of this platform cannot be hidden; run it on Linux")
	}
	for name, there := range map[string]string{"nothing else": "", "a key file": "vault.key", "a credential": "credential"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			chmod(t, dir, 0o700)
			o := vault.Options{Dir: dir, Key: vault.Key{Keyring: true, Credential: dir + "/credential"}}
			if there != "" {
				write(t, filepath.Join(dir, there), keyText, 0o600)
			}
			if v, err := vault.Open(t.Context(), o); err == nil {
				shut(t, v)
				t.Error("a vault was made without a keyring")
			}
			if _, err := os.Stat(dir + "/vault.key"); (err == nil) != (there == "vault.key") {
				t.Errorf("a key file was made or taken away: %v", err)
			}
		})
	}
}

// TestAKeyFileBeforeItsVault is the vault's key, and what is none is not
// written over.
func TestAKeyFileBeforeItsVault(t *testing.T) {
	noKeyring(t)
	for text, hint := range map[string]string{keyText: "", "no key": "32 bytes"} {
		o := vault.Options{Dir: t.TempDir()}
		chmod(t, o.Dir, 0o700)
		write(t, o.Dir+"/vault.key", text, 0o600)
		v, err := vault.Open(t.Context(), o)
		if err == nil {
			shut(t, v)
		}
		if (err == nil) != (hint == "") || err != nil && !strings.Contains(fault.From(err).Hint, hint) {
			t.Errorf("%q: %v", text, err)
		}
		if now := contents(t, o.Dir)[o.Dir+"/vault.key"]; now != text {
			t.Errorf("the key file is %q now", now)
		}
		if s, err := vault.Inspect(t.Context(), vault.Options{Dir: o.Dir, Key: vault.Key{File: o.Dir + "/vault.key"}}); (err == nil) != (hint == "") || s.Made != (hint == "") {
			t.Errorf("it is not the key: %+v %v", s, err)
		}
	}
}

// TestAKeyAsPeopleWriteIt: with and without padding, in either alphabet, with
// what editors put around it.
func TestAKeyAsPeopleWriteIt(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	text := base64.StdEncoding.EncodeToString(raw)
	o := vault.Options{Dir: folder(t), Key: vault.Key{Value: secret.New(text)}}
	shut(t, open(t, o))
	for _, form := range []string{text + "\n", strings.TrimRight(text, "="), base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), "\ufeff" + text + "\r\n", "  " + text + " "} {
		path := filepath.Join(t.TempDir(), "key")
		write(t, path, form, 0o600)
		for _, key := range []vault.Key{{Value: secret.New(form)}, {File: path}} {
			if _, err := vault.Inspect(t.Context(), vault.Options{Dir: o.Dir, Key: key}); err != nil {
				t.Errorf("%q: %v", form, err)
			}
		}
	}
	for _, form := range []string{text[:42], text[:20] + "*" + text[21:], base64.StdEncoding.EncodeToString(append(raw, 0))} {
		if _, err := vault.Inspect(t.Context(), vault.Options{Dir: o.Dir, Key: vault.Key{Value: secret.New(form)}}); err == nil || !strings.Contains(fault.From(err).Message, "is not a key") {
			t.Errorf("%q: %v", form, err)
		}
	}
}
