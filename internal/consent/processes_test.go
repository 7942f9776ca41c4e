package consent_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/vault"
)

// processes are three that serve one address and have one vault.
func processes(t *testing.T, f finish) []*consent.Consents {
	t.Helper()
	dir := t.TempDir() + "/vault"
	all := make([]*consent.Consents, 3)
	for i := range all {
		all[i] = process(t, dir, "", f)
		all[i].ServedAt("https://auth.example", func(r *http.Request) (string, bool) {
			return r.Header.Get("X-Who"), r.Header.Get("X-Who") != ""
		})
	}
	return all
}

// TestAnyProcess: opened at one, shown by another, answered at a third, waited
// for at all.
func TestAnyProcess(t *testing.T) {
	var asked string
	all := processes(t, func(_ context.Context, request string) (string, error) { asked = request; return "tok_1", nil })
	a, b, c := all[0], all[1], all[2]
	var trip consent.Trip
	f := required(t, a.Open(t.Context(), opening(&trip)))
	var waiting sync.WaitGroup
	for i, s := range all {
		waiting.Go(func() {
			start := time.Now()
			if token, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); token != "tok_1" || err != nil || time.Since(start) > 10*time.Second {
				t.Errorf("process %d, after %v: %q %v", i, time.Since(start), token, err)
			}
		})
	}
	for who, want := range map[string]int{"eve": http.StatusForbidden, "ada": http.StatusFound} {
		if res := get(b, f.ConsentURL, who, nil); res.StatusCode != want {
			t.Errorf("%s: %d", who, res.StatusCode)
		}
	}
	cookies := get(b, f.ConsentURL, "ada", nil).Cookies()
	time.Sleep(200 * time.Millisecond) // they do wait
	back := trip.RedirectURI + "?code=c&state=" + trip.State.Reveal()
	for _, want := range []int{http.StatusOK, http.StatusGone} {
		if res := get(c, back, "ada", cookies); res.StatusCode != want {
			t.Errorf("the browser comes back: %d, want %d", res.StatusCode, want)
		}
	}
	if res := get(a, back, "ada", cookies); res.StatusCode != http.StatusGone {
		t.Errorf("the browser comes back elsewhere: %d", res.StatusCode)
	}
	waiting.Wait()
	if asked != `{"asked":"request-CANARY"}` {
		t.Errorf("finished with %s", asked)
	}
	// Nobody else's, and no other provider's, at no process.
	for i, s := range all {
		for _, q := range [][2]string{{"eve", "bank"}, {"ada", "other"}} {
			if _, err := s.Wait(t.Context(), q[0], q[1], f.ConsentRef); fault.From(err).Code != fault.InvalidArgument {
				t.Errorf("process %d, %v: %v", i, q, err)
			}
		}
	}
}

// TestOneFinishes: of processes that the same answer comes to at once, one
// makes a token of it.
func TestOneFinishes(t *testing.T) {
	var finished atomic.Int64
	all := processes(t, func(context.Context, string) (string, error) {
		finished.Add(1)
		time.Sleep(10 * time.Millisecond)
		return "tok_1", nil
	})
	for round := range 20 {
		var trip consent.Trip
		f := required(t, all[round%3].Open(t.Context(), opening(&trip)))
		cookies := get(all[0], f.ConsentURL, "", nil).Cookies()
		back := trip.RedirectURI + "?code=c&state=" + trip.State.Reveal()
		var done, over atomic.Int64
		var together sync.WaitGroup
		for i := range 12 {
			together.Go(func() {
				switch get(all[i%3], back, "", cookies).StatusCode {
				case http.StatusOK:
					done.Add(1)
				case http.StatusGone:
					over.Add(1)
				}
			})
		}
		together.Wait()
		if n := finished.Swap(0); n != 1 || done.Load() != 1 || over.Load() != 11 {
			t.Fatalf("round %d: finished %d times, %d pages say so, %d that it is over", round, n, done.Load(), over.Load())
		}
	}
}

// TestAProcessEnds: what it opened others finish, and what it was finishing
// when it ended is said to be over.
func TestAProcessEnds(t *testing.T) {
	all := processes(t, func(context.Context, string) (string, error) {
		return "", fault.New(fault.Reauthorize, "no", "hint")
	})
	var trip consent.Trip
	f := required(t, all[0].Open(t.Context(), opening(&trip)))
	if err := all[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	cookies := get(all[1], f.ConsentURL, "", nil).Cookies()
	get(all[2], trip.RedirectURI+"?code=c&state="+trip.State.Reveal(), "", cookies)
	_, err := all[1].Wait(t.Context(), "ada", "bank", f.ConsentRef)
	if said := fault.From(err); said.Code != fault.Reauthorize || said.Hint != "hint" {
		t.Errorf("%#v", said)
	}
	// Withdrawn at one, over at the others.
	f = required(t, all[1].Open(t.Context(), opening(&trip)))
	all[2].Withdraw(t.Context(), "eve", f.ConsentRef)
	if res := get(all[2], f.ConsentURL, "", nil); res.StatusCode != http.StatusFound {
		t.Errorf("withdrawn by another: %d", res.StatusCode)
	}
	all[2].Withdraw(t.Context(), "ada", f.ConsentRef)
	if res := get(all[1], f.ConsentURL, "", nil); res.StatusCode != http.StatusGone {
		t.Errorf("withdrawn elsewhere: %d", res.StatusCode)
	}
}

// TestManyWait counts them wherever they were opened.
func TestManyWait(t *testing.T) {
	all := processes(t, nil)
	var trip consent.Trip
	for i := range 32 {
		required(t, all[i%3].Open(t.Context(), opening(&trip)))
	}
	asked := trip
	for _, s := range all {
		if f := fault.From(s.Open(t.Context(), opening(&trip))); f.Code != fault.Busy || !trip.State.Equal(asked.State) {
			t.Errorf("%v; the provider was asked: %v", f, !trip.State.Equal(asked.State))
		}
	}
	other := opening(&trip)
	other.Principal = "bob"
	required(t, all[0].Open(t.Context(), other))
}

// TestFinisherIsGone: whoever waits for a process that has ended amid a consent
// is told so, and not left to wait.
func TestFinisherIsGone(t *testing.T) {
	dir, later := t.TempDir()+"/vault", func() time.Time { return time.Now().Add(time.Minute) }
	hold, held := make(chan struct{}), make(chan struct{})
	one := process(t, dir, "", func(context.Context, string) (string, error) { close(held); <-hold; return "tok_1", nil })
	other := processAt(t, later, dir, "", nil)
	one.ServedAt("https://auth.example", nil)
	other.ServedAt("https://auth.example", nil)
	var trip consent.Trip
	f := required(t, one.Open(t.Context(), opening(&trip)))
	cookies := get(one, f.ConsentURL, "", nil).Cookies()
	var page sync.WaitGroup
	page.Go(func() { get(one, trip.RedirectURI+"?code=c&state="+trip.State.Reveal(), "", cookies) })
	<-held
	if _, err := other.Wait(t.Context(), "ada", "bank", f.ConsentRef); fault.From(err).Code != fault.ConsentRequired || fault.From(err).ConsentURL != "" ||
		!strings.Contains(err.Error(), "ended meanwhile") {
		t.Error(err)
	}
	close(hold)
	page.Wait()
}

// TestVaultIsAway: while the vault cannot be used nothing is spent, and the same
// page works afterwards.
func TestVaultIsAway(t *testing.T) {
	v, err := vault.Open(t.Context(), vault.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close(context.Background()) })
	var away error
	s := consent.New(consent.Options{Vault: func(context.Context) (*vault.Vault, error) { return v, away }})
	s.ServedAt("https://auth.example", nil)
	s.FinishedBy(func(context.Context, string, []byte, consent.Trip, consent.Answer) (string, error) {
		return "tok_1", nil
	})
	var trip consent.Trip
	f := required(t, s.Open(t.Context(), opening(&trip)))
	cookies := get(s, f.ConsentURL, "", nil).Cookies()
	back := trip.RedirectURI + "?code=c&state=" + trip.State.Reveal()
	away = fault.New(fault.VaultUnavailable, "away", "wait")
	for _, address := range []string{f.ConsentURL, back} {
		if res := get(s, address, "", cookies); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", address, res.StatusCode)
		}
	}
	if _, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); fault.From(err).Code != fault.VaultUnavailable {
		t.Error(err)
	}
	away = nil
	if res := get(s, back, "", cookies); res.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
}
