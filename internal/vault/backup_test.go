//go:build unix

package vault_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

func backUp(t *testing.T, v *vault.Vault) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	if _, err := v.Backup(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBackupOfALiveVault is taken while tokens rotate. What it holds is one
// moment, and a vault made of it asks before it uses any of it.
func TestBackupOfALiveVault(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	bank := &strict{now: map[string]string{}}
	var refs []string
	for range 8 {
		refs = append(refs, bank.consent(t, v))
	}
	obtain(t, v, identity("client_credentials", "a"), vault.Policy{}, (&bank1{}).mint)
	anna := vault.Account{Principal: me, Provider: "finapi", User: "anna"}
	if err := v.KeepPassword(t.Context(), anna, secret.New("password-CANARY")); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, ref := range refs {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, bank.mint); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	path := backUp(t, v)
	for range 5 { // each is of one moment, or its audit would not fit its head
		if r, err := vault.Restore(t.Context(), withKey(folder(t)), backUp(t, v)); err != nil || len(r.Suspect) != 8 {
			t.Errorf("%+v %v", r, err)
		}
	}
	close(stop)
	all.Wait()
	bank.alive(t, v)
	if _, err := v.Backup(t.Context(), path); code(err) != fault.InvalidArgument {
		t.Errorf("over a file: %v", err)
	}
	if _, err := v.Backup(t.Context(), t.TempDir()+"/none/x"); code(err) != fault.InvalidArgument {
		t.Errorf("into a folder that is not there: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside the backup lie %v, %v", names, err)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "CANARY") {
		t.Errorf("a secret stands in the backup, %v", err)
	}

	o := withKey(folder(t))
	r, err := vault.Restore(t.Context(), o, path)
	if err != nil || !r.Made || r.Inserted != 9 || len(r.Suspect) != 8 || r.Unreadable != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	w := open(t, o)
	for ref := range bank.now {
		if _, _, err := w.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, bank.mint); code(err) != fault.VaultUnavailable {
			t.Errorf("%s was used unasked: %v", ref, err)
		}
	}
	if p, held, err := w.Password(t.Context(), anna); err != nil || !held || p.Reveal() != "password-CANARY" {
		t.Errorf("password: %v %v", held, err)
	}
	if rep := verify(t, o.Dir); len(rep.Findings) > 0 {
		t.Errorf("%+v", rep)
	}
	shut(t, w)
	if s, err := vault.Inspect(t.Context(), o); err != nil || s.PutBack || s.Tokens[vault.Suspect] != 8 {
		t.Errorf("%+v %v", s, err)
	}
}

// TestBackupHoldsEverything also what is on its way into the store: a token
// that is written late, and an answer that lies beside it.
func TestBackupHoldsEverything(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	if _, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, breaking(t, dir, b)); code(err) != fault.VaultUnavailable {
		t.Fatalf("success or another fault: %v", err)
	}
	mend(t, dir)
	obtain(t, v, identity("client_credentials", "a"), vault.Policy{}, b.mint)
	path := filepath.Join(t.TempDir(), "backup")
	if done, err := v.Backup(t.Context(), path); err != nil || done != (vault.Backup{Records: 2}) {
		t.Errorf("%+v %v", done, err)
	}
	o := withKey(folder(t))
	if r, err := vault.Restore(t.Context(), o, path); err != nil || r.Inserted != 2 {
		t.Errorf("%+v %v", r, err)
	}
	if got, err := open(t, o).Get(t.Context(), me, r.Ref); err != nil || got.Token.Refresh.Reveal() != "refresh-CANARY-2" {
		t.Errorf("the answer beside the store: %+v %v", got, err)
	}
	spillGarbage(t, withKey(dir))
	if done, err := v.Backup(t.Context(), path+"2"); err != nil || done.Spilled != 1 {
		t.Errorf("an answer that is not ours: %+v %v", done, err)
	}
}

// TestAFailedBackup leaves nothing that could be taken for one.
func TestAFailedBackup(t *testing.T) {
	dir, _ := filled(t)
	v := open(t, withKey(dir))
	alter(t, dir, "ALTER TABLE audit RENAME TO elsewhere")
	path := filepath.Join(t.TempDir(), "backup")
	if _, err := v.Backup(t.Context(), path); code(err) != fault.VaultUnavailable {
		t.Errorf("success or another fault: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	alter(t, dir, "ALTER TABLE elsewhere RENAME TO audit")
}
