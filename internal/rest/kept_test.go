package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// shared are three processes' answers, in vaults of their own over one store.
func shared(t *testing.T, now func() time.Time) []*answers {
	t.Helper()
	dir := t.TempDir() + "/vault"
	var all []*answers
	for range 3 {
		v, err := vault.Open(t.Context(), vault.Options{Dir: dir, Key: vault.Key{Value: secret.New(strings.Repeat("A", 43) + "=")}, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := v.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		all = append(all, &answers{vault: func(context.Context) (*vault.Vault, error) { return v, nil }, now: now})
	}
	return all
}

func ok(body string) func() response {
	return func() response { return response{status: http.StatusOK, body: []byte(body), id: "id of " + body} }
}

func never(t *testing.T) func() response {
	return func() response { t.Error("it was called again"); return response{} }
}

// TestAnswersAreShared: a repeat at another process gets the answer, and another
// request under the same key does not.
func TestAnswersAreShared(t *testing.T) {
	var passed atomic.Int64
	all := shared(t, func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	q := question{principal: "ada", key: "k", tool: "t", args: map[string]any{"a": "1", "b": 2.0}}
	if r, replayed, err := all[0].get(t.Context(), q, ok("one")); string(r.body) != "one" || replayed || err != nil {
		t.Fatal(r, replayed, err)
	}
	for i, a := range all {
		same := q
		same.args = map[string]any{"b": 2.0, "a": "1"}
		if r, replayed, err := a.get(t.Context(), same, never(t)); string(r.body) != "one" || r.status != http.StatusOK || r.id != "id of one" || !replayed || err != nil {
			t.Errorf("process %d: %+v %v %v", i, r, replayed, err)
		}
		for _, other := range []question{{"ada", "k", "t", "other"}, {"ada", "k", "other", q.args}} {
			if _, _, err := a.get(t.Context(), other, never(t)); !errors.Is(err, errOtherQuestion) {
				t.Errorf("process %d: %v", i, err)
			}
		}
	}
	for i, other := range []question{{"eve", "k", "t", q.args}, {"ada", "K", "t", q.args}} {
		if r, replayed, err := all[1].get(t.Context(), other, ok("two")); string(r.body) != "two" || replayed || err != nil {
			t.Errorf("another question %d: %+v %v %v", i, r, replayed, err)
		}
	}
	passed.Store(int64(answersFor - time.Minute))
	if _, replayed, err := all[2].get(t.Context(), q, never(t)); !replayed || err != nil {
		t.Errorf("an answer was forgotten before its day had passed: %v", err)
	}
	passed.Store(int64(answersFor + time.Minute))
	if r, replayed, err := all[2].get(t.Context(), q, ok("new")); string(r.body) != "new" || replayed || err != nil {
		t.Errorf("an answer is kept for more than a day: %+v %v", r, err)
	}
}

// TestOneIsAtIt: of those who ask the same at once, wherever, one works.
func TestOneIsAtIt(t *testing.T) {
	all := shared(t, time.Now)
	for _, again := range []bool{false, true} {
		var worked atomic.Int64
		q := question{principal: "ada", key: fmt.Sprint(again), tool: "t"}
		var together sync.WaitGroup
		for i := range 12 {
			together.Go(func() {
				r, _, err := all[i%3].get(t.Context(), q, func() response {
					worked.Add(1)
					time.Sleep(300 * time.Millisecond)
					return response{status: http.StatusServiceUnavailable, body: []byte("x"), again: again, after: time.Second}
				})
				if string(r.body) != "x" || r.after != time.Second || err != nil {
					t.Errorf("%+v %v", r, err)
				}
			})
			time.Sleep(5 * time.Millisecond)
		}
		together.Wait()
		if n := worked.Load(); n != 1 {
			t.Errorf("again %v: %d worked", again, n)
		}
		// An answer that says "call again" is for those who have waited, no others.
		if _, replayed, err := all[0].get(t.Context(), q, ok("y")); replayed == again || err != nil {
			t.Errorf("again %v: replayed %v %v", again, replayed, err)
		}
	}
}

// TestAClaimEnds: a process that has ended amid a call does not stand in the
// way for ever, nor does a caller who has left.
func TestAClaimEnds(t *testing.T) {
	var passed atomic.Int64
	all := shared(t, func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	q := question{principal: "ada", key: "k", tool: "t"}
	func() {
		defer func() { _ = recover() }()
		_, _, _ = all[0].get(t.Context(), q, func() response { panic("x") })
	}()
	if r, _, err := all[1].get(t.Context(), q, func() response {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, _, err := all[2].get(ctx, q, never(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who has left: %v", err)
		}
		if _, _, err := all[2].get(t.Context(), question{"ada", "k", "t", "other"}, never(t)); !errors.Is(err, errOtherQuestion) {
			t.Errorf("another request: %v", err)
		}
		passed.Store(int64(claimFor))
		if r, replayed, err := all[2].get(t.Context(), q, ok("second")); string(r.body) != "second" || replayed || err != nil {
			t.Errorf("the claim stands: %+v %v", r, err)
		}
		return ok("first")()
	}); string(r.body) != "first" || err != nil {
		t.Errorf("%+v %v", r, err)
	}
	if r, replayed, err := all[0].get(t.Context(), q, never(t)); string(r.body) != "second" || !replayed || err != nil {
		t.Errorf("the one who came late wrote over the answer: %+v %v", r, err)
	}
	large := question{principal: "ada", key: "large", tool: "t"}
	for range 2 {
		if r, replayed, err := all[0].get(t.Context(), large, ok(string(bytes.Repeat([]byte("x"), mostAnswer+1)))); len(r.body) != mostAnswer+1 || replayed || err != nil {
			t.Errorf("%d bytes, %v %v", len(r.body), replayed, err)
		}
	}
}
