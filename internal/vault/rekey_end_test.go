//go:build unix

package vault_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"sync"
	"testing"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// TestRekeyCutOff stands for a kill at each step: the vault opens with the one
// key or with the other.
func TestRekeyCutOff(t *testing.T) {
	noKeyring(t)
	o := vault.Options{Dir: folder(t)}
	bank := &strict{now: map[string]string{}}
	v := open(t, o)
	bank.consent(t, v)
	old, err := os.ReadFile(o.Dir + "/vault.key")
	if err != nil {
		t.Fatal(err)
	}
	shut(t, v)

	write(t, o.Dir+"/vault.key.next", keyText, 0o600) // after the new key was written
	v = open(t, o)
	bank.alive(t, v)
	if _, err := v.Rekey(t.Context(), vault.Key{}); err != nil {
		t.Fatal(err)
	}
	shut(t, v)
	if err := os.Rename(o.Dir+"/vault.key", o.Dir+"/vault.key.next"); err != nil { // after the commit
		t.Fatal(err)
	}
	write(t, o.Dir+"/vault.key", string(old), 0o600)
	if s, err := vault.Inspect(t.Context(), o); err != nil || s.Tokens[vault.Live] != 1 {
		t.Errorf("Inspect: %+v %v", s, err)
	}
	bank.alive(t, open(t, o))
	if _, err := os.Stat(o.Dir + "/vault.key.next"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new key was not put in its place: %v", err)
	}
	bank.alive(t, open(t, o))
}

// TestRekeyThatFails: what cannot be committed leaves the vault the key that it
// had, also where a rekey before it was cut off and left that key under its
// passing name.
func TestRekeyThatFails(t *testing.T) {
	noKeyring(t)
	for name, cut := range map[string]bool{"at rest": false, "after one that was cut off": true} {
		t.Run(name, func(t *testing.T) {
			o := vault.Options{Dir: folder(t)}
			bank := &strict{now: map[string]string{}}
			v := open(t, o)
			bank.consent(t, v)
			if cut {
				old, err := os.ReadFile(o.Dir + "/vault.key")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := open(t, o).Rekey(t.Context(), vault.Key{}); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(o.Dir+"/vault.key", o.Dir+"/vault.key.next"); err != nil {
					t.Fatal(err)
				}
				write(t, o.Dir+"/vault.key", string(old), 0o600)
			}
			alter(t, o.Dir, `CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`)
			if _, err := v.Rekey(t.Context(), vault.Key{}); code(err) != fault.VaultUnavailable {
				t.Errorf("what cannot be audited was done: %v", err)
			}
			alter(t, o.Dir, `DROP TRIGGER no`)
			bank.alive(t, open(t, o))
			if _, err := v.Rekey(t.Context(), vault.Key{}); err != nil {
				t.Errorf("once more: %v", err)
			}
			bank.alive(t, open(t, o))
			audit, _, err := vault.Audit(t.Context(), o, vault.Choice{Last: 1})
			if err != nil || len(audit) != 1 || audit[0].Event != "rekeyed" {
				t.Errorf("audit: %+v %v", audit, err)
			}
		})
	}
}

// TestWhatIsWrittenDuringARekey by a server with the old key is looked for
// again. A trigger stands for the server: it writes when the first text is
// sealed anew.
func TestWhatIsWrittenDuringARekey(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	bank := &strict{now: map[string]string{}}
	bank.consent(t, v)
	anna := vault.Account{Principal: me, User: "anna"}
	if err := v.KeepPassword(t.Context(), anna, secret.New("p")); err != nil {
		t.Fatal(err)
	}
	alter(t, dir, `CREATE TABLE later AS SELECT * FROM passwords`, `DELETE FROM passwords`,
		`CREATE TRIGGER late AFTER UPDATE ON records BEGIN INSERT INTO passwords SELECT * FROM later; DELETE FROM later; END`)
	o := withKey(dir)
	o.Key.Value = secret.New(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32)))
	if r, err := v.Rekey(t.Context(), o.Key); err != nil || r.Sealed != 2 || r.Left != 0 {
		t.Errorf("%+v %v", r, err)
	}
	shut(t, v)
	if f := found(t, o); f.Old != 0 {
		t.Errorf("%+v", f)
	}
	if p, held, err := open(t, o).Password(t.Context(), anna); err != nil || !held || p.Reveal() != "p" {
		t.Errorf("%v %v", held, err)
	}
}

// TestRekeysAtOnce wait for each other: none writes over the key that another
// has put down.
func TestRekeysAtOnce(t *testing.T) {
	noKeyring(t)
	o := vault.Options{Dir: folder(t)}
	bank := &strict{now: map[string]string{}}
	bank.consent(t, open(t, o))
	var all sync.WaitGroup
	for range 4 {
		v := open(t, o)
		all.Go(func() {
			for range 3 {
				if _, err := v.Rekey(context.Background(), vault.Key{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	bank.alive(t, open(t, o))
}
