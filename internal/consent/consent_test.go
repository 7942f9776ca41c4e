package consent_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opening is a consent of ada's whose bank is at https://bank.example.
func opening(trip *consent.Trip, finish func(context.Context) (string, error)) consent.Opening {
	return consent.Opening{Principal: "ada", Provider: "bank", Title: "The Bank",
		Address: func(_ context.Context, t consent.Trip) (secret.Value, error) {
			*trip = t
			return secret.New("https://bank.example/login"), nil
		},
		Finish: func(ctx context.Context, _ consent.Trip, _ consent.Answer) (string, error) { return finish(ctx) },
	}
}

func required(t *testing.T, err error) *fault.Fault {
	t.Helper()
	f := fault.From(err)
	if f.Code != fault.ConsentRequired || f.ConsentURL == "" {
		t.Fatal(err)
	}
	return f
}

func get(s http.Handler, address string, who string, cookies []*http.Cookie) *http.Response {
	r := httptest.NewRequest(http.MethodGet, address, nil)
	r.Header.Set("X-Who", who)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

// TestPublicAddress: served by somebody else over https, who knows whose
// browser it is, a consent is its principal's alone.
func TestPublicAddress(t *testing.T) {
	s := consent.New(consent.Options{})
	s.ServedAt("https://auth.example", func(r *http.Request) (string, bool) {
		who := r.Header.Get("X-Who")
		return who, who != ""
	})
	var trip consent.Trip
	var hung error
	f := required(t, s.Open(t.Context(), opening(&trip, func(ctx context.Context) (string, error) { hung = ctx.Err(); return "tok_1", nil })))
	if !strings.HasPrefix(f.ConsentURL, "https://auth.example/consent/con_") || trip.RedirectURI != "https://auth.example/consent/callback" {
		t.Fatal(f.ConsentURL, trip.RedirectURI)
	}
	if res := get(s, f.ConsentURL, "eve", nil); res.StatusCode != http.StatusForbidden || len(res.Cookies()) != 0 {
		t.Errorf("another principal opens it: %d", res.StatusCode)
	}
	res := get(s, f.ConsentURL, "ada", nil)
	cookie := res.Cookies()
	if res.StatusCode != http.StatusFound || res.Header.Get("Location") != "https://bank.example/login" || len(cookie) != 1 || !cookie[0].Secure || !cookie[0].HttpOnly {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	back := trip.RedirectURI + "?code=c&state=" + trip.State.Reveal()
	if res := get(s, back, "eve", cookie); res.StatusCode != http.StatusForbidden {
		t.Errorf("another principal comes back: %d", res.StatusCode)
	}
	if res := get(s, back, "ada", cookie); res.StatusCode != http.StatusOK {
		t.Errorf("the principal comes back: %d", res.StatusCode)
	}
	if token, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); token != "tok_1" || err != nil || hung != nil {
		t.Error(token, err, hung)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOnePort: two processes share a port that is registered; while one has a
// consent that waits, the other says so, and it opens once the first is gone.
func TestOnePort(t *testing.T) {
	var trip consent.Trip
	never := func(context.Context) (string, error) { return "", errors.New("nobody came") }
	free := consent.New(consent.Options{})
	port := strings.Split(required(t, free.Open(t.Context(), opening(&trip, never))).ConsentURL, "/")[2]
	if err := free.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, other := consent.New(consent.Options{Listen: port}), consent.New(consent.Options{Listen: port})
	first := required(t, one.Open(t.Context(), opening(&trip, never)))
	if f := fault.From(other.Open(t.Context(), opening(&trip, never))); f.Code != fault.Unavailable || !strings.Contains(f.Hint, "BANKAUTH_CONSENT_LISTEN") {
		t.Errorf("the second process says %v", f)
	}
	waited := make(chan error, 1)
	go func() { _, err := one.Wait(t.Context(), "ada", "bank", first.ConsentRef); waited <- err }()
	time.Sleep(10 * time.Millisecond)
	one.End()
	if f := required(t, <-waited); !f.Retryable() {
		t.Errorf("%v", f)
	}
	if f := fault.From(one.Open(t.Context(), opening(&trip, never))); f.Code != fault.Unavailable {
		t.Errorf("it opens after its end: %v", f)
	}
	if err := one.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	required(t, other.Open(t.Context(), opening(&trip, never)))
	if err := other.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWithdrawn: who does not want to gets no address again, and nobody can
// finish it any more. A panic while finishing is an outcome as well.
func TestWithdrawn(t *testing.T) {
	s := consent.New(consent.Options{})
	s.ServedAt("https://auth.example", nil)
	var trip consent.Trip
	f := required(t, s.Open(t.Context(), opening(&trip, func(context.Context) (string, error) { panic("canary") })))
	res := get(s, f.ConsentURL, "", nil)
	back := trip.RedirectURI + "?code=c&state=" + trip.State.Reveal()
	s.Withdraw("eve", f.ConsentRef)
	func() {
		defer func() { _ = recover() }() // net/http does so
		get(s, back, "", res.Cookies())
	}()
	if _, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); fault.From(err).Code != fault.Internal || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	f = required(t, s.Open(t.Context(), opening(&trip, nil)))
	res = get(s, f.ConsentURL, "", nil)
	s.Withdraw("ada", f.ConsentRef)
	if _, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); fault.From(err).Code != fault.ConsentRequired || fault.From(err).ConsentURL != "" {
		t.Error(err)
	}
	if res := get(s, trip.RedirectURI+"?code=c&state="+trip.State.Reveal(), "", res.Cookies()); res.StatusCode != http.StatusGone {
		t.Errorf("a withdrawn consent is finished: %d", res.StatusCode)
	}
}
