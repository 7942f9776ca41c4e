//go:build unix

package vault_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// TestWhatBelongsToARecordComesBack with it, into the vault that lost it and
// into a new one: the candidate it may live on, the word on a refresh that was
// cut off, and a user on the way.
func TestWhatBelongsToARecordComesBack(t *testing.T) {
	for name, fresh := range map[string]bool{"into a live vault": false, "into none": true} {
		t.Run(name, func(t *testing.T) {
			o := withKey(folder(t))
			b := &bank{lifetime: time.Minute, refresh: true}
			ref := loseARace(t, o, b)
			v := open(t, o)
			cut := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint).Ref
			berta := vault.NewUser{Account: vault.Account{Principal: me, Provider: "finapi", User: "berta"}, Call: "call", Password: secret.New("b")}
			making, err := v.Make(t.Context(), berta, vault.Policy{})
			if err != nil {
				t.Fatal(err)
			}
			if err := making.Unknown(t.Context(), secret.Value{}); err != nil {
				t.Fatal(err)
			}
			dieMinting(t, hanging(t, o.Dir, cut), o.Dir)
			path := backUp(t, v)
			if fresh {
				o = withKey(folder(t))
			} else {
				for _, r := range []string{ref, cut} {
					if err := v.Forget(t.Context(), me, r); err != nil {
						t.Fatal(err)
					}
				}
				if making, err = v.Make(t.Context(), berta, vault.Policy{}); err != nil {
					t.Fatal(err)
				}
				if err := making.Failed(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			shut(t, v)
			if r, err := vault.Restore(t.Context(), o, path); err != nil || r.Inserted != 2 || len(r.Suspect) != 2 {
				t.Fatalf("%+v %v", r, err)
			}
			v = open(t, o)
			if _, err := v.Accept(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := v.Get(t.Context(), me, cut); err != nil || got.State != vault.Uncertain {
				t.Errorf("the refresh that was cut off: %+v %v", got, err)
			}
			var tried atomic.Int32
			if _, _, err := v.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, func(ctx context.Context, old vault.Record) (token.Token, error) {
				if tried.Add(1); old.Token.Refresh.Reveal() != "refresh-CANARY-3" {
					return token.Token{}, fault.New(fault.Reauthorize, "the refresh token is no longer valid", "")
				}
				return b.mint(ctx, old)
			}); err != nil || tried.Load() != 2 {
				t.Errorf("the candidate was not tried: %v after %d", err, tried.Load())
			}
			other := berta
			other.User = "another"
			if making, err = v.Make(t.Context(), other, vault.Policy{}); err != nil {
				t.Fatal(err)
			}
			if making.Account().User != "berta" || making.Password.Reveal() != "b" {
				t.Errorf("the user on the way: %+v", making)
			}
			if err := making.Failed(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r, err := vault.Restore(t.Context(), o, path); err != nil || r.Kept != 2 {
				t.Errorf("once more: %+v %v", r, err)
			}
			if s, err := v.Status(t.Context()); err != nil || s.Candidates != 0 {
				t.Errorf("a record that stays has got the backup's candidate: %+v %v", s, err)
			}
		})
	}
}

// TestUnreadableInABackup is counted, and stops nothing else.
func TestUnreadableInABackup(t *testing.T) {
	dir, refs := filled(t)
	v := open(t, withKey(dir))
	for _, name := range []string{"anna", "berta"} {
		if err := v.KeepPassword(t.Context(), vault.Account{Principal: me, User: name}, secret.New("p")); err != nil {
			t.Fatal(err)
		}
	}
	alter(t, dir, `UPDATE records SET sealed = zeroblob(100) WHERE ref = '`+refs[0]+`'`,
		`UPDATE passwords SET sealed = zeroblob(60) WHERE lookup = (SELECT lookup FROM passwords ORDER BY lookup LIMIT 1)`)
	path := backUp(t, v)
	if r, err := vault.Restore(t.Context(), withKey(folder(t)), path); err != nil || r.Unreadable != 2 || r.Inserted != 11 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := vault.Restore(t.Context(), withKey(dir), path); err != nil || r.Unreadable != 2 || r.Kept != 11 {
		t.Errorf("%+v %v", r, err)
	}
}

// TestRestoreOfAForksBackup: two vaults of one backup were given the same new
// key, and have data keys of their own since. What the later one had doubted,
// too, waits for the operator's word, and he is told.
func TestRestoreOfAForksBackup(t *testing.T) {
	dir, _ := filled(t)
	path := backUp(t, open(t, withKey(dir)))
	anew := vault.Key{Value: secret.New(strings.Repeat("B", 43) + "=")}
	var forks []vault.Options
	for range 2 {
		o := withKey(folder(t))
		if _, err := vault.Restore(t.Context(), o, path); err != nil {
			t.Fatal(err)
		}
		v := open(t, o)
		if _, err := v.Rekey(t.Context(), anew); err != nil {
			t.Fatal(err)
		}
		shut(t, v)
		o.Key = anew
		forks = append(forks, o)
	}
	v := open(t, forks[1])
	obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
	if r, err := vault.Restore(t.Context(), forks[0], backUp(t, v)); err != nil || r.Inserted != 1 || r.Replaced != 6 || r.Kept != 6 || r.Unreadable != 0 || len(r.Suspect) != 7 {
		t.Errorf("%+v %v", r, err)
	}
}

// TestRestoresAtOnce: one of them makes the vault, and the others find in it
// what they would bring.
func TestRestoresAtOnce(t *testing.T) {
	dir, _ := filled(t)
	path := backUp(t, open(t, withKey(dir)))
	o := withKey(folder(t))
	var made, kept atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			r, err := vault.Restore(context.Background(), o, path)
			if err != nil {
				t.Error(err)
			}
			if r.Made {
				made.Add(1)
			}
			kept.Add(int32(r.Kept))
		})
	}
	all.Wait()
	if made.Load() != 1 || kept.Load() != 36 {
		t.Errorf("made %d times, kept %d", made.Load(), kept.Load())
	}
	if s, err := open(t, o).Status(t.Context()); err != nil || s.Tokens[vault.Suspect] != 6 || s.Tokens[vault.Live] != 6 {
		t.Errorf("%+v %v", s, err)
	}
}

// TestTheNewerStateStays where the whole folder was put back, so that nobody
// doubts it. It is told by the generation first: a clock may have gone back.
func TestTheNewerStateStays(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(v *vault.Vault, ref string, b *bank) // between the copy of the store and the backup
		clock time.Duration                             // the copy's, ahead of the backup's
		state vault.State
		spare int // candidates
	}{
		"renewed":                         {renew, 0, vault.Suspect, 1},
		"renewed, with a clock gone back": {renew, -time.Hour, vault.Suspect, 1},
		"ended": {func(v *vault.Vault, ref string, b *bank) {
			b.fail.Store(fault.New(fault.Reauthorize, "it is over", ""))
			_, _, _ = v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, b.mint)
		}, 0, vault.Reauthorize, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			o := withKey(dir)
			o.Now = func() time.Time { return time.Now().Add(-time.Minute) }
			v := open(t, o)
			b := &bank{lifetime: time.Hour, refresh: true}
			ref := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint).Ref
			shut(t, v)
			old := contents(t, dir)
			o.Now = func() time.Time { return time.Now().Add(c.clock) }
			v = open(t, o)
			c.then(v, ref, b)
			path := backUp(t, v)
			shut(t, v)
			for _, path := range []string{dir + "/vault.db", dir + "/vault.head"} {
				write(t, path, old[path], 0o600)
			}
			if r, err := vault.Restore(t.Context(), withKey(dir), path); err != nil || r.Replaced != 1 {
				t.Errorf("%+v %v", r, err)
			}
			v = open(t, withKey(dir))
			if got, err := v.Get(t.Context(), me, ref); err != nil || got.State != c.state {
				t.Errorf("%+v %v", got, err)
			}
			if s, err := v.Status(t.Context()); err != nil || s.Candidates != c.spare {
				t.Errorf("%+v %v", s, err)
			}
		})
	}
}

func renew(v *vault.Vault, ref string, b *bank) {
	_, _, _ = v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, b.mint)
}
