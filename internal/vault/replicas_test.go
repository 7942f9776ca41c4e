//go:build unix

package vault_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/testdb"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// rotator is a provider of one grant. A refresh token works once; a second use
// ends the grant, as the strictest do, unless it is graced.
type rotator struct {
	*httptest.Server
	graced bool
	arrive func(n int) // before the nth request is answered

	mu           sync.Mutex
	n            int
	spent, stale int
	alive        map[string]bool
	current      string
}

func newRotator(t *testing.T) *rotator {
	r := &rotator{current: "r", alive: map[string]bool{"r": true}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.answer))
	t.Cleanup(r.Close)
	return r
}

func (r *rotator) answer(w http.ResponseWriter, req *http.Request) {
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if !r.alive[string(b)] {
		r.stale++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !r.graced {
		delete(r.alive, string(b))
	}
	r.spent++
	r.current = "refresh " + strconv.Itoa(r.n)
	r.alive[r.current] = true
	n, arrive := r.n, r.arrive
	if arrive != nil {
		r.mu.Unlock()
		arrive(n)
		r.mu.Lock()
	}
	fmt.Fprint(w, n)
}

func (r *rotator) mint(ctx context.Context, old vault.Record) (token.Token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, strings.NewReader(old.Token.Refresh.Reveal()))
	if err != nil {
		return token.Token{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return token.Token{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusBadRequest {
		return token.Token{}, fault.New(fault.Reauthorize, "the refresh token is no longer valid", "consent anew")
	}
	return token.Token{Access: secret.New("access " + string(b)), Refresh: secret.New("refresh " + string(b)), Type: "Bearer",
		Expiry: token.ExpiresAt, ExpiresAt: time.Now().Add(time.Hour)}, err
}

// holds fails the test unless the vault has the refresh token that works, and
// no other was ever sent.
func (r *rotator) holds(t *testing.T, v *vault.Vault, ref string, spent int) {
	t.Helper()
	got, err := v.Get(context.Background(), me, ref)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || got.Token.Refresh.Reveal() != r.current || got.State != vault.Live || r.stale != 0 || r.spent != spent {
		t.Errorf("the vault has %q (%s, generation %d), the bank %q; %d requests, %d of them stale, want %d: %v",
			got.Token.Refresh.Reveal(), got.State, got.Generation, r.current, r.n, r.stale, spent, err)
	}
}

// replica is one machine's vault: a folder of its own, a store that is shared.
func replica(t *testing.T, address string, lease time.Duration) *vault.Vault {
	t.Helper()
	return open(t, order{Dir: t.TempDir() + "/own", Store: address, Lease: lease}.options())
}

func nameOf(t *testing.T) string { return databaseFor(t.Name()) }

// replicasPostOnce has 3 replicas with 300 callers each refresh one expired
// token, a hundred tokens one after the other, and other replicas that have
// read the old token and come to the lock after the winner.
func replicasPostOnce(t *testing.T, db testdb.Server) {
	address := db.Create(t, nameOf(t))
	first := replica(t, address, 0)
	var late []*vault.Vault
	for range 4 {
		late = append(late, replica(t, address, 0))
	}
	bank := newProvider(t, 20*time.Millisecond)
	var all []*process
	for range 3 {
		all = append(all, spawn(t, order{Do: "refresh each", Dir: t.TempDir() + "/own", Store: address, URL: bank.URL, Calls: 300}))
	}
	for _, p := range all {
		p.push()
	}
	rounds := 100
	if strings.HasSuffix(t.Name(), "pooled") {
		rounds = 10
	}
	for round := range rounds {
		r := obtain(t, first, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
		before := bank.posts.Load()
		for _, p := range all {
			fmt.Fprintln(p.in, r.Ref)
		}
		var stragglers sync.WaitGroup
		for i, v := range late {
			stragglers.Go(func() {
				time.Sleep(time.Duration(i) * 15 * time.Millisecond) // some before the winner has stored, some after
				if _, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, postTo(bank.URL)); err != nil {
					t.Error(err)
				}
			})
		}
		stragglers.Wait()
		for _, p := range all {
			p.expect("300 have generation 2")
		}
		if n := bank.posts.Load() - before; n != 1 {
			t.Fatalf("round %d: %d posts, want 1", round, n)
		}
	}
	for _, p := range all {
		fmt.Fprintln(p.in, "")
		p.expect("done")
		p.end()
	}
}

// leaseIsLost stops a replica amid its request until another one has taken
// its place.
func leaseIsLost(t *testing.T, db testdb.Server) {
	const lease = time.Second
	address := db.Create(t, nameOf(t))
	other := replica(t, address, lease)
	r := obtain(t, other, identity("authorization_code", ""), vault.Policy{Deadline: lease / 2}, (&bank1{}).mint)
	bank := newRotator(t)
	bank.graced = true
	arrived := make(chan struct{})
	stopped := make(chan struct{})
	bank.arrive = func(n int) {
		if n == 1 {
			close(arrived)
			<-stopped
		}
	}
	p := spawn(t, order{Do: "stall", Dir: t.TempDir() + "/own", Store: address, Ref: r.Ref, URL: bank.URL, Lease: lease})
	p.push()
	<-arrived
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	close(stopped) // the answer waits for the replica
	policy := vault.Policy{Deadline: lease / 2, Rotation: "grace"}
	if got, _, err := other.Refresh(context.Background(), me, r.Ref, policy, bank.mint); err != nil || got.Generation != 2 || got.Token.Refresh.Reveal() != "refresh 2" {
		t.Fatalf("%+v %v", got, err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.expect("done")
	p.end()
	if s, err := other.Status(context.Background()); err != nil || s.Candidates != 1 || s.Tokens[vault.Live] != 1 {
		t.Fatalf("%+v %v", s, err)
	}
	bank.mu.Lock()
	bank.alive, bank.graced = map[string]bool{"refresh 1": true}, false // the winner's is revoked
	bank.mu.Unlock()
	policy.Force = true
	got, _, err := other.Refresh(context.Background(), me, r.Ref, policy, bank.mint)
	if err != nil || got.State != vault.Live || got.Generation != 3 {
		t.Fatalf("the candidate was not used: %+v %v", got, err)
	}
	if s, err := other.Status(context.Background()); err != nil || s.Candidates != 0 {
		t.Errorf("%+v %v", s, err)
	}
}

// cutConnections cuts at every statement of a refresh, before it and after.
func cutConnections(t *testing.T, db testdb.Server) {
	const lease = 1500 * time.Millisecond
	address := db.Create(t, nameOf(t))
	proxy := newCutter(t, db)
	v := replica(t, proxy.Address(nameOf(t)), lease)
	witness := replica(t, address, lease)
	for _, m := range []moment{
		{text: "LEFT JOIN attempts", nth: 1}, {text: "LEFT JOIN attempts", nth: 2}, {text: "INSERT INTO leases", nth: 1},
		{text: "BEGIN ISOLATION", nth: 1}, {text: "INSERT INTO attempts", nth: 1}, {text: "COMMIT\x00", nth: 1}, {text: "UPDATE leases", nth: 1},
		{text: "BEGIN ISOLATION", nth: 2}, {text: "UPDATE records", nth: 1}, {text: "INSERT INTO audit", nth: 1}, {text: "UPDATE meta", nth: 1},
		{text: "DELETE FROM attempts", nth: 1}, {text: "COMMIT\x00", nth: 2}, {text: "DELETE FROM leases", nth: 1},
	} {
		for _, m.after = range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %d after=%v", m.text, m.nth, m.after), func(t *testing.T) {
				bank := newRotator(t)
				r := obtain(t, v, identity("authorization_code", ""), vault.Policy{Deadline: lease / 2}, (&bank1{}).mint)
				if _, err := v.List(context.Background(), me); err != nil { // what is to be written late is written now
					t.Fatal(err)
				}
				if m.text == "UPDATE leases" {
					bank.arrive = func(int) { time.Sleep(lease/3 + 100*time.Millisecond) }
				}
				proxy.arm(m)
				refresh(t, v, r.Ref, vault.Policy{Deadline: lease / 2}, bank)
				if !proxy.disarm() {
					t.Error("the moment never came")
				}
				bank.holds(t, witness, r.Ref, 1)
			})
		}
	}
}

// refresh calls until it has the token.
func refresh(t *testing.T, v *vault.Vault, ref string, p vault.Policy, bank *rotator) {
	t.Helper()
	var err error
	for range 40 {
		if _, _, err = v.Refresh(context.Background(), me, ref, p, bank.mint); err == nil {
			return
		}
		if c := code(err); c != fault.VaultUnavailable && c != fault.Busy {
			t.Fatalf("%s: %v", c, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("it does not come back: %v, because %v", err, errors.Unwrap(err))
}

// outage takes the database away under an answer.
func outage(t *testing.T, db testdb.Server) {
	const lease = time.Second
	address, proxy := db.Create(t, nameOf(t)), newCutter(t, db)
	v, other := replica(t, proxy.Address(nameOf(t)), lease), replica(t, address, lease)
	spilled := func() int {
		names, err := filepath.Glob(filepath.Dir(filepath.Dir(t.TempDir())) + "/*/*/own/spill/tok_*")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	for _, meanwhile := range []string{"", "another replica asks"} {
		bank := newRotator(t)
		r := obtain(t, v, identity("authorization_code", ""), vault.Policy{Deadline: lease / 2}, (&bank1{}).mint)
		bank.arrive = func(int) { proxy.cut(true) }
		policy := vault.Policy{Deadline: lease / 2, Rotation: "strict"}
		if _, _, err := v.Refresh(context.Background(), me, r.Ref, policy, bank.mint); code(err) != fault.VaultUnavailable || !strings.Contains(fault.From(err).Hint, "nothing is lost") {
			t.Fatalf("success, or another fault: %v", err)
		}
		if n := spilled(); n != 1 {
			t.Fatalf("%d answers beside the store, want 1", n)
		}
		if meanwhile != "" { // the lease has run out, and the spent token ends in their hands
			if _, _, err := other.Refresh(context.Background(), me, r.Ref, policy, bank.mint); code(err) != fault.Reauthorize {
				t.Fatalf("%v", err)
			}
			bank.mu.Lock()
			bank.stale = 0
			bank.mu.Unlock()
		}
		proxy.cut(false)
		for range 50 { // nobody calls, and the answer finds its way
			if got, err := other.Get(context.Background(), me, r.Ref); err == nil && got.Generation == 2 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		bank.holds(t, other, r.Ref, 1)
		if n := spilled(); n != 0 {
			t.Errorf("%d answers are still beside the store", n)
		}
	}
}

// endedSessions ends everybody's sessions again and again.
func endedSessions(t *testing.T, db testdb.Server) {
	address := db.Create(t, nameOf(t))
	v := replica(t, address, 2*time.Second)
	policy := vault.Policy{Force: true, Deadline: time.Second}
	bank := newRotator(t)
	r := obtain(t, v, identity("authorization_code", ""), policy, (&bank1{}).mint)
	ctx, stop := context.WithCancel(context.Background())
	var killer sync.WaitGroup
	var ended atomic.Int64
	killer.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(17 * time.Millisecond)
			ended.Add(terminate(t, db, nameOf(t)))
		}
	})
	for n := 0; n < 40 || n < 1000 && ended.Load() < 20; n++ {
		refresh(t, v, r.Ref, policy, bank)
	}
	stop()
	killer.Wait()
	if ended.Load() < 20 {
		t.Errorf("only %d sessions were ended", ended.Load())
	}
	bank.mu.Lock()
	spent := bank.spent
	bank.mu.Unlock()
	bank.holds(t, v, r.Ref, spent)
	t.Logf("%d refreshes, %d sessions ended", spent, ended.Load())
}

func terminate(t *testing.T, db testdb.Server, name string) (ended int64) {
	admin, err := sql.Open("pgx", db.Address("postgres")+"?default_query_exec_mode=exec")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer admin.Close()
	if err := admin.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1`, name).Scan(&ended); err != nil {
		t.Error(err)
	}
	return ended
}

func serverRefusals(t *testing.T, db testdb.Server) {
	made := func(t *testing.T) string {
		address := db.Create(t, nameOf(t))
		shut(t, replica(t, address, 0))
		return address
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, o *vault.Options)
		hint  string
		soon  bool // it may be over in a moment
	}{
		"wrong key": {spoil: func(t *testing.T, o *vault.Options) {
			o.Key.Value = secret.New("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		}, hint: "every replica"},
		"no key":  {spoil: func(_ *testing.T, o *vault.Options) { o.Key = vault.Key{} }, hint: "BANKAUTH_VAULT_KEY"},
		"keyring": {spoil: func(_ *testing.T, o *vault.Options) { o.Key = vault.Key{Keyring: true} }, hint: "BANKAUTH_VAULT_KEY"},
		"newer schema": {spoil: func(t *testing.T, o *vault.Options) {
			testdb.Exec(t, o.Store.Reveal(), `UPDATE meta SET value = '9' WHERE name = 'bankauth_schema'`)
		}, hint: "later"},
		"older schema": {spoil: func(t *testing.T, o *vault.Options) {
			testdb.Exec(t, o.Store.Reveal(), `UPDATE meta SET value = '2' WHERE name = 'bankauth_schema'`)
		}, hint: "another schema"},
		"another's": {spoil: func(t *testing.T, o *vault.Options) { testdb.Exec(t, o.Store.Reveal(), `DROP TABLE leases`) }, hint: "of its own"},
		"damaged":   {spoil: func(t *testing.T, o *vault.Options) { testdb.Exec(t, o.Store.Reveal(), `DELETE FROM data_keys`) }, hint: "backup"},
		"key damaged": {spoil: func(t *testing.T, o *vault.Options) {
			testdb.Exec(t, o.Store.Reveal(), `UPDATE data_keys SET wrapped = '\x00'`)
		}, hint: "backup"},
		"wrong password": {spoil: func(_ *testing.T, o *vault.Options) {
			o.Store = secret.New(strings.Replace(o.Store.Reveal(), "CANARY", "CANARY2", 1))
		}, hint: "password"},
		"no such database": {spoil: func(_ *testing.T, o *vault.Options) { o.Store = secret.New(db.Address("nosuch")) }, hint: "database"},
		"nobody there": {spoil: func(t *testing.T, o *vault.Options) {
			o.Store = secret.New(testdb.Server{Port: testdb.FreePort(t)}.Address("x"))
		}, hint: "PostgreSQL answers", soon: true},
		"not an address":  {spoil: func(_ *testing.T, o *vault.Options) { o.Store = secret.New("postgres://u:CANARY%zz@h/d") }, hint: "%xx"},
		"unknown sslmode": {spoil: func(_ *testing.T, o *vault.Options) { o.Store = secret.New(o.Store.Reveal() + "?sslmode=CANARY") }, hint: "libpq"},
		"no schema": {spoil: func(_ *testing.T, o *vault.Options) {
			o.Store = secret.New(db.Address("postgres") + "?search_path=nosuch")
		}, hint: "search_path"},
		"read only": {spoil: func(t *testing.T, o *vault.Options) {
			db.Exec(t, "postgres", "ALTER DATABASE "+nameOf(t)+" SET default_transaction_read_only = on")
		}, hint: "primary"},
		"no rights": {spoil: func(t *testing.T, o *vault.Options) {
			db.Exec(t, "postgres", "CREATE ROLE nobody LOGIN PASSWORD '"+testdb.Password+"'")
			o.Store = secret.New(strings.Replace(db.Address("postgres"), "bankauth", "nobody", 1))
		}, hint: "the right"},
	} {
		t.Run(name, func(t *testing.T) {
			o := withKey(t.TempDir() + "/own")
			o.Store = secret.New(made(t))
			c.spoil(t, &o)
			v, err := vault.Open(context.Background(), o)
			if err == nil {
				shut(t, v)
			}
			f := fault.From(err)
			if f == nil || f.Code != fault.VaultUnavailable || !strings.Contains(f.Hint, c.hint) || f.Retryable() != c.soon {
				t.Fatalf("refused with %+v because %v", f, errors.Unwrap(err))
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %#v", e, e, f.Hint); strings.Contains(text, "CANARY") {
					t.Errorf("it tells the password: %s", text)
				}
			}
		})
	}
	t.Run("two schemas", func(t *testing.T) {
		address := db.Create(t, nameOf(t))
		testdb.Exec(t, address, "CREATE SCHEMA a", "CREATE SCHEMA b")
		a, b := replica(t, address+"?search_path=a", 0), replica(t, address+"?search_path=b", 0)
		r := obtain(t, a, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
		if _, err := b.Get(context.Background(), me, r.Ref); code(err) != fault.InvalidArgument {
			t.Errorf("one schema's token is in the other: %v", err)
		}
	})
}

func nothingInClearOnServer(t *testing.T, db testdb.Server) {
	address := db.Create(t, nameOf(t))
	v := replica(t, address, 0)
	b := &bank{lifetime: time.Minute, refresh: true}
	for _, grant := range []string{"client_credentials", "authorization_code", "password"} {
		r := obtain(t, v, identity(grant, "account-CANARY"), vault.Policy{}, b.mint)
		if _, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{Force: true}, b.mint); err != nil {
			t.Fatal(err)
		}
	}
	a := vault.Account{Principal: me, Provider: "finapi", Environment: "sandbox", Client: "c", User: "user-CANARY"}
	if err := v.KeepPassword(context.Background(), a, secret.New("password-CANARY")); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []vault.NoteKind{vault.NoteConsent, vault.NoteAnswer} {
		n := noteOf(kind, "name-CANARY")
		add(t, v, &n, 1)
	}
	if _, err := v.List(context.Background(), me); err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("pgx", address+"?default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	size := 0
	for _, table := range []string{"meta", "data_keys", "records", "attempts", "candidates", "passwords", "audit", "leases"} {
		var text string // a byte string is written in hexadecimal
		if err := pool.QueryRow(`SELECT coalesce(string_agg(x::text, E'\n'), '') FROM ` + table + ` x`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		size += len(text)
		for _, form := range []string{"CANARY", hex.EncodeToString([]byte("CANARY")), "flinks", "finapi", hex.EncodeToString([]byte("finapi"))} {
			if strings.Contains(text, form) {
				t.Errorf("%s holds %q", table, form)
			}
		}
	}
	if size < 2000 {
		t.Errorf("%d bytes were searched: this test could not fail", size)
	}
	if s, err := v.Status(context.Background()); err != nil || s.Store == "" || strings.Contains(s.Store, "CANARY") || strings.Contains(s.Store, "bankauth") {
		t.Errorf("%+v %v", s, err)
	}
}
