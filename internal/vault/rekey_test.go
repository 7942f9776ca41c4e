//go:build unix

package vault_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// strict is a bank that takes each refresh token once, and ends a connection
// whose old one comes again.
type strict struct {
	mu      sync.Mutex
	now     map[string]string // refresh token by record
	posts   int
	refused int
}

func (s *strict) mint(_ context.Context, old vault.Record) (token.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts++
	if want := s.now[old.Ref]; old.Ref != "" && want != old.Token.Refresh.Reveal() {
		s.refused++
		return token.Token{}, fault.New(fault.Reauthorize, "that refresh token was spent", "")
	}
	next := fmt.Sprintf("refresh-CANARY-%d", s.posts)
	if old.Ref != "" {
		s.now[old.Ref] = next
	}
	return token.Token{Access: secret.New("access-CANARY-" + next), Refresh: secret.New(next), Type: "Bearer",
		Expiry: token.ExpiresAt, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (s *strict) consent(t *testing.T, v *vault.Vault) string {
	t.Helper()
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, s.mint)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now[r.Ref] = r.Token.Refresh.Reveal()
	return r.Ref
}

// alive looks whether the vault has what the bank has.
func (s *strict) alive(t *testing.T, v *vault.Vault) {
	t.Helper()
	for ref, want := range s.now {
		r, err := v.Get(context.Background(), me, ref)
		if err != nil || r.Token.Refresh.Reveal() != want || r.State != vault.Live {
			t.Errorf("%s was lost: %+v %v", ref, r, err)
		}
	}
	if s.refused > 0 {
		t.Errorf("%d refresh tokens were spent twice", s.refused)
	}
}

func noKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
}

// TestRekeyWhileServersRefresh: three vaults on one folder stand for servers.
func TestRekeyWhileServersRefresh(t *testing.T) {
	noKeyring(t)
	o := vault.Options{Dir: folder(t)}
	bank := &strict{now: map[string]string{}}
	servers := []*vault.Vault{open(t, o), open(t, o), open(t, o)}
	var refs []string
	for range 8 {
		refs = append(refs, bank.consent(t, servers[0]))
	}
	anna := vault.Account{Principal: me, Provider: "finapi", Environment: "sandbox", Client: "c", User: "anna"}
	if err := servers[0].KeepPassword(t.Context(), anna, secret.New("password-CANARY")); err != nil {
		t.Fatal(err)
	}
	berta := vault.NewUser{Account: vault.Account{Principal: me, Provider: "finapi", User: "berta"}, Call: "call", Password: secret.New("b")}
	making, err := servers[0].Make(t.Context(), berta, vault.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if err := making.Unknown(t.Context(), secret.Value{}); err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	var all sync.WaitGroup
	for i, v := range servers {
		for j := range refs {
			all.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if _, _, err := v.Refresh(context.Background(), me, refs[j], vault.Policy{Force: true}, bank.mint); err != nil {
						t.Errorf("server %d: %v", i, err)
						return
					}
					if _, _, err := v.Obtain(context.Background(), identity("client_credentials", fmt.Sprint(j)), vault.Policy{Force: n%2 == 0}, (&bank1{}).mint); err != nil {
						t.Errorf("server %d: %v", i, err)
						return
					}
				}
			})
		}
	}
	clerk := open(t, o)
	old, err := os.ReadFile(o.Dir + "/vault.key")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		time.Sleep(150 * time.Millisecond)
		r, err := clerk.Rekey(t.Context(), vault.Key{})
		if err != nil || r.Key != int64(i+2) || r.Sealed < len(refs) || r.Source != "key file" {
			t.Errorf("%+v %v", r, err)
		}
	}
	time.Sleep(150 * time.Millisecond)
	close(stop)
	all.Wait()
	t.Logf("%d posts", bank.posts)
	if now, err := os.ReadFile(o.Dir + "/vault.key"); err != nil || bytes.Equal(now, old) {
		t.Error("the key file is the old one")
	}
	if _, err := os.Stat(o.Dir + "/vault.key.next"); err == nil {
		t.Error("vault.key.next was left")
	}
	bank.alive(t, servers[0])
	for _, v := range servers {
		shut(t, v)
	}
	if r, err := clerk.Rekey(t.Context(), vault.Key{}); err != nil || r.Left != 0 {
		t.Errorf("at rest: %+v %v", r, err)
	}
	shut(t, clerk)
	v := open(t, o)
	bank.alive(t, v)
	if s, err := v.Status(t.Context()); err != nil || s.SetAside > 0 || s.Candidates > 0 {
		t.Errorf("%+v %v", s, err)
	}
	if p, held, err := v.Password(t.Context(), anna); err != nil || !held || p.Reveal() != "password-CANARY" {
		t.Errorf("password: %v %v", held, err)
	}
	berta.User = "another"
	making, err = v.Make(t.Context(), berta, vault.Policy{})
	if err != nil || making.Account().User != "berta" {
		t.Fatalf("the user on the way: %+v %v", making, err)
	}
	if err := making.Failed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := vault.VerifyAudit(t.Context(), o); err != nil || len(r.Findings) > 0 {
		t.Errorf("%+v %v", r, err)
	}
	write(t, o.Dir+"/vault.key", string(old), 0o600)
	if _, err := vault.Open(t.Context(), o); code(err) != fault.VaultUnavailable {
		t.Errorf("the old key still opens: %v", err)
	}
}

// TestRekeyOfAGivenKey: a server that cannot get the new key keeps what it has
// in hand and says what to do.
func TestRekeyOfAGivenKey(t *testing.T) {
	dir, anew := folder(t), secret.New(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32)))
	theirs := &strict{now: map[string]string{}}
	server := open(t, withKey(dir))
	flying, other := theirs.consent(t, server), theirs.consent(t, server)
	id := identity("password", "anna")
	fill := (&bank{lifetime: time.Hour}).mint
	mine := obtain(t, server, id, vault.Policy{}, fill)
	clerk := open(t, withKey(dir))
	if _, err := clerk.Rekey(t.Context(), vault.Key{}); code(err) != fault.InvalidArgument || !strings.Contains(fault.From(err).Hint, "--new-key-file") {
		t.Errorf("without a new key: %v", err)
	}
	if _, err := clerk.Rekey(t.Context(), vault.Key{Value: secret.New(keyText)}); code(err) != fault.InvalidArgument {
		t.Errorf("with the old key: %v", err)
	}

	begun, gone := make(chan struct{}, 2), make(chan struct{})
	slow := func(m vault.Mint) vault.Mint {
		return func(ctx context.Context, old vault.Record) (token.Token, error) {
			begun <- struct{}{}
			<-gone
			return m(ctx, old)
		}
	}
	var both sync.WaitGroup
	both.Go(func() {
		if _, _, err := server.Refresh(context.Background(), me, flying, vault.Policy{Force: true}, slow(theirs.mint)); err != nil {
			t.Errorf("a refresh in flight: %v", err)
		}
	})
	both.Go(func() {
		if _, _, err := server.Obtain(context.Background(), id, vault.Policy{}, slow(fill)); err != nil {
			t.Errorf("a password grant in flight: %v", err)
		}
	})
	<-begun
	<-begun
	if r, err := clerk.Rekey(t.Context(), vault.Key{Value: anew}); err != nil || r.Source != "environment" {
		t.Fatalf("%+v %v", r, err)
	}
	close(gone)
	both.Wait()
	_, _, refreshed := server.Refresh(t.Context(), me, other, vault.Policy{Force: true}, theirs.mint)
	_, listed := server.List(t.Context(), me)
	for name, err := range map[string]error{"refresh": refreshed, "list": listed} {
		if f := fault.From(err); f == nil || f.Code != fault.VaultUnavailable || !strings.Contains(f.Hint, "start the server again with the new BANKAUTH_VAULT_KEY") {
			t.Errorf("%s: %v", name, err)
		}
	}
	shut(t, server)
	shut(t, clerk)
	mustRefuse(t, withKey(dir), "made with")
	o := withKey(dir)
	o.Key = vault.Key{Value: anew}
	v := open(t, o)
	theirs.alive(t, v)
	if r, err := v.Get(t.Context(), me, mine.Ref); err != nil || r.Token.Access.Equal(mine.Token.Access) {
		t.Errorf("the password grant's answer was lost: %+v %v", r, err)
	}
}

// TestRekeyOfANamedFile: a server reads the file again when the vault has a
// new key.
func TestRekeyOfANamedFile(t *testing.T) {
	dir, path := folder(t), filepath.Join(t.TempDir(), "key")
	write(t, path, keyText, 0o600)
	o := vault.Options{Dir: dir, Key: vault.Key{File: path}}
	server := open(t, o)
	bank := &strict{now: map[string]string{}}
	ref := bank.consent(t, server)
	next := filepath.Join(t.TempDir(), "next")
	write(t, next, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32)), 0o600)
	clerk := open(t, o)
	if r, err := clerk.Rekey(t.Context(), vault.Key{File: next}); err != nil || r.Source != "file" {
		t.Fatalf("%+v %v", r, err)
	}
	_, _, err := server.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, bank.mint)
	if f := fault.From(err); f == nil || !strings.Contains(f.Hint, "BANKAUTH_VAULT_KEY_FILE") {
		t.Errorf("before the file is there: %v", err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if _, _, err := server.Refresh(t.Context(), me, ref, vault.Policy{Force: true}, bank.mint); err != nil {
		t.Errorf("and then: %v", err)
	}
	bank.alive(t, server)
}

// TestRekeyFromOwnToGiven: from then on the vault asks for the user's key, not
// for a file of ours.
func TestRekeyFromOwnToGiven(t *testing.T) {
	noKeyring(t)
	o := vault.Options{Dir: folder(t)}
	bank := &strict{now: map[string]string{}}
	v := open(t, o)
	bank.consent(t, v)
	if r, err := v.Rekey(t.Context(), vault.Key{Value: secret.New(keyText)}); err != nil || r.Source != "environment" || r.Path != "" {
		t.Fatalf("%+v %v", r, err)
	}
	shut(t, v)
	mustRefuse(t, o, "set BANKAUTH_VAULT_KEY")
	o.Key.Value = secret.New(keyText)
	bank.alive(t, open(t, o))
}
