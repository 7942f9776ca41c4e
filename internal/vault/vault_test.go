//go:build unix

package vault_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/testdb"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	if os.Getenv("BANKAUTH_VAULT_TEST_SESSION") != "" { // the keyring's library never leaves its bus
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

const me = "principal-CANARY"

// keyText is a key that is as good as any for tests.
var keyText = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

func withKey(dir string) vault.Options {
	return vault.Options{Dir: dir, Key: vault.Key{Value: secret.New(keyText)}, Store: secret.New(onServer(dir))}
}

func open(t testing.TB, o vault.Options) *vault.Vault {
	t.Helper()
	v, err := vault.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, v) })
	return v
}

func shut(t testing.TB, v *vault.Vault) {
	t.Helper()
	if err := v.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// folder names one that is not there yet, and where the suite is on a server
// makes the database that stands for it.
func folder(t testing.TB) string {
	dir := t.TempDir() + "/bank auth?50%#"
	if base := os.Getenv(storeVariable); base != "" {
		testdb.Exec(t, base+"postgres", "CREATE DATABASE "+databaseFor(dir))
	}
	return dir
}

func identity(grant, account string) vault.Identity {
	return vault.Identity{Principal: me, Provider: "flinks", Environment: "sandbox", Client: "client-CANARY", Grant: grant, Account: account}
}

// bank counts what it is asked and gives a token of its own each time.
type bank struct {
	posts    atomic.Int64
	lifetime time.Duration
	refresh  bool
	delay    time.Duration
	fail     atomic.Pointer[fault.Fault]
}

func (b *bank) mint(_ context.Context, _ vault.Record) (token.Token, error) {
	n := b.posts.Add(1)
	time.Sleep(b.delay)
	if f := b.fail.Load(); f != nil {
		return token.Token{}, f
	}
	t := token.Token{Access: secret.New(fmt.Sprintf("access-CANARY-%d", n)), Type: "Bearer", Scope: "scope-CANARY",
		Expiry: token.ExpiresAt, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(b.lifetime)}
	if b.refresh {
		t.Refresh = secret.New(fmt.Sprintf("refresh-CANARY-%d", n))
	}
	return t, nil
}

func obtain(t testing.TB, v *vault.Vault, id vault.Identity, p vault.Policy, m vault.Mint) vault.Record {
	t.Helper()
	r, _, err := v.Obtain(context.Background(), id, p, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func code(err error) fault.Code {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

func TestClientTokenIsHandedOutAgain(t *testing.T) {
	dir := folder(t)
	b := &bank{lifetime: time.Hour}
	v := open(t, withKey(dir))
	id := identity("client_credentials", "ais")
	first := obtain(t, v, id, vault.Policy{}, b.mint)
	if !strings.HasPrefix(first.Ref, "tok_") || len(first.Ref) != 36 {
		t.Errorf("ref %q", first.Ref)
	}
	again, reused, err := v.Obtain(context.Background(), id, vault.Policy{}, b.mint)
	if err != nil || !reused || again.Ref != first.Ref || !again.Token.Access.Equal(first.Token.Access) {
		t.Errorf("a fresh token must be handed out again: %v %v %v", again.Ref, reused, err)
	}
	forced, reused, err := v.Obtain(context.Background(), id, vault.Policy{Force: true}, b.mint)
	if err != nil || reused || forced.Ref != first.Ref || forced.Token.Access.Equal(first.Token.Access) || forced.Generation != 2 {
		t.Errorf("force must mint into the same record: %+v %v %v", forced, reused, err)
	}
	if other := obtain(t, v, identity("client_credentials", "pis"), vault.Policy{}, b.mint); other.Ref == first.Ref {
		t.Error("another scope is another record")
	}
	if n := b.posts.Load(); n != 3 {
		t.Errorf("%d mints, want 3", n)
	}
	shut(t, v)
	v = open(t, withKey(dir))
	back, err := v.Get(context.Background(), me, first.Ref)
	if err != nil || !back.Token.Access.Equal(forced.Token.Access) || back.Generation != 2 || back.Identity != id {
		t.Errorf("after opening again: %+v %v", back, err)
	}
}

func TestRefreshRotates(t *testing.T) {
	dir := folder(t)
	b := &bank{lifetime: time.Minute, refresh: true}
	v := open(t, withKey(dir))
	first := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	second, reused, err := v.Refresh(context.Background(), me, first.Ref, vault.Policy{}, b.mint)
	if err != nil || reused || second.Ref != first.Ref || second.Token.Refresh.Equal(first.Token.Refresh) {
		t.Fatalf("%+v %v %v", second, reused, err)
	}
	b.refresh, b.lifetime = false, time.Hour
	third, _, err := v.Refresh(context.Background(), me, first.Ref, vault.Policy{}, b.mint)
	if err != nil || !third.Token.Refresh.Equal(second.Token.Refresh) {
		t.Fatalf("an answer without a refresh token leaves the old one: %v", err)
	}
	if _, reused, err := v.Refresh(context.Background(), me, first.Ref, vault.Policy{}, b.mint); err != nil || !reused {
		t.Fatalf("fresh: %v %v", reused, err)
	}
	shut(t, v)
	v = open(t, withKey(dir))
	back, err := v.Get(context.Background(), me, first.Ref)
	if err != nil || back.Generation != 3 || !back.Token.Access.Equal(third.Token.Access) || back.State != vault.Live {
		t.Fatalf("%+v %v", back, err)
	}
	if other := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint); other.Ref == first.Ref {
		t.Error("every consent is a record of its own")
	}
}

// A refresh token that came in an answer of no other use is the one to go on
// with.
func TestRefreshTokenBesideAnError(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{lifetime: time.Minute, refresh: true}
	first := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	next := secret.New("the-next-refresh-token")
	_, _, err := v.Refresh(context.Background(), me, first.Ref, vault.Policy{Force: true}, func(context.Context, vault.Record) (token.Token, error) {
		return token.Token{Refresh: next}, fault.New(fault.Uncertain, "half an answer", "call again")
	})
	if fault.From(err).Code != fault.Uncertain {
		t.Fatalf("the caller must hear of it: %v", err)
	}
	rec, err := v.Get(context.Background(), me, first.Ref)
	if err != nil || !rec.Token.Refresh.Equal(next) || rec.State != vault.Uncertain {
		t.Errorf("the new refresh token was lost: %+v %v", rec, err)
	}
}

func TestPasswordRecord(t *testing.T) {
	v := open(t, withKey(folder(t)))
	b := &bank{lifetime: time.Hour, refresh: true}
	id := identity("password", "anna")
	first := obtain(t, v, id, vault.Policy{}, b.mint)
	b.refresh = false
	second := obtain(t, v, id, vault.Policy{}, b.mint)
	if second.Ref != first.Ref || b.posts.Load() != 2 || second.Generation != 2 {
		t.Errorf("every call mints into the one record: %+v", second)
	}
	if !second.Token.Refresh.IsZero() {
		t.Error("the refresh token of an earlier grant was kept for a new one")
	}
	b.fail.Store(fault.New(fault.Reauthorize, "wrong password", ""))
	if _, _, err := v.Obtain(context.Background(), id, vault.Policy{}, b.mint); code(err) != fault.Reauthorize {
		t.Error(err)
	}
	if got, err := v.Get(context.Background(), me, first.Ref); err != nil || got.State != vault.Live {
		t.Errorf("a create that failed must leave the record alone: %+v %v", got, err)
	}
}
