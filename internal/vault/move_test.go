//go:build unix

package vault_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/testdb"
	"bankauth/internal/vault"
)

// moveBetweenStores takes a vault from SQLite to the server, on to another
// database there, and back into a file, by backups.
func moveBetweenStores(t *testing.T, db testdb.Server) {
	bank := &strict{now: map[string]string{}}
	place := withKey(t.TempDir() + "/file")
	place.Store = secret.Value{}
	v := open(t, place)
	ref := bank.consent(t, v)
	for _, to := range []string{"one", "two", ""} {
		path := backUp(t, v)
		next := withKey(t.TempDir() + "/own")
		if next.Store = (secret.Value{}); to != "" {
			next.Store = secret.New(db.Create(t, nameOf(t)+to))
		}
		r, err := vault.Restore(t.Context(), next, path)
		if err != nil || !r.Made || r.Inserted != 1 || len(r.Suspect) != 1 {
			t.Fatalf("to %q: %+v %v", to, r, err)
		}
		if r, err := vault.Restore(t.Context(), next, path); err != nil || r.Made || r.Kept != 1 {
			t.Errorf("to %q again: %+v %v", to, r, err)
		}
		v = open(t, next)
		if n, err := v.Accept(t.Context()); err != nil || len(n) != 1 {
			t.Fatalf("to %q: accepted %v, %v", to, n, err)
		}
		if _, _, err := v.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, bank.mint); err != nil {
			t.Errorf("to %q: %v", to, err)
		}
		if rep, err := vault.VerifyAudit(t.Context(), next); err != nil || len(rep.Findings) > 0 {
			t.Errorf("to %q: %+v %v", to, rep, err)
		}
	}
	wrong := withKey(t.TempDir() + "/own")
	wrong.Store = secret.New(db.Create(t, nameOf(t)+"wrong"))
	wrong.Key = vault.Key{Value: secret.New("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")}
	if _, err := vault.Restore(t.Context(), wrong, backUp(t, v)); code(err) != "vault_unavailable" {
		t.Errorf("with another key: %v", err)
	}
	shut(t, open(t, wrong)) // nothing was made
}

// rekeyedElsewhere has another machine change the key between the look at the
// vault's keys and the exchange: its new data key is not written over.
func rekeyedElsewhere(t *testing.T, db testdb.Server) {
	store := secret.New(db.Create(t, nameOf(t)+"rekey"))
	here, there := withKey(t.TempDir()+"/here"), withKey(t.TempDir()+"/there")
	here.Store, there.Store = store, store
	bank := &strict{now: map[string]string{}}
	bank.consent(t, open(t, there))
	theirs := vault.Key{Value: secret.New(strings.Repeat("B", 43) + "=")}
	amid := &interrupted{}
	here.Rand = amid
	v := open(t, here)
	amid.then = func() {
		if _, err := open(t, there).Rekey(context.Background(), theirs); err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Rekey(t.Context(), vault.Key{Value: secret.New(strings.Repeat("C", 43) + "=")}); code(err) != fault.VaultUnavailable || !strings.Contains(fault.From(err).Message, "another new key meanwhile") {
		t.Errorf("it was written over: %v", err)
	}
	there.Key = theirs
	bank.alive(t, open(t, there))
}

// interrupted is a source of randomness that does something first, once.
type interrupted struct{ then func() }

func (i *interrupted) Read(b []byte) (int, error) {
	if then := i.then; then != nil {
		i.then = nil
		then()
	}
	return rand.Read(b)
}
