//go:build unix

package vault_test

import (
	"testing"

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
