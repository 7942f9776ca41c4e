//go:build unix

package vault_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/vault"
)

// TestAStorePutBackIsNoticed: its refresh tokens are not used without a word.
func TestAStorePutBackIsNoticed(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir, old string){
		"the store alone": func(t *testing.T, dir, old string) { write(t, dir+"/vault.db", old, 0o600) },
		"without the anchor": func(t *testing.T, dir, old string) {
			write(t, dir+"/vault.db", old, 0o600)
			remove(t, dir+"/vault.head")
		},
		"another's anchor": func(t *testing.T, dir, old string) {
			theirs, _ := filled(t)
			b, err := os.ReadFile(theirs + "/vault.head")
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/vault.head", string(b), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, refs := filled(t)
			old, err := os.ReadFile(dir + "/vault.db")
			if err != nil {
				t.Fatal(err)
			}
			v := open(t, withKey(dir))
			b := &bank{lifetime: time.Hour, refresh: true}
			if _, _, err := v.Refresh(t.Context(), me, refs[0], vault.Policy{Force: true}, b.mint); err != nil {
				t.Fatal(err)
			}
			shut(t, v)
			spoil(t, dir, string(old))

			if s, err := vault.Inspect(t.Context(), withKey(dir)); err != nil || !s.PutBack {
				t.Errorf("Inspect: %+v %v", s, err)
			}
			b.posts.Store(0)
			v = open(t, withKey(dir))
			for i, ref := range refs {
				_, _, err := v.Refresh(t.Context(), me, ref, vault.Policy{Force: i%4 < 2}, b.mint)
				if i%2 == 1 { // client_credentials
					if err != nil {
						t.Errorf("%s: %v", ref, err)
					}
					continue
				}
				if code(err) != fault.VaultUnavailable || !strings.Contains(fault.From(err).Hint, "bankauth vault accept "+ref) {
					t.Errorf("%s: %v", ref, err)
				}
			}
			if n := b.posts.Load(); n != 3 {
				t.Errorf("%d posts, want 3, of client_credentials", n)
			}
			if _, err := v.Accept(t.Context(), refs[0], refs[1]); code(err) != fault.InvalidArgument {
				t.Errorf("accepting one that is not suspect: %v", err)
			}
			if got, err := v.Accept(t.Context(), refs[0]); err != nil || fmt.Sprint(got) != fmt.Sprint(refs[:1]) {
				t.Errorf("accept: %v %v", got, err)
			}
			if _, _, err := v.Refresh(t.Context(), me, refs[0], vault.Policy{Force: true}, b.mint); err != nil {
				t.Errorf("after the operator's word: %v", err)
			}
			shut(t, v)
			v = open(t, withKey(dir)) // and it is not noticed a second time
			s, err := v.Status(t.Context())
			if err != nil || s.Tokens[vault.Suspect] != 5 || s.Tokens[vault.Live] != 7 {
				t.Errorf("%+v %v", s, err)
			}
			if got, err := v.Accept(t.Context()); err != nil || len(got) != 5 {
				t.Errorf("accept all: %v %v", got, err)
			}
			all, _, err := vault.Audit(t.Context(), withKey(dir), vault.Choice{Ref: refs[2], Last: 2})
			if err != nil || len(all) != 2 || all[0].Event != "doubted" || all[1].Event != "accepted" {
				t.Errorf("audit: %+v %v", all, err)
			}
			if r := verify(t, dir); len(r.Findings) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestAnAnchorIsNoFalseAlarm: kills, a torn anchor and other processes are not
// taken for a store that was put back.
func TestAnAnchorIsNoFalseAlarm(t *testing.T) {
	dir, refs := filled(t)
	sound := func(when string) {
		t.Helper()
		v, err := vault.Open(context.Background(), withKey(dir))
		if err != nil {
			t.Fatal(when, err)
		}
		if s, err := v.Status(context.Background()); err != nil || s.Tokens[vault.Suspect] > 0 {
			t.Errorf("%s: %+v %v", when, s, err)
		}
		shut(t, v)
	}
	write(t, dir+"/vault.head", "", 0o600)
	sound("an empty anchor")
	bank := newProvider(t, 0)
	for range 3 {
		p := spawn(t, order{Do: "refresh", Dir: dir, Ref: refs[0], URL: bank.URL, Calls: 1})
		q := spawn(t, order{Do: "obtain", Dir: dir, URL: bank.URL, Grant: "authorization_code", Calls: 40})
		p.push()
		q.push()
		q.line()
		p.kill()
		q.kill()
		sound("after a kill")
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
