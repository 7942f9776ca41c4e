package consent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opening is a consent of ada's whose bank is at https://bank.example.
func opening(trip *consent.Trip) consent.Opening {
	return consent.Opening{Principal: "ada", Provider: "bank", Title: "The Bank", Request: []byte(`{"asked":"request-CANARY"}`),
		Address: func(_ context.Context, t consent.Trip) (secret.Value, error) {
			*trip = t
			return secret.New("https://bank.example/login?state=" + t.State.Reveal()), nil
		},
	}
}

type finish func(ctx context.Context, request string) (string, error)

// process is one of those that share the vault in dir; "" is a vault of its own.
func process(t *testing.T, dir, listen string, f finish) *consent.Consents {
	return processAt(t, nil, dir, listen, f)
}

func processAt(t *testing.T, now func() time.Time, dir, listen string, f finish) *consent.Consents {
	t.Helper()
	v, err := vault.Open(t.Context(), vault.Options{Dir: dir, Ephemeral: dir == "", Now: now, Key: vault.Key{Value: secret.New(strings.Repeat("A", 43) + "=")}})
	if err != nil {
		t.Fatal(err)
	}
	s := consent.New(consent.Options{Vault: func(context.Context) (*vault.Vault, error) { return v, nil }, Listen: listen, Now: now})
	s.FinishedBy(func(ctx context.Context, principal string, request []byte, t consent.Trip, a consent.Answer) (string, error) {
		if principal != "ada" || t.Verifier.IsZero() || t.RedirectURI == "" || a.Code.IsZero() {
			return "", fmt.Errorf("asked to finish %q %+v %+v", principal, t, a)
		}
		return f(ctx, string(request))
	})
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.Background()), v.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return s
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
	var hung error
	s := process(t, "", "", func(ctx context.Context, _ string) (string, error) { hung = ctx.Err(); return "tok_1", nil })
	s.ServedAt("https://auth.example", func(r *http.Request) (string, bool) {
		who := r.Header.Get("X-Who")
		return who, who != ""
	})
	var trip consent.Trip
	f := required(t, s.Open(t.Context(), opening(&trip)))
	if !strings.HasPrefix(f.ConsentURL, "https://auth.example/consent/con_") || trip.RedirectURI != "https://auth.example/consent/callback" {
		t.Fatal(f.ConsentURL, trip.RedirectURI)
	}
	if res := get(s, f.ConsentURL, "eve", nil); res.StatusCode != http.StatusForbidden || len(res.Cookies()) != 0 {
		t.Errorf("another principal opens it: %d", res.StatusCode)
	}
	res := get(s, f.ConsentURL, "ada", nil)
	cookie := res.Cookies()
	if res.StatusCode != http.StatusFound || !strings.HasPrefix(res.Header.Get("Location"), "https://bank.example/login") || len(cookie) != 1 || !cookie[0].Secure || !cookie[0].HttpOnly {
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
	never := func(context.Context, string) (string, error) { return "", errors.New("nobody came") }
	free := process(t, "", "", never)
	port := strings.Split(required(t, free.Open(t.Context(), opening(&trip))).ConsentURL, "/")[2]
	if err := free.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, other := process(t, "", port, never), process(t, "", port, never)
	first := required(t, one.Open(t.Context(), opening(&trip)))
	if f := fault.From(other.Open(t.Context(), opening(&trip))); f.Code != fault.Unavailable || !strings.Contains(f.Hint, "BANKAUTH_CONSENT_LISTEN") {
		t.Errorf("the second process says %v", f)
	}
	waited := make(chan error, 1)
	go func() { _, err := one.Wait(t.Context(), "ada", "bank", first.ConsentRef); waited <- err }()
	time.Sleep(10 * time.Millisecond)
	one.End()
	if f := required(t, <-waited); !f.Retryable() {
		t.Errorf("%v", f)
	}
	if f := fault.From(one.Open(t.Context(), opening(&trip))); f.Code != fault.Unavailable {
		t.Errorf("it opens after its end: %v", f)
	}
	if err := one.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	required(t, other.Open(t.Context(), opening(&trip)))
	if err := other.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWithdrawn: who does not want to gets no address again, and nobody can
// finish it any more. A panic while finishing is an outcome as well.
func TestWithdrawn(t *testing.T) {
	s := process(t, "", "", func(context.Context, string) (string, error) { panic("canary") })
	s.ServedAt("https://auth.example", nil)
	var trip consent.Trip
	f := required(t, s.Open(t.Context(), opening(&trip)))
	res := get(s, f.ConsentURL, "", nil)
	back := trip.RedirectURI + "?code=c&state=" + trip.State.Reveal()
	s.Withdraw(t.Context(), "eve", f.ConsentRef)
	func() {
		defer func() { _ = recover() }() // net/http does so
		get(s, back, "", res.Cookies())
	}()
	if _, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); fault.From(err).Code != fault.Internal || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	f = required(t, s.Open(t.Context(), opening(&trip)))
	res = get(s, f.ConsentURL, "", nil)
	s.Withdraw(t.Context(), "ada", f.ConsentRef)
	if _, err := s.Wait(t.Context(), "ada", "bank", f.ConsentRef); fault.From(err).Code != fault.ConsentRequired || fault.From(err).ConsentURL != "" {
		t.Error(err)
	}
	if res := get(s, trip.RedirectURI+"?code=c&state="+trip.State.Reveal(), "", res.Cookies()); res.StatusCode != http.StatusGone {
		t.Errorf("a withdrawn consent is finished: %d", res.StatusCode)
	}
}
