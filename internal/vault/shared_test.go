//go:build unix

package vault_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// Two vaults on one folder stand for two processes here: a lock belongs to an
// open file, not to a process.

func TestForcedRefreshAcrossProcessesIsShared(t *testing.T) {
	dir := folder(t)
	one, two := open(t, withKey(dir)), open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, one, identity("authorization_code", ""), vault.Policy{}, b.mint)
	b.posts.Store(0)
	b.delay = 300 * time.Millisecond
	var both sync.WaitGroup
	for i, v := range []*vault.Vault{one, two} {
		both.Go(func() {
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			got, reused, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, b.mint)
			if err != nil || reused || got.Generation != 2 {
				t.Errorf("%d: %+v %v %v", i, got, reused, err)
			}
		})
	}
	both.Wait()
	if n := b.posts.Load(); n != 1 {
		t.Fatalf("%d posts, want 1", n)
	}
}

func TestTheNewestClientTokenStays(t *testing.T) {
	dir := folder(t)
	one, two := open(t, withKey(dir)), open(t, withKey(dir))
	b := &bank{lifetime: time.Hour}
	id := identity("client_credentials", "a")
	var last vault.Record
	for i := range 400 {
		v := one
		if i/7%2 == 1 {
			v = two
		}
		time.Sleep(2 * time.Millisecond)
		last = obtain(t, v, id, vault.Policy{Force: true}, b.mint)
	}
	shut(t, two) // the last to mint is the first to write: the other must not write over it
	shut(t, one)
	got, err := open(t, withKey(dir)).Get(context.Background(), me, last.Ref)
	if err != nil || !got.Token.Access.Equal(last.Token.Access) {
		t.Fatalf("kept %s of %s: %v", number(got), number(last), err)
	}
}

func number(r vault.Record) string {
	text := r.Token.Access.Reveal()
	return text[strings.LastIndex(text, "-")+1:]
}

// TestMoreThanTheCacheHolds: what does not fit is read again and keeps its ref.
func TestMoreThanTheCacheHolds(t *testing.T) {
	const many = 5000
	v := open(t, withKey(folder(t)))
	b := &bank{lifetime: time.Hour}
	refs := make([]string, many)
	for round := range 2 {
		var all sync.WaitGroup
		for w := range 50 {
			all.Go(func() {
				for i := w; i < many; i += 50 {
					r := obtain(t, v, identity("client_credentials", strconv.Itoa(i)), vault.Policy{}, b.mint)
					if round == 0 {
						refs[i] = r.Ref
					} else if refs[i] != r.Ref {
						t.Errorf("%d changed its ref", i)
					}
				}
			})
		}
		all.Wait()
	}
	if n := b.posts.Load(); n != many {
		t.Errorf("%d mints, want %d", n, many)
	}
}

func TestAnotherProcessForgets(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Hour}
	id := identity("client_credentials", "a")
	r := obtain(t, v, id, vault.Policy{}, b.mint)
	p := spawn(t, order{Do: "forget", Dir: dir, Ref: r.Ref})
	p.push()
	p.expect("done")
	p.end()
	time.Sleep(1100 * time.Millisecond)
	if _, err := v.Get(context.Background(), me, r.Ref); code(err) != "invalid_argument" {
		t.Fatalf("Get still answers: %v", err)
	}
	if again := obtain(t, v, id, vault.Policy{}, b.mint); again.Ref == r.Ref || b.posts.Load() != 2 {
		t.Fatal("a forgotten token was handed out")
	}
}

// TestASpentGrantOutlivesAFailingStore: what a code, a password or a refresh
// token was given for is written again until the store takes it.
func TestASpentGrantOutlivesAFailingStore(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	var repairs sync.WaitGroup
	failing := func(ctx context.Context, old vault.Record) (token.Token, error) {
		alter(t, dir, "ALTER TABLE records RENAME TO elsewhere")
		repairs.Go(func() {
			time.Sleep(100 * time.Millisecond)
			alter(t, dir, "ALTER TABLE elsewhere RENAME TO records")
		})
		return b.mint(ctx, old)
	}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, failing)
	repairs.Wait()
	r, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, failing)
	repairs.Wait()
	if err != nil || r.Generation != 2 {
		t.Fatalf("the answer to a refresh was lost: %+v %v", r, err)
	}
	if got, err := v.Get(context.Background(), me, r.Ref); err != nil || !got.Token.Refresh.Equal(r.Token.Refresh) {
		t.Errorf("the store has another refresh token: %v", err)
	}
}

// The same call again is for another user once its answer was heard, also in
// another process, and for the same one where nobody may have heard it.
func TestAnotherProcessMakesAnotherUser(t *testing.T) {
	dir := folder(t)
	servers := []*vault.Vault{open(t, withKey(dir)), open(t, withKey(dir))}
	users := map[string]bool{}
	for i, heard := range []bool{true, true, false, true, true} {
		proposed := "user" + strconv.Itoa(i)
		m, err := servers[i%2].Make(t.Context(), vault.NewUser{Call: "args {}", Password: secret.New("p" + proposed),
			Account: vault.Account{Principal: me, Provider: "finapi", Environment: "sandbox", Client: "c", User: proposed}}, vault.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		users[m.Account().User] = true
		if err := m.Done("", m.Password); err != nil {
			t.Fatal(err)
		}
		if heard {
			m.Heard()
		}
	}
	if len(users) != 4 || users["user3"] {
		t.Errorf("the users are %v; the fourth call repeats the third", users)
	}
}
