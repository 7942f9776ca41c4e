//go:build unix

package vault_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

func TestThousandCallersMintOnce(t *testing.T) {
	v := open(t, withKey(folder(t)))
	calls := map[string]func(b *bank) (vault.Record, error){
		"client": func(b *bank) (vault.Record, error) {
			r, _, err := v.Obtain(context.Background(), identity("client_credentials", "a"), vault.Policy{}, b.mint)
			return r, err
		},
		"password": func(b *bank) (vault.Record, error) {
			r, _, err := v.Obtain(context.Background(), identity("password", "a"), vault.Policy{}, b.mint)
			return r, err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			b := &bank{lifetime: time.Hour, refresh: true, delay: 300 * time.Millisecond}
			got := make([]vault.Record, 1000)
			errs := make([]error, 1000)
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() { got[i], errs[i] = call(b) })
			}
			all.Wait()
			for i := range got {
				if errs[i] != nil || got[i].Ref != got[0].Ref || got[i].Generation != got[0].Generation {
					t.Fatalf("caller %d: %v %v", i, got[i].Ref, errs[i])
				}
			}
			if n := b.posts.Load(); n != 1 {
				t.Fatalf("%d mints, want 1", n)
			}
		})
	}
}

// TestThousandCallersPostOnce has 1,000 callers refresh one expired token, a
// hundred tokens one after the other. Half of them begin at once, the others
// until long after the winner has stored its answer: those that read the old
// token must not post again.
func TestThousandCallersPostOnce(t *testing.T) {
	v := open(t, withKey(folder(t)))
	for round := range rounds() {
		r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank{refresh: true}).mint)
		b := &bank{lifetime: time.Hour, refresh: true, delay: 5 * time.Millisecond}
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				if i%2 == 0 {
					time.Sleep(time.Duration(i) * 20 * time.Microsecond)
				}
				got, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, b.mint)
				if err != nil || got.Generation != 2 {
					t.Errorf("generation %d, %v", got.Generation, err)
				}
			})
		}
		all.Wait()
		if n := b.posts.Load(); n != 1 {
			t.Fatalf("round %d: %d mints, want 1", round, n)
		}
	}
}

func TestForcedCallersShareAMintUnderWay(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{lifetime: time.Hour, delay: 200 * time.Millisecond}
	id := identity("client_credentials", "a")
	obtain(t, v, id, vault.Policy{}, b.mint)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { obtain(t, v, id, vault.Policy{Force: true}, b.mint) })
	}
	all.Wait()
	if n := b.posts.Load(); n != 2 {
		t.Fatalf("%d mints, want 2", n)
	}
}

// TestAForcedCallAsksTheProvider, also where it comes while another call reads
// the stored token, or is still minting what it began before.
func TestAForcedCallAsksTheProvider(t *testing.T) {
	o := withKey(folder(t))
	id := identity("client_credentials", "a")
	b := &bank{lifetime: time.Hour}
	first := open(t, o)
	obtain(t, first, id, vault.Policy{}, b.mint)
	shut(t, first)
	for range 20 {
		v := open(t, o)
		b.posts.Store(0)
		var all sync.WaitGroup
		began := make(chan bool)
		all.Go(func() { began <- true; obtain(t, v, id, vault.Policy{}, b.mint) })
		<-began
		all.Go(func() {
			if _, reused, err := v.Obtain(t.Context(), id, vault.Policy{Force: true}, b.mint); reused || err != nil {
				t.Errorf("reused %v, %v", reused, err)
			}
		})
		all.Wait()
		shut(t, v)
		if n := b.posts.Load(); n != 1 {
			t.Errorf("%d mints, want 1", n)
		}
	}
	v, begun, asked := open(t, o), make(chan bool), make(chan bool)
	id = identity("client_credentials", "b")
	var all sync.WaitGroup
	all.Go(func() {
		obtain(t, v, id, vault.Policy{}, func(ctx context.Context, old vault.Record) (token.Token, error) {
			close(begun)
			select {
			case <-asked:
			case <-time.After(10 * time.Second):
				t.Error("the forced call shared a mint that was begun before it")
			}
			return b.mint(ctx, old)
		})
	})
	<-begun
	obtain(t, v, id, vault.Policy{Force: true}, func(ctx context.Context, old vault.Record) (token.Token, error) {
		close(asked)
		return b.mint(ctx, old)
	})
	all.Wait()
}

func TestAWaiterWhoLeavesDoesNotStopTheMint(t *testing.T) {
	for _, grant := range []string{"client_credentials", "password", "authorization_code"} {
		t.Run(grant, func(t *testing.T) {
			v := open(t, withKey(folder(t)))
			b := &bank{lifetime: time.Hour, delay: 200 * time.Millisecond, refresh: true}
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, _, err := v.Obtain(ctx, identity(grant, "a"), vault.Policy{}, func(mctx context.Context, old vault.Record) (token.Token, error) {
				tok, err := b.mint(mctx, old)
				return tok, errors.Join(err, mctx.Err())
			})
			if grant == "client_credentials" { // who began it has it on the same goroutine
				if err != nil {
					t.Fatalf("the mint ended with its caller: %v", err)
				}
			} else if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 150*time.Millisecond {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			time.Sleep(400 * time.Millisecond)
			all, err := v.List(context.Background(), me)
			if err != nil || len(all) != 1 || b.posts.Load() != 1 || all[0].Token.Access.IsZero() {
				t.Fatalf("the answer must be kept: %v %v", all, err)
			}
		})
	}
}

func TestCloseWaitsForAMint(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank{refresh: true}).mint)
	slow := &bank{lifetime: time.Hour, refresh: true, delay: 300 * time.Millisecond}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, _, _ = v.Refresh(ctx, me, r.Ref, vault.Policy{}, slow.mint)
	if err := v.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Close gave up with %v", err)
	}
	shut(t, v)
	if _, err := v.Get(context.Background(), me, r.Ref); code(err) != fault.VaultUnavailable {
		t.Fatalf("after Close: %v", err)
	}
	got, err := open(t, withKey(dir)).Get(context.Background(), me, r.Ref)
	if err != nil || got.Generation != 2 {
		t.Fatalf("the refreshed token was lost: %+v %v", got, err)
	}
}

func TestCoolDown(t *testing.T) {
	o := withKey(folder(t))
	clock := &hands{now: time.Now()}
	o.Now = clock.Now
	v := open(t, o)
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	b.posts.Store(0)
	b.fail.Store(fault.New(fault.Unavailable, "down", "wait"))
	refresh := func() error {
		_, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, b.mint)
		return err
	}
	create := func(force bool) error {
		_, _, err := v.Obtain(context.Background(), identity("client_credentials", "a"), vault.Policy{Force: force}, b.mint)
		return err
	}
	for name, call := range map[string]func() error{"refresh": refresh, "create": func() error { return create(false) }} {
		b.posts.Store(0)
		for range 20 {
			if err := call(); code(err) != fault.Unavailable {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := b.posts.Load(); n != 1 {
			t.Errorf("%s: %d posts within the cool-down, want 1", name, n)
		}
		var f *fault.Fault
		if err := call(); !errors.As(err, &f) || f.RetryAfter <= 0 || f.RetryAfter > 30*time.Second || f.Message != "down" {
			t.Errorf("%s: %v", name, f)
		}
	}
	if b.posts.Store(0); create(true) == nil || b.posts.Load() != 1 {
		t.Error("a forced create is not held off")
	}
	b.fail.Store(nil)
	clock.pass(time.Minute)
	if err := errors.Join(refresh(), create(false)); err != nil {
		t.Errorf("after the cool-down: %v", err)
	}
}

type hands struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hands) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hands) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func TestOnlyReauthorizeEndsAToken(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{lifetime: time.Minute, refresh: true}
	for _, c := range fault.Codes() {
		r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
		b.fail.Store(fault.New(c, "said no", "do this"))
		if _, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, b.mint); code(err) != c {
			t.Errorf("%s became %v", c, err)
		}
		got, err := v.Get(context.Background(), me, r.Ref)
		if err != nil || !got.Token.Refresh.Equal(r.Token.Refresh) {
			t.Fatalf("%s: the refresh token must stay: %v", c, err)
		}
		if (got.State == vault.Reauthorize) != (c == fault.Reauthorize) || (got.State == vault.Live) != (got.Reason == "") {
			t.Errorf("%s: state %s, reason %q", c, got.State, got.Reason)
		}
		b.fail.Store(nil)
		before := b.posts.Load()
		_, _, err = v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, b.mint)
		if c == fault.Reauthorize && (code(err) != c || b.posts.Load() != before) {
			t.Errorf("an ended token was sent again: %v", err)
		}
	}
}

func TestAPanicInTheMint(t *testing.T) {
	v := open(t, withKey(folder(t)))
	_, _, err := v.Obtain(context.Background(), identity("client_credentials", "a"), vault.Policy{},
		func(context.Context, vault.Record) (token.Token, error) { panic(secret.New("x")) })
	if code(err) != fault.Internal {
		t.Fatal(err)
	}
	obtain(t, v, identity("client_credentials", "a"), vault.Policy{}, (&bank{lifetime: time.Hour}).mint)
}
