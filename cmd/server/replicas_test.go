//go:build unix

package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/simulator"
	"bankauth/internal/vault"
)

// TestReplicas: three servers on one PostgreSQL behind a plain round-robin
// proxy are one to their client, whatever it speaks, without sticky sessions.
// One is killed amid a refresh and nothing is lost; one is told to end and no
// call fails.
func TestReplicas(t *testing.T) {
	f := newFleet(t, 3)
	f.shareOneVault(t)
	lost, when := f.killAmidRefresh(t)
	f.drainUnderLoad(t)
	_ = f.works(t, lost) // hardly: the lease of who was killed has most of a minute to run
	t.Parallel()         // others' turn meanwhile
	f.recover(t, lost, when)
	f.nothingLost(t)
}

// shareOneVault does everything once in every way, each step at another replica.
func (f *fleet) shareOneVault(t *testing.T) {
	t.Helper()
	for _, w := range ways {
		first := f.must(t, w, "create_access_token", map[string]any{"provider": "fintecture", "grant_type": "client_credentials", "scope": "AIS"})
		for range 3 {
			if a := f.must(t, w, "create_access_token", map[string]any{"provider": "fintecture", "grant_type": "client_credentials", "scope": "AIS"}); a.TokenRef != first.TokenRef || !a.Reused {
				t.Errorf("%s: another replica made another token: %s", w, a.body)
			}
		}
		user := f.must(t, w, "create_access_token", f.code(t))
		for range 3 {
			if a := f.must(t, w, "refresh_token", force(user.TokenRef)); a.TokenRef != user.TokenRef || a.Reused {
				t.Errorf("%s: %s", w, a.body)
			}
		}
		for range 3 {
			list, err := f.send(t.Context(), overREST, http.MethodGet, "/v1/tokens", nil, nil)
			if err != nil || strings.Count(list.body, first.TokenRef) != 1 || strings.Count(list.body, user.TokenRef) != 1 {
				t.Errorf("%s: the list is %s, %v", w, list.body, err)
			}
		}
		if a, err := f.send(t.Context(), overREST, http.MethodDelete, "/v1/tokens/"+user.TokenRef, nil, nil); err != nil || a.failed() {
			t.Errorf("erasing: %v %s", err, a.body)
		}
		for range 3 {
			if a, err := f.call(t.Context(), w, "refresh_token", force(user.TokenRef)); err != nil || !strings.Contains(a.body, "invalid_argument") {
				t.Errorf("%s: what was erased at one replica is at another: %v %s", w, err, a.body)
			}
		}
	}
	for _, w := range ways {
		f.consentThroughReplicas(t, w)
	}
	for i, r := range f.replicas {
		if r.served < 10 {
			t.Errorf("replica %d served %d requests: the proxy does not go round", i, r.served)
		}
	}
}

// consentThroughReplicas has a person consent: the call, the page, the way back
// and the next call come to whichever replica's turn it is.
func (f *fleet) consentThroughReplicas(t *testing.T, w way) {
	t.Helper()
	args := map[string]any{"provider": "flinks", "grant_type": "authorization_code"}
	asked, err := f.call(t.Context(), w, "create_access_token", args)
	m := consentPage.FindStringSubmatch(asked.body)
	if err != nil || m == nil || !strings.HasPrefix(m[0], f.front.URL) {
		t.Fatalf("%s: %v %s", w, err, asked.body)
	}
	if page, err := simulator.Consent(t.Context(), m[0], true); err != nil || !strings.Contains(page.Body, "Done") {
		t.Fatalf("%s: %v %s", w, err, page.Body)
	}
	args["consent_ref"] = m[1]
	f.must(t, w, "create_access_token", args)
}

// killAmidRefresh kills the replica whose request has spent a refresh token at
// the bank, and returns the token's name and when that was.
func (f *fleet) killAmidRefresh(t *testing.T) (ref string, when time.Time) {
	t.Helper()
	ref = f.must(t, sessions, "create_access_token", f.code(t)).TokenRef
	before := f.bank.Truth().Requests
	f.bank.SetDelay(0, patience)
	answered := make(chan fleetAnswer, 1)
	go func() {
		a, _ := f.call(t.Context(), sessions, "refresh_token", force(ref))
		answered <- a
	}()
	eventually(t, "the bank has the refresh", func() bool { return f.bank.Truth().Requests > before })
	victim := f.working(t)
	when = time.Now()
	_ = victim.cmd.Process.Kill()
	_ = victim.cmd.Wait()
	if a := <-answered; a.status != http.StatusBadGateway {
		t.Errorf("the call of a replica that was killed was answered %d %s", a.status, a.body)
	}
	f.bank.SetDelay(0, 0)
	return ref, when
}

// drainUnderLoad has one replica end while callers are at work; another joins.
func (f *fleet) drainUnderLoad(t *testing.T) {
	t.Helper()
	var refs []string
	for range 12 {
		refs = append(refs, f.must(t, overREST, "create_access_token", f.code(t)).TokenRef)
	}
	f.bank.SetDelay(0, 20*time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var answered atomic.Int64
	for i, ref := range refs {
		callers.Go(func() {
			for ctx.Err() == nil {
				a, err := f.call(t.Context(), ways[i%len(ways)], "refresh_token", force(ref))
				if err != nil || a.failed() {
					t.Errorf("a call failed while a replica drained: %v, %d %s", err, a.status, a.body)
					return
				}
				answered.Add(1)
			}
		})
	}
	more := func(calls int64) {
		t.Helper()
		until := answered.Load() + calls
		eventually(t, "further calls are answered", func() bool { return answered.Load() > until || t.Failed() })
	}
	more(50)
	f.join(t)
	more(50)
	alive := slices.IndexFunc(f.replicas, func(r *replica) bool { return r.cmd.ProcessState == nil })
	leaving := f.replicas[alive]
	if err := leaving.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	leaving.wait(t)
	more(50)
	stop()
	callers.Wait()
	f.bank.SetDelay(0, 0)
	t.Logf("%d calls", answered.Load())
}

// works calls for the token whose refresh nobody heard of. Where it is not
// answered, the answer says that it is to be tried again.
func (f *fleet) works(t *testing.T, ref string) bool {
	t.Helper()
	a, err := f.call(t.Context(), stateless, "refresh_token", force(ref))
	if err != nil || a.failed() && !strings.Contains(a.body, `\"retryable\":true`) {
		t.Fatalf("after the kill: %v, %d %s", err, a.status, a.body)
	}
	return !a.failed()
}

// recover calls again for that token, as its client would, until it works.
func (f *fleet) recover(t *testing.T, ref string, killed time.Time) {
	t.Helper()
	for began := time.Now(); !f.works(t, ref); time.Sleep(time.Second) {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("it is still to be tried again")
		}
	}
	t.Logf("the refresh went on %v after the kill", time.Since(killed).Round(time.Second))
}

// nothingLost looks into the vault and at the bank.
func (f *fleet) nothingLost(t *testing.T) {
	t.Helper()
	v, err := vault.Open(t.Context(), f.store)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close(context.Background()) }()
	all, err := v.List(t.Context(), "client:platform")
	if err != nil || len(all) != 17 { // the client's own, the three consents', the one that was killed under, and the twelve
		t.Errorf("%d tokens, %v", len(all), err)
	}
	for _, r := range all {
		if r.State != vault.Live || !r.Token.Refresh.IsZero() && !f.bank.Alive(r.Token.Refresh.Reveal()) {
			t.Errorf("%s is %s (%s), and at the bank it is alive: %v", r.Ref, r.State, r.Reason, f.bank.Alive(r.Token.Refresh.Reveal()))
		}
	}
	for _, g := range f.bank.Truth().Grants {
		if g.Overlaps > 0 {
			t.Errorf("a refresh token was posted %d times at once", g.Overlaps)
		}
	}
}
