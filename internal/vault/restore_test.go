//go:build unix

package vault_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// TestRestoreIntoALiveVault: what is new there stays, what is missing or broken
// comes back and waits for a word.
func TestRestoreIntoALiveVault(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	bank := &strict{now: map[string]string{}}
	same, newer, gone, broken, ended := bank.consent(t, v), bank.consent(t, v), bank.consent(t, v), bank.consent(t, v), bank.consent(t, v)
	client := obtain(t, v, identity("client_credentials", "a"), vault.Policy{}, (&bank1{}).mint)
	anna := vault.Account{Principal: me, Provider: "finapi", User: "anna"}
	berta := vault.Account{Principal: me, Provider: "finapi", User: "berta"}
	for _, a := range []vault.Account{anna, berta} {
		if err := v.KeepPassword(t.Context(), a, secret.New("password-CANARY")); err != nil {
			t.Fatal(err)
		}
	}
	path := backUp(t, v)
	refresh := func(ref string) error {
		_, _, err := v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, bank.mint)
		return err
	}
	if err := refresh(newer); err != nil {
		t.Fatal(err)
	}
	bank.now[ended] = "another"
	if err := refresh(ended); code(err) != fault.Reauthorize {
		t.Fatal(err)
	}
	bank.refused = 0
	delete(bank.now, ended)
	for _, ref := range []string{gone, client.Ref} {
		if err := v.Forget(t.Context(), me, ref); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.ForgetPassword(t.Context(), anna); err != nil {
		t.Fatal(err)
	}
	if err := v.KeepPassword(t.Context(), berta, secret.New("newer")); err != nil {
		t.Fatal(err)
	}
	again := obtain(t, v, identity("client_credentials", "a"), vault.Policy{}, (&bank1{}).mint)
	alter(t, dir, `UPDATE records SET sealed = zeroblob(100) WHERE ref = '`+broken+`'`)

	r, err := vault.Restore(t.Context(), withKey(dir), path)
	slices.Sort(r.Suspect)
	want := []string{gone, broken}
	slices.Sort(want)
	if err != nil || r.Made || r.Inserted != 2 || r.Replaced != 1 || r.Kept != 3 || r.Passwords != 1 || !reflect.DeepEqual(r.Suspect, want) {
		t.Errorf("%+v %v", r, err)
	}
	for ref, state := range map[string]vault.State{same: vault.Live, newer: vault.Live, gone: vault.Suspect, broken: vault.Suspect, ended: vault.Reauthorize} {
		if got, err := v.Get(t.Context(), me, ref); err != nil || got.State != state || bank.now[ref] != "" && got.Token.Refresh.Reveal() != bank.now[ref] {
			t.Errorf("%s: %+v %v, want %s", ref, got, err, state)
		}
	}
	if s, err := v.Status(t.Context()); err != nil || s.Candidates != 1 {
		t.Errorf("the bytes that do not open: %+v %v", s, err)
	}
	if got := obtain(t, v, identity("client_credentials", "a"), vault.Policy{Margin: -time.Hour}, (&bank1{}).mint); got.Ref != again.Ref {
		t.Errorf("the identity leads to %s, want the live record %s", got.Ref, again.Ref)
	}
	if _, err := v.Get(t.Context(), me, client.Ref); err != nil {
		t.Errorf("the forgotten record did not come back: %v", err)
	}
	if p, held, err := v.Password(t.Context(), anna); err != nil || !held || p.Reveal() != "password-CANARY" {
		t.Errorf("password: %v %v", held, err)
	}
	if p, _, err := v.Password(t.Context(), berta); err != nil || p.Reveal() != "newer" {
		t.Errorf("a password was written over with an older one: %v", err)
	}
	if err := refresh(broken); code(err) != fault.VaultUnavailable {
		t.Errorf("used unasked: %v", err)
	}
	if _, err := v.Accept(t.Context(), gone, broken); err != nil {
		t.Error(err)
	}
	for ref := range bank.now {
		if err := refresh(ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	bank.alive(t, v)
	if r, err := vault.Restore(t.Context(), withKey(dir), path); err != nil || r.Inserted+r.Replaced+r.Passwords+len(r.Suspect) != 0 || r.Kept != 6 {
		t.Errorf("a second time: %+v %v", r, err)
	}
	if rep := verify(t, dir); len(rep.Findings) > 0 {
		t.Errorf("%+v", rep)
	}
	audit, _, err := vault.Audit(t.Context(), withKey(dir), vault.Choice{})
	said := map[string]int{}
	for _, e := range audit {
		said[e.Event]++
	}
	if err != nil || said["restored"] != 3 || said["password_restored"] != 1 || said["accepted"] != 2 {
		t.Errorf("audit: %v %v", said, err)
	}
}

// TestRestoreWhereTheLiveOneIsOlder: the store was put back to before the
// backup. The older refresh token is not thrown away.
func TestRestoreWhereTheLiveOneIsOlder(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	bank := &strict{now: map[string]string{}}
	ref := bank.consent(t, v)
	shut(t, v)
	old, err := os.ReadFile(dir + "/vault.db")
	if err != nil {
		t.Fatal(err)
	}
	v = open(t, withKey(dir))
	if _, _, err := v.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, bank.mint); err != nil {
		t.Fatal(err)
	}
	path := backUp(t, v)
	shut(t, v)
	write(t, dir+"/vault.db", string(old), 0o600)
	r, err := vault.Restore(t.Context(), withKey(dir), path)
	if err != nil || r.Replaced != 1 || fmt.Sprint(r.Suspect) != fmt.Sprint([]string{ref}) {
		t.Fatalf("%+v %v", r, err)
	}
	v = open(t, withKey(dir))
	if _, err := v.Accept(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	bank.alive(t, v)
	if s, err := v.Status(t.Context()); err != nil || s.Candidates != 1 {
		t.Errorf("the older refresh token: %+v %v", s, err)
	}
}

// TestRestoreAfterRekey opens an old backup with the data keys that the vault
// keeps of its past.
func TestRestoreAfterRekey(t *testing.T) {
	noKeyring(t)
	o := vault.Options{Dir: folder(t)}
	v := open(t, o)
	bank := &strict{now: map[string]string{}}
	ref := bank.consent(t, v)
	path := backUp(t, v)
	key, err := os.ReadFile(o.Dir + "/vault.key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Rekey(t.Context(), vault.Key{}); err != nil {
		t.Fatal(err)
	}
	if err := v.Forget(t.Context(), me, ref); err != nil {
		t.Fatal(err)
	}
	if r, err := vault.Restore(t.Context(), o, path); err != nil || r.Inserted != 1 || r.Unreadable != 0 {
		t.Errorf("%+v %v", r, err)
	}
	fresh := vault.Options{Dir: folder(t)}
	if err := os.MkdirAll(fresh.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Restore(t.Context(), fresh, path); code(err) != fault.VaultUnavailable || !strings.Contains(fault.From(err).Hint, "put the key back") {
		t.Errorf("without its key: %v", err)
	}
	write(t, fresh.Dir+"/vault.key", keyText, 0o600)
	if _, err := vault.Restore(t.Context(), fresh, path); code(err) != fault.VaultUnavailable || !strings.Contains(fault.From(err).Hint, "when the backup was made") {
		t.Errorf("with another key: %v", err)
	}
	if _, err := os.Stat(fresh.Dir + "/vault.db"); err == nil {
		t.Error("something was made")
	}
	write(t, fresh.Dir+"/vault.key", string(key), 0o600)
	if r, err := vault.Restore(t.Context(), fresh, path); err != nil || !r.Made || len(r.Suspect) != 1 {
		t.Errorf("with its key: %+v %v", r, err)
	}
}

// TestARestoreThatIsCutOff leaves a vault that is known to be gone; with the
// store in its place already, what is in it is doubted.
func TestARestoreThatIsCutOff(t *testing.T) {
	dir, _ := filled(t)
	v := open(t, withKey(dir))
	path := backUp(t, v)
	shut(t, v)
	remove(t, dir+"/vault.db")
	if err := os.MkdirAll(dir+"/vault.db.new/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Restore(t.Context(), withKey(dir), path); err == nil {
		t.Fatal("restored, with the way blocked")
	}
	if err := os.RemoveAll(dir + "/vault.db.new"); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, withKey(dir), "bankauth vault restore FILE")
	write(t, dir+"/vault.db", contents(t, filepath.Dir(path))[path], 0o600)
	if s, err := open(t, withKey(dir)).Status(t.Context()); err != nil || s.Tokens[vault.Suspect] != 6 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestRestoreRefusals(t *testing.T) {
	dir, _ := filled(t)
	other, _ := filled(t)
	theirs := backUp(t, open(t, withKey(other)))
	good, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, hint string
	}{
		"another vault's":  {theirs, "of its own"},
		"nothing there":    {filepath.Join(t.TempDir(), "none"), "vault backup"},
		"a folder":         {t.TempDir(), "vault backup"},
		"cut":              {put(t, string(good[:len(good)/2])), "another backup"},
		"not a backup":     {put(t, strings.Repeat("x", 500)), "vault backup"},
		"of schema 1":      {put(t, string(good[:60])+"\x00\x00\x00\x01"+string(good[64:])), "another backup"},
		"of a later one":   {put(t, string(good[:60])+"\x00\x00\x00\x09"+string(good[64:])), "that version"},
		"another program":  {put(t, string(good[:68])+"\x00\x00\x00\x01"+string(good[72:])), "vault backup"},
		"cut in a page":    {put(t, string(good[:len(good)-100])), "another backup"},
		"damaged":          {put(t, string(good[:4*4096])+strings.Repeat("\x00", 4096)+string(good[5*4096:])), "another backup"},
		"without its keys": {changed(t, good, `DELETE FROM data_keys`), "another backup"},
		"without its name": {changed(t, good, `DELETE FROM meta WHERE name = 'vault_id'`), "another backup"},
	} {
		t.Run(name, func(t *testing.T) {
			before := contents(t, dir)
			if _, err := vault.Restore(t.Context(), withKey(dir), c.path); err == nil || !strings.Contains(fault.From(err).Hint, c.hint) {
				t.Errorf("%v, want a hint with %q", fault.From(err), c.hint)
			}
			if after := contents(t, dir); before[dir+"/vault.db"] != after[dir+"/vault.db"] {
				t.Error("the vault has changed")
			}
		})
	}
}

func put(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	write(t, path, text, 0o600)
	return path
}

// changed is the backup after a statement.
func changed(t *testing.T, backup []byte, statement string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/vault.db", string(backup), 0o600)
	db := behind(t, dir)
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir + "/vault.db"
}
