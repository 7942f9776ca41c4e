package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/simulator"
	"bankauth/tools"
)

func TestIdempotencyKey(t *testing.T) {
	for _, exposure := range []tools.Exposure{tools.Handle, tools.Full} {
		w := open(t, exposure)
		first := w.ok("POST", user, `{"provider":"finapi", "email":"a@example.org"}`, "Idempotency-Key", "k1")
		again := w.ok("POST", user, `{"email":"a@example.org","provider":"finapi"}`, "Idempotency-Key", `"k1"`)
		if again.text != first.text || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" || again.Header.Get("X-Correlation-Id") != first.Header.Get("X-Correlation-Id") {
			t.Errorf("got\n%s\nafter\n%s", again.text, first.text)
		}
		w.refused(422, "invalid_argument", "POST", user, `{"provider":"finapi"}`, "Idempotency-Key", "k1")
		w.refused(422, "invalid_argument", "POST", create, client, "Idempotency-Key", "k1")
		if other := w.ok("POST", user, `{"provider":"finapi","email":"a@example.org"}`, "Idempotency-Key", "k2"); other.text == first.text {
			t.Error("another key is another call")
		}
		conflict := w.refused(409, "conflict", "POST", user, fmt.Sprintf(`{"provider":"finapi","id":%q}`, first.body["id"]), "Idempotency-Key", "k3")
		if again := w.refused(409, "conflict", "POST", user, fmt.Sprintf(`{"provider":"finapi","id":%q}`, first.body["id"]), "Idempotency-Key", "k3"); again.text != conflict.text {
			t.Errorf("got %s after %s", again.text, conflict.text)
		}
		// Two principals may choose one key.
		a, b := w.client("a"), w.client("b")
		w.describe()
		mine := w.ok("POST", user, `{"provider":"finapi"}`, "Idempotency-Key", "k1", "Authorization", a)
		if theirs := w.ok("POST", user, `{"provider":"finapi"}`, "Idempotency-Key", "k1", "Authorization", b); theirs.text == mine.text {
			t.Error("one principal was given another's answer")
		}
	}
}

// TestRetryableIsNotKept: an answer that says "call again" must not stand in
// the way of it.
func TestRetryableIsNotKept(t *testing.T) {
	w := open(t, tools.Handle)
	w.sim.Bank("flinks").SetFault(simulator.Fault{Tool: "create_access_token", Times: 1, Status: 503})
	w.refused(503, "unavailable", "POST", create, client, "Idempotency-Key", "k")
	for range 50 { // the vault pauses after a failure
		time.Sleep(100 * time.Millisecond)
		if g := w.send("POST", create, client, "Idempotency-Key", "k"); g.StatusCode == http.StatusOK {
			return
		}
	}
	t.Error("the failure was kept")
}

// TestKeyUnderWay: callers with one key share one call.
func TestKeyUnderWay(t *testing.T) {
	w := open(t, tools.Handle)
	w.ok("POST", create, `{"provider":"finapi","grant_type":"client_credentials"}`)
	w.sim.Bank("finapi").SetFault(simulator.Fault{Tool: "create_user", Times: 1, DelayAfter: 300 * time.Millisecond})
	before := w.sim.Bank("finapi").Truth().Requests
	var mu sync.Mutex
	texts := map[string]int{}
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			g := w.send("POST", user, `{"provider":"finapi"}`, "Idempotency-Key", "k")
			mu.Lock()
			defer mu.Unlock()
			texts[g.text]++
		})
	}
	done.Wait()
	if n := w.sim.Bank("finapi").Truth().Requests - before; len(texts) != 1 || n != 1 {
		t.Errorf("%d answers and %d requests to the provider: %v", len(texts), n, texts)
	}
}

// TestHangUp: whoever hung up finds the answer, because the code is spent.
func TestHangUp(t *testing.T) {
	w := open(t, tools.Handle)
	const redirect = "https://app.example/callback"
	code, err := w.sim.Bank("flinks").Code(t.Context(), redirect, "ACCOUNT_BASIC")
	if err != nil {
		t.Fatal(err)
	}
	w.sim.Bank("flinks").SetFault(simulator.Fault{Tool: "create_access_token", Times: 1, DelayAfter: 400 * time.Millisecond})
	body := fmt.Sprintf(`{"provider":"flinks","grant_type":"authorization_code","code":%q,"redirect_uri":%q}`, code, redirect)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+create, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Idempotency-Key", "k")
	if _, err := http.DefaultClient.Do(q); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the first call was to be cut off: %v", err)
	}
	if g := w.ok("POST", create, body, "Idempotency-Key", "k"); g.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got %s", g.text)
	}
}
