package simulator_test

import (
	"context"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/simulator"
)

// held starts a bank with n refresh requests that wait before the commit.
func held(t *testing.T, n int) (s *simulator.Simulator, bank *simulator.Bank, token string, cancel context.CancelFunc, wait func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := simulator.Start(ctx, simulator.Options{Clients: known(simulator.NameFintecture), Switches: simulator.Switches{
		Fintecture: simulator.Fintecture{ClientAuth: "both", Rotation: simulator.Rotation{Rotation: "strict"}}}})
	if err != nil {
		t.Fatal(err)
	}
	bank = s.Bank(simulator.NameFintecture)
	c := &caller{T: t, bank: bank, http: client(t)}
	auth := basic(clientID, clientSecret)
	token = c.send("POST /oauth/accesstoken", "grant_type=authorization_code&code="+c.code(), "Content-Type", asForm, "Authorization", auth).text("refresh_token")
	bank.SetDelay(time.Hour, 0)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if r, err := c.try("POST /oauth/refreshtoken", "grant_type=refresh_token&refresh_token="+token, "Content-Type", asForm, "Authorization", auth); err == nil {
				t.Errorf("answered %d", r.status)
			}
		})
	}
	for bank.Truth().Posts["/oauth/refreshtoken"] < int64(n) {
		time.Sleep(time.Millisecond)
	}
	return s, bank, token, cancel, wg.Wait
}

func TestCloseEndsWhatWaits(t *testing.T) {
	s, bank, token, cancel, wait := held(t, 20)
	defer cancel()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; strings.Contains(string(stacks), "simulator.(*Bank).h") {
		t.Error("a request is still being served after Close")
	}
	wait()
	if !bank.Alive(token) {
		t.Error("what waited before the commit must not be carried out")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestTheContextEndsWhatWaits(t *testing.T) {
	s, _, _, cancel, wait := held(t, 2)
	cancel()
	wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// stuck is a writer that takes nothing until it is let go.
type stuck struct{ reached, free chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	select {
	case s.reached <- struct{}{}:
	default:
	}
	<-s.free
	return len(p), nil
}

func TestCloseWaitsForConnections(t *testing.T) {
	w := stuck{make(chan struct{}, 1), make(chan struct{})}
	s, err := simulator.Start(t.Context(), simulator.Options{Wire: func(string, int64) io.Writer { return w }})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{T: t, bank: s.Banks()[0], http: client(t)}
	asked, closed := make(chan struct{}), make(chan struct{})
	go func() { defer close(asked); _, _ = c.try("GET /", "") }()
	<-w.reached
	go func() { defer close(closed); _ = s.Close() }()
	select {
	case <-closed:
		t.Error("Close returned while a connection was still being read")
	case <-time.After(50 * time.Millisecond):
	}
	close(w.free)
	<-closed
	<-asked
}

// Everything at once, for the race detector.
func TestManyAtOnce(t *testing.T) {
	s, err := simulator.Start(t.Context(), simulator.Options{Clients: known(simulator.NameFlinks), Switches: simulator.Switches{MaxTokens: 50,
		Flinks: simulator.Flinks{Rotation: simulator.Rotation{Rotation: "grace"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bank := s.Bank(simulator.NameFlinks)
	var wg sync.WaitGroup
	for i := range 8 {
		c := &caller{T: t, bank: bank, http: client(t)}
		wg.Go(func() {
			for range 10 {
				r := c.send("POST /api/v1/token", "{"+inBody+`,"grant_type":"authorization_code","code":"`+c.code()+`","redirect_uri":"`+callback+`"}`, "Content-Type", asJSON)
				c.send("POST /api/v1/token", "{"+inBody+`,"grant_type":"refresh_token","refresh_token":"`+r.text("refresh_token")+`"}`, "Content-Type", asJSON)
				c.send("GET /api/v1/accounts", "", "Authorization", "Bearer "+r.text("access_token"))
				switch i % 4 {
				case 0:
					_ = bank.Truth()
				case 1:
					bank.SetFault(simulator.Fault{Grant: "refresh_token", Times: 1, Status: 500})
				case 2:
					bank.ClearFaults()
				case 3:
					bank.Revoke(r.text("refresh_token"))
				}
			}
		})
	}
	wg.Wait()
	if truth := bank.Truth(); truth.Begun != 80 || len(truth.Grants) > 50 {
		t.Errorf("begun %d, kept %d", truth.Begun, len(truth.Grants))
	}
}

// Whatever is sent, each bank answers, in JSON, and not with a fault of its own.
func FuzzBody(f *testing.F) {
	for _, body := range []string{"", "{}", "[]", "null", "grant_type=password", `{"grant_type":"refresh_token"}`, "a=%zz", "\x00", `{"id":"\ud800"}`, "{", `{"a":1,"a":2}`} {
		f.Add(body, true)
		f.Add(body, false)
	}
	f.Fuzz(func(t *testing.T, body string, form bool) {
		media := asJSON
		if form {
			media = asForm
		}
		s, err := simulator.Start(t.Context(), simulator.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, b := range s.Banks() {
			c := &caller{T: t, bank: b, http: client(t)}
			for _, path := range []string{"/oauth/accesstoken", "/oauth/refreshtoken", "/api/v1/token", "/api/v2/oauth/token", "/api/v2/users"} {
				if r := c.send("POST "+path, body, "Content-Type", media); r.status >= 500 || r.json == nil {
					t.Errorf("%s%s: %d %q", b.Name, path, r.status, r.body)
				}
			}
		}
	})
}
