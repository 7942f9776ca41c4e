//go:build unix

package vault_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// TestACodeIsSpentOnce repeats the exchange of a code: whoever has the token
// already is told which one it is, and the provider hears of it once. RFC 6749
// §4.1.2 has it revoke what a second use finds.
func TestACodeIsSpentOnce(t *testing.T) {
	o := withKey(folder(t))
	v := open(t, o)
	b := &bank{refresh: true}
	id, p := identity("authorization_code", ""), vault.Policy{Once: secret.New("code")}
	rec := obtain(t, v, id, p, b.mint)
	again := func(when string) {
		t.Helper()
		_, _, err := v.Obtain(context.Background(), id, p, b.mint)
		if f := fault.From(err); f == nil || f.Code != fault.Reauthorize || !strings.Contains(f.Hint, rec.Ref) {
			t.Errorf("%s: %v, hint %q", when, err, f.Hint)
		}
		if n := b.posts.Load(); n != 1 {
			t.Errorf("%s: %d posts", when, n)
		}
	}
	again("at once")
	shut(t, v)
	v = open(t, o)
	again("by another process")

	other := p
	other.Once = secret.New("another code")
	if r := obtain(t, v, id, other, b.mint); r.Ref == rec.Ref {
		t.Error("another code has the same token")
	}
}

// TestACodeWhoseAnswerNobodyHeard takes the call back while the provider
// answers: its repeat has the token that it made, once.
func TestACodeWhoseAnswerNobodyHeard(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{refresh: true, delay: 100 * time.Millisecond}
	id, p := identity("authorization_code", ""), vault.Policy{Once: secret.New("code")}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := v.Obtain(ctx, id, p, b.mint); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want the end of the call", err)
	}
	rec, _, err := v.Obtain(context.Background(), id, p, b.mint)
	if err != nil || rec.Token.Access.IsZero() {
		t.Fatalf("its repeat: %v", err)
	}
	if _, _, err := v.Obtain(context.Background(), id, p, b.mint); code(err) != fault.Reauthorize {
		t.Errorf("the repeat after that: %v", err)
	}
	if n := b.posts.Load(); n != 1 {
		t.Errorf("%d posts", n)
	}
}

// TestACodeThatBroughtOnlyARefreshToken is not sent again: its repeat is told
// which token goes on with that one.
func TestACodeThatBroughtOnlyARefreshToken(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{refresh: true, lifetime: time.Hour}
	id, p := identity("authorization_code", ""), vault.Policy{Once: secret.New("code")}
	half := func(ctx context.Context, old vault.Record) (token.Token, error) {
		whole, _ := b.mint(ctx, old)
		return token.Token{Refresh: whole.Refresh}, fault.New(fault.Uncertain, "half an answer came", "call again")
	}
	_, _, err := v.Obtain(t.Context(), id, p, half)
	all, lerr := v.List(t.Context(), me)
	if lerr != nil || len(all) != 1 || code(err) != fault.Uncertain || !strings.Contains(fault.From(err).Hint, all[0].Ref) {
		t.Fatalf("%v, and %+v %v", err, all, lerr)
	}
	for range 2 {
		_, _, err := v.Obtain(t.Context(), id, p, b.mint)
		if code(err) != fault.Reauthorize || !strings.Contains(fault.From(err).Hint, all[0].Ref) || b.posts.Load() != 1 {
			t.Errorf("%v, and %d posts", err, b.posts.Load())
		}
	}
	if rec, _, err := v.Refresh(t.Context(), me, all[0].Ref, vault.Policy{}, b.mint); err != nil || rec.State != vault.Live {
		t.Errorf("%+v %v", rec, err)
	}
	if rec, reused, err := v.Obtain(t.Context(), id, p, b.mint); err != nil || !reused || rec.Ref != all[0].Ref {
		t.Errorf("after that: %+v %v", rec, err)
	}
}

// A code that was spent for an answer that died is said to be spent so, as
// often as it is asked: the first to hear may die as well.
func TestALostCodeIsRemembered(t *testing.T) {
	v := open(t, withKey(folder(t)))
	id, p := identity("authorization_code", ""), vault.Policy{Once: secret.New("code")}
	said := fault.New(fault.Uncertain, "no answer came", "call again")
	for i := range 3 {
		_, _, err := v.Obtain(t.Context(), id, p, func(context.Context, vault.Record) (token.Token, error) { return token.Token{}, said })
		if f := fault.From(err); i > 0 && (f.Code != fault.Reauthorize || !strings.Contains(f.Message, "the answer to an earlier exchange of it was lost")) {
			t.Errorf("call %d: %v", i, err)
		}
		said = fault.New(fault.Reauthorize, "the code is spent", "consent again")
	}
}
