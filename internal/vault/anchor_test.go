//go:build unix

package vault_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// TestAStorePutBackIsNoticed: its refresh tokens are not used without a word.
func TestAStorePutBackIsNoticed(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string, old map[string]string){
		"the store alone": func(t *testing.T, dir string, old map[string]string) {
			write(t, dir+"/vault.db", old[dir+"/vault.db"], 0o600)
		},
		"without the anchor": func(t *testing.T, dir string, old map[string]string) {
			write(t, dir+"/vault.db", old[dir+"/vault.db"], 0o600)
			remove(t, dir+"/vault.head")
		},
		"one that went on elsewhere": func(t *testing.T, dir string, old map[string]string) {
			theirs := t.TempDir()
			chmod(t, theirs, 0o700)
			for _, name := range []string{"/vault.db", "/vault.head"} {
				write(t, theirs+name, old[dir+name], 0o600)
			}
			v := open(t, withKey(theirs))
			if err := v.KeepPassword(t.Context(), vault.Account{Principal: me}, secret.New("p")); err != nil {
				t.Fatal(err)
			}
			shut(t, v)
			write(t, dir+"/vault.db", contents(t, theirs)[theirs+"/vault.db"], 0o600)
		},
		"another's anchor": func(t *testing.T, dir string, _ map[string]string) {
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
			old := contents(t, dir)
			v := open(t, withKey(dir))
			b := &bank{lifetime: time.Hour, refresh: true}
			if _, _, err := v.Refresh(t.Context(), me, refs[0], vault.Policy{Force: true}, b.mint); err != nil {
				t.Fatal(err)
			}
			shut(t, v)
			spoil(t, dir, old)
			asItWas := contents(t, dir)[dir+"/vault.db"]

			if s, err := vault.Inspect(t.Context(), withKey(dir)); err != nil || !s.PutBack {
				t.Errorf("Inspect: %+v %v", s, err)
			}
			b.posts.Store(0)
			v = open(t, withKey(dir))
			if copies, err := filepath.Glob(filepath.Dir(dir) + "/*/vault.db.put-back-*Z"); err != nil || len(copies) != 1 || contents(t, dir)[copies[0]] != asItWas {
				t.Errorf("the store as it was is not in a copy: %v %v", copies, err)
			}
			if head := contents(t, dir)[dir+"/vault.head"]; binary.BigEndian.Uint64([]byte(head)) != uint64(verify(t, dir).Last) {
				t.Error("the anchor does not vouch for the doubt")
			}
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
			if got, err := v.Get(t.Context(), me, refs[0]); err != nil || got.State != vault.Live || got.Reason != "" {
				t.Errorf("accepted: %+v %v", got, err)
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

// TestWhatIsDoubted: refresh tokens that may have been spent, and nothing else.
func TestWhatIsDoubted(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Hour, refresh: true}
	refs := map[string]vault.State{}
	for _, c := range []struct {
		state   vault.State
		refresh bool
		fail    fault.Code
	}{{vault.Suspect, true, ""}, {vault.Suspect, true, fault.Uncertain}, {vault.Reauthorize, true, fault.Reauthorize}, {vault.Live, false, ""}} {
		b.refresh = c.refresh
		ref := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint).Ref
		refs[ref] = c.state
		if c.fail != "" {
			b.fail.Store(fault.New(c.fail, "as the case wants it", ""))
			if _, _, err := v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, b.mint); code(err) != c.fail {
				t.Fatal(err)
			}
			b.fail.Store(nil)
		}
	}
	if s, err := v.Status(t.Context()); err != nil || s.Tokens[vault.Uncertain] != 1 {
		t.Fatalf("%+v %v", s, err)
	}
	shut(t, v)
	remove(t, dir+"/vault.head")
	v = open(t, withKey(dir))
	for ref, state := range refs {
		if got, err := v.Get(t.Context(), me, ref); err != nil || got.State != state {
			t.Errorf("%+v %v, want %s", got, err, state)
		}
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
	if onServer(dir) == "" && contents(t, dir)[dir+"/vault.head"] == "" {
		t.Error("it stays empty, so that a store put back is not noticed")
	}
	one, two := open(t, withKey(dir)), open(t, withKey(dir))
	for _, v := range []*vault.Vault{one, two} {
		if err := v.KeepPassword(t.Context(), vault.Account{Principal: me}, secret.New("p")); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, two)
	newest := contents(t, dir)[dir+"/vault.head"]
	if shut(t, one); contents(t, dir)[dir+"/vault.head"] != newest {
		t.Error("a process that has written less has put its older head over a newer one")
	}
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

// TestAcceptRefusals change nothing, and one that does not open keeps nothing
// else from being accepted.
func TestAcceptRefusals(t *testing.T) {
	dir, refs := filled(t)
	alter(t, dir, `UPDATE records SET sealed = zeroblob(100) WHERE ref = '`+refs[2]+`'`)
	path := backUp(t, open(t, withKey(dir)))
	o := withKey(folder(t))
	if r, err := vault.Restore(t.Context(), o, path); err != nil || len(r.Suspect) != 5 {
		t.Fatalf("%+v %v", r, err)
	}
	alter(t, o.Dir, `UPDATE records SET sealed = zeroblob(100) WHERE ref = '`+refs[4]+`'`)
	v := open(t, o)
	for name, c := range map[string]struct {
		refs []string
		code fault.Code
	}{
		"unknown":       {[]string{refs[0], "tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, fault.InvalidArgument},
		"malformed":     {[]string{refs[0], "x"}, fault.InvalidArgument},
		"not suspect":   {[]string{refs[0], refs[1]}, fault.InvalidArgument},
		"does not open": {[]string{refs[0], refs[4]}, fault.Reauthorize},
	} {
		if got, err := v.Accept(t.Context(), c.refs...); code(err) != c.code || len(got) > 0 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if s, err := v.Status(t.Context()); err != nil || s.Tokens[vault.Suspect] != 4 {
		t.Errorf("%+v %v", s, err)
	}
	if got, err := v.Accept(t.Context()); err != nil || len(got) != 4 {
		t.Errorf("all: %v %v", got, err)
	}
}
