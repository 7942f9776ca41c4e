//go:build unix

package vault_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// withoutKeyring makes the default key a file, whatever machine this is.
func withoutKeyring(t *testing.T, dir string) vault.Options {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	return vault.Options{Dir: dir}
}

func TestNothingInClear(t *testing.T) {
	dir := folder(t)
	v := open(t, withoutKeyring(t, dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	for _, grant := range []string{"client_credentials", "authorization_code", "password"} {
		r := obtain(t, v, identity(grant, "account-CANARY"), vault.Policy{}, b.mint)
		for range 3 {
			if _, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, b.mint); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.fail.Store(fault.New(fault.Reauthorize, "reason-CANARY", ""))
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank{refresh: true}).mint)
	_, _, _ = v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, b.mint)
	a := vault.Account{Principal: me, Provider: "finapi", Environment: "sandbox", Client: "c", User: "user-CANARY"}
	if err := v.KeepPassword(context.Background(), a, secret.New("password-CANARY")); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []vault.NoteKind{vault.NoteConsent, vault.NoteAnswer} {
		n := noteOf(kind, "name-CANARY")
		add(t, v, &n, 1)
	}
	time.Sleep(300 * time.Millisecond)
	search := func() {
		for path, text := range contents(t, dir) {
			for _, form := range []string{"CANARY", hex.EncodeToString([]byte("CANARY")), base64.StdEncoding.EncodeToString([]byte("CANARY")), "flinks", "finapi"} {
				if strings.Contains(text, form) {
					t.Errorf("%s holds %q", filepath.Base(path), form)
				}
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", filepath.Base(path), info.Mode())
			}
		}
	}
	if all := contents(t, dir); len(all[dir+"/vault.db-wal"]) == 0 || !strings.Contains(all[dir+"/vault.db-wal"], r.Ref) {
		t.Error("the journal is empty: this test could not fail")
	}
	search()
	shut(t, v)
	search()
	for _, sub := range []string{dir, dir + "/locks"} {
		if info, err := os.Stat(sub); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", sub, info.Mode(), err)
		}
	}
}

func TestDefaultKeyFile(t *testing.T) {
	dir := folder(t)
	o := withoutKeyring(t, dir)
	if s, err := vault.Inspect(context.Background(), o); err != nil || s.Made || s.Path != dir {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("Inspect made something")
	}
	v := open(t, o)
	r := obtain(t, v, identity("client_credentials", "a"), vault.Policy{}, (&bank{lifetime: time.Hour}).mint)
	for _, look := range []func() (vault.Status, error){
		func() (vault.Status, error) { return v.Status(context.Background()) },
		func() (vault.Status, error) { return vault.Inspect(context.Background(), o) },
	} {
		s, err := look()
		if err != nil || !s.Made || s.KeySource != "key file" || s.KeyPath != dir+"/vault.key" || s.Schema != 3 || s.Tokens[vault.Live] != 1 {
			t.Errorf("%+v %v", s, err)
		}
	}
	shut(t, v)
	before := contents(t, dir)
	if s, err := vault.Inspect(context.Background(), o); err != nil || s.Tokens[vault.Live] != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if after := contents(t, dir); len(after) != len(before) || after[dir+"/vault.db"] != before[dir+"/vault.db"] {
		t.Error("Inspect left something behind")
	}
	if _, err := open(t, o).Get(context.Background(), me, r.Ref); err != nil {
		t.Error(err)
	}
	chmod(t, dir+"/vault.key", 0o644)
	mustRefuse(t, o, "chmod 600")
	chmod(t, dir+"/vault.key", 0o600)
	if err := os.Remove(dir + "/vault.key"); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, o, "put the key back")
}

func TestEphemeral(t *testing.T) {
	for _, dir := range []string{"", folder(t)} {
		v, err := vault.Open(context.Background(), vault.Options{Dir: dir, Ephemeral: true})
		if err != nil {
			t.Fatal(err)
		}
		s, err := v.Status(context.Background())
		if err != nil || s.KeySource != "memory" {
			t.Errorf("%+v %v", s, err)
		}
		if _, err := os.Stat(s.Path + "/vault.key"); err == nil {
			t.Error("the key of a throw-away vault is on disk")
		}
		shut(t, v)
		if _, err := os.Stat(s.Path); err == nil {
			t.Error("the folder is still there")
		}
	}
	dir := t.TempDir()
	write(t, dir+"/mine", "precious", 0o600)
	if _, err := vault.Open(context.Background(), vault.Options{Dir: dir, Ephemeral: true}); code(err) != fault.VaultUnavailable {
		t.Error("a folder with files in it must not become a throw-away vault")
	}
	if _, err := os.Stat(dir + "/mine"); err != nil {
		t.Error(err)
	}
}

func TestAnotherPrincipal(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{lifetime: time.Hour, refresh: true}
	ctx := context.Background()
	for _, grant := range []string{"client_credentials", "authorization_code"} {
		r := obtain(t, v, identity(grant, "a"), vault.Policy{}, b.mint)
		before := b.posts.Load()
		want, _ := unknown(v.Get(ctx, "other", "tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
		for _, ref := range []string{r.Ref, "tok_x", "", "../../x", strings.ToUpper(r.Ref)} {
			if got, is := unknown(v.Get(ctx, "other", ref)); !is || got != want {
				t.Errorf("Get %q: %s", ref, got)
			}
		}
		rec, _, err := v.Refresh(ctx, "other", r.Ref, vault.Policy{Force: true}, b.mint)
		if got, is := unknown(rec, err); !is || got != want {
			t.Errorf("Refresh: %s", got)
		}
		if got, is := unknown(vault.Record{}, v.Forget(ctx, "other", r.Ref)); !is || got != want {
			t.Errorf("Forget: %s", got)
		}
		if all, err := v.List(ctx, "other"); err != nil || len(all) != 0 {
			t.Errorf("List: %v %v", all, err)
		}
		if b.posts.Load() != before {
			t.Error("a stranger made the provider work")
		}
		if err := v.Forget(ctx, me, r.Ref); err != nil {
			t.Error(err)
		}
		if _, err := v.Get(ctx, me, r.Ref); code(err) != fault.InvalidArgument {
			t.Errorf("forgotten: %v", err)
		}
	}
}

func unknown(_ vault.Record, err error) (string, bool) {
	f := fault.From(err)
	if f == nil {
		return "", false
	}
	return f.Message + f.Hint, f.Code == fault.InvalidArgument && strings.Contains(f.Hint, "create_access_token")
}

func TestPasswords(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	ctx := context.Background()
	a := vault.Account{Principal: me, Provider: "finapi", Environment: "sandbox", Client: "c", User: "anna"}
	want := func(text string) {
		t.Helper()
		got, held, err := v.Password(ctx, a)
		if err != nil || held != (text != "") || got.Reveal() != text {
			t.Errorf("got %q %v %v, want %q", got.Reveal(), held, err, text)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	want("")
	must(v.KeepPassword(ctx, a, secret.New("first")))
	want("first")
	must(v.KeepPassword(ctx, a, secret.New("second")))
	must(v.ConfirmPassword(ctx, a))
	want("second")
	must(v.KeepPassword(ctx, a, secret.New("third")))
	want("second") // one that works is not pushed out by one on trial
	must(v.AbandonPassword(ctx, a))
	must(v.ConfirmPassword(ctx, a))
	shut(t, v)
	v = open(t, withKey(dir))
	want("second")
	other := a
	other.Principal = "other"
	if _, held, err := v.Password(ctx, other); held || err != nil {
		t.Error("another principal's password was given")
	}
	must(v.ForgetPassword(ctx, a))
	want("")
}
