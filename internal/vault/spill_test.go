//go:build unix

package vault_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// breaking is a mint during which the store breaks down for good.
func breaking(t *testing.T, dir string, b *bank) vault.Mint {
	return func(ctx context.Context, old vault.Record) (token.Token, error) {
		alter(t, dir, "ALTER TABLE records RENAME TO elsewhere")
		return b.mint(ctx, old)
	}
}

func mend(t *testing.T, dir string) { alter(t, dir, "ALTER TABLE elsewhere RENAME TO records") }

// TestAnAnswerBesideTheStore: a store that takes nothing loses nothing, for a
// refresh token as for a code.
func TestAnAnswerBesideTheStore(t *testing.T) {
	for _, what := range []string{"refresh", "code"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			v := open(t, withKey(dir))
			b := &bank{lifetime: time.Minute, refresh: true}
			r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
			var err error
			if what == "refresh" {
				_, _, err = v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, breaking(t, dir, b))
			} else {
				_, _, err = v.Obtain(context.Background(), identity("authorization_code", ""), vault.Policy{}, breaking(t, dir, b))
			}
			if code(err) != fault.VaultUnavailable {
				t.Fatalf("success or another fault: %v", err)
			}
			names, globErr := filepath.Glob(filepath.Dir(dir) + "/*/spill/tok_*")
			if globErr != nil || len(names) != 1 {
				t.Fatalf("spill files: %v %v", names, globErr)
			}
			if info, err := os.Stat(names[0]); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
			if text, err := os.ReadFile(names[0]); err != nil || bytes.Contains(text, []byte("CANARY")) {
				t.Errorf("in clear, or: %v", err)
			}
			mend(t, dir)
			shut(t, v) // as after a crash: another process finds the file
			v = open(t, withKey(dir))
			all, err := v.List(context.Background(), me)
			if err != nil {
				t.Fatal(err)
			}
			newest := all[len(all)-1]
			if want := "refresh-CANARY-2"; newest.Token.Refresh.Reveal() != want || newest.State != vault.Live {
				t.Errorf("%d records, the newest is %s with %s", len(all), newest.State, newest.Token.Refresh.Reveal())
			}
			if _, err := os.Stat(dir + "/spill"); err == nil {
				t.Error("the spill folder is still there")
			}
			if s, err := v.Status(context.Background()); err != nil || s.Spilled != 0 {
				t.Errorf("%+v %v", s, err)
			}
		})
	}
}

// TestAnAnswerInMemory: where neither the store nor the folder beside it can
// be written, the answer stays in memory, and Close waits for it.
func TestAnAnswerInMemory(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	_, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, func(ctx context.Context, old vault.Record) (token.Token, error) {
		write(t, dir+"/spill", "in the way", 0o600)
		return breaking(t, dir, b)(ctx, old)
	})
	if code(err) != fault.VaultUnavailable || v.Unsaved() != 1 {
		t.Fatalf("%v, %d unsaved", err, v.Unsaved())
	}
	hurry, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := v.Close(hurry); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Close did not wait: %v", err)
	}
	mend(t, dir)
	shut(t, v)
	if err := os.Remove(dir + "/spill"); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, withKey(dir)).Get(context.Background(), me, r.Ref)
	if err != nil || got.Token.Refresh.Reveal() != "refresh-CANARY-2" {
		t.Errorf("%v", err)
	}
}

// TestATokenWhoseSuccessorIsInMemory is in doubt for whoever reads it meanwhile:
// the provider may have ended it with the one that came.
func TestATokenWhoseSuccessorIsInMemory(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	late := withKey(dir)
	late.Now = func() time.Time { return time.Now().Add(30 * time.Second) }
	other := open(t, late)
	b := &bank{lifetime: time.Hour, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	_, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, func(ctx context.Context, old vault.Record) (token.Token, error) {
		write(t, dir+"/spill", "in the way", 0o600)
		alter(t, dir, "CREATE TRIGGER full BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'full'); END")
		return b.mint(ctx, old)
	})
	if code(err) != fault.VaultUnavailable || v.Unsaved() != 1 {
		t.Fatalf("%v, %d unsaved", err, v.Unsaved())
	}
	for name, v := range map[string]*vault.Vault{"here": v, "in another process": other} {
		if got, err := v.Get(t.Context(), me, r.Ref); err != nil || got.State != vault.Uncertain || got.Reason == "" {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	alter(t, dir, "DROP TRIGGER full")
	for v.Unsaved() > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	remove(t, dir+"/spill")
	for name, v := range map[string]*vault.Vault{"here": v, "in another process": other} {
		got, reused, err := v.Refresh(t.Context(), me, r.Ref, vault.Policy{}, b.mint)
		if err != nil || !reused || got.Token.Access.Reveal() != "access-CANARY-2" {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

// TestACandidateIsUsed: an answer that came second is kept, and is what a
// token lives on when the winner's is refused.
func TestACandidateIsUsed(t *testing.T) {
	dir := folder(t)
	other := open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	ref := loseARace(t, withKey(dir), b)
	if s, err := other.Status(context.Background()); err != nil || s.Candidates != 1 {
		t.Fatalf("%+v %v", s, err)
	}
	var tried atomic.Int32
	got, _, err := other.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, func(ctx context.Context, old vault.Record) (token.Token, error) {
		tried.Add(1)
		if old.Token.Refresh.Reveal() != "refresh-CANARY-3" {
			return token.Token{}, fault.New(fault.Reauthorize, "the refresh token is no longer valid", "")
		}
		return b.mint(ctx, old)
	})
	if err != nil || got.State != vault.Live || tried.Load() != 2 {
		t.Fatalf("%+v %v after %d tries", got, err, tried.Load())
	}
	if s, err := other.Status(context.Background()); err != nil || s.Candidates != 0 {
		t.Errorf("%+v %v", s, err)
	}
}

// loseARace makes a record with a candidate: the lock is lost, as on a store
// whose leases run out, and another mint of the same record begins and ends
// while the first one is under way.
func loseARace(t *testing.T, o vault.Options, b *bank) (ref string) {
	t.Helper()
	first, other := open(t, o), open(t, o)
	ref = obtain(t, first, identity("authorization_code", ""), vault.Policy{}, b.mint).Ref
	_, _, err := first.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, func(ctx context.Context, old vault.Record) (token.Token, error) {
		loseLocks(t, o.Dir)
		if got, _, err := other.Refresh(ctx, me, ref, vault.Policy{Force: true}, b.mint); err != nil || got.Generation != 2 {
			t.Errorf("%+v %v", got, err)
		}
		return b.mint(ctx, old)
	})
	if err != nil {
		t.Fatal(err)
	}
	shut(t, first)
	shut(t, other)
	return ref
}

// loseLocks takes all locks away from who holds them.
func loseLocks(t *testing.T, dir string) {
	t.Helper()
	if onServer(dir) != "" {
		alter(t, dir, "DELETE FROM leases")
		return
	}
	entries, err := os.ReadDir(dir + "/locks")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Remove(dir + "/locks/" + e.Name()); err != nil {
			t.Fatal(err)
		}
	}
}
