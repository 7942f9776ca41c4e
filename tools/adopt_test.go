package tools_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/schema"
	"bankauth/tools"
)

// given returns a user's refresh token, as a program would bring it along: no
// record here has it any more.
func (h *house) given(provider string) string {
	h.t.Helper()
	ref := h.user(provider)
	rec, err := h.vault.Get(h.t.Context(), tools.Local, ref)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.vault.Forget(h.t.Context(), tools.Local, ref); err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf(`{"provider":%q,"refresh_token":%q}`, provider, rec.Token.Refresh.Reveal())
}

// held are the records that are not the client's own.
func (h *house) held() (users []vault.Record) {
	h.t.Helper()
	all, err := h.vault.List(h.t.Context(), tools.Local)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range all {
		if r.Identity.Grant != schema.GrantClientCredentials {
			users = append(users, r)
		}
	}
	return users
}

// A refresh token that was brought along and brought nothing leaves nothing,
// and the words are those of the refusal.
func TestAGivenRefreshTokenThatBringsNothing(t *testing.T) {
	for _, provider := range []string{"fintecture", "flinks", "finapi"} {
		for name, c := range map[string]struct {
			fault      simulator.Fault
			code, hint string
		}{
			"down":     {simulator.Fault{Status: http.StatusServiceUnavailable}, "unavailable", "call again"},
			"patience": {simulator.Fault{Status: http.StatusTooManyRequests}, "rate_limited", "call again"},
			"client":   {simulator.Fault{Status: http.StatusUnauthorized, Code: "invalid_client"}, "credentials_rejected", "_CLIENT_ID"},
			"no word":  {simulator.Fault{DropBefore: true}, "uncertain", "keep the refresh_token that you gave"},
			"lost":     {simulator.Fault{DropAfter: true, Commit: true}, "uncertain", "keep the refresh_token that you gave"},
		} {
			t.Run(provider+" "+name, func(t *testing.T) {
				h := open(t, exposing(tools.Full))
				args := h.given(provider)
				c.fault.Tool = schema.RefreshToken
				h.sim.Bank(provider).SetFault(c.fault)
				for range 3 {
					got := h.fault(schema.RefreshToken, args)
					hint, _ := got["hint"].(string)
					if got["code"] != c.code || !strings.Contains(hint, c.hint) || strings.Contains(hint, "which is kept") {
						t.Errorf("got %v", got)
					}
				}
				if n := len(h.held()); n != 0 {
					t.Errorf("%d records were left behind", n)
				}
			})
		}
		t.Run(provider+" over", func(t *testing.T) {
			h := open(t, exposing(tools.Full))
			h.given(provider)
			got := h.fault(schema.RefreshToken, fmt.Sprintf(`{"provider":%q,"refresh_token":"x"}`, provider))
			if hint, _ := got["hint"].(string); got["code"] != "reauthorize" || strings.Contains(hint, "which is kept") || len(h.held()) != 0 {
				t.Errorf("got %v, and %d records", got, len(h.held()))
			}
		})
	}
}

// An answer to a given refresh token that can not be used but for its refresh
// token: a repeat goes on with that one, and does not send the given one again.
func TestAGivenRefreshTokenWhoseSuccessorCameAlone(t *testing.T) {
	for _, provider := range []string{"fintecture", "flinks", "finapi"} {
		t.Run(provider, func(t *testing.T) {
			h := open(t, exposing(tools.Full))
			args := h.given(provider)
			_, successor, _ := strings.Cut(h.given(provider), ",")
			h.sim.Bank(provider).SetFault(simulator.Fault{Tool: schema.RefreshToken, Times: 1, Commit: true, Body: "{" + successor})
			got := h.fault(schema.RefreshToken, args)
			held := h.held()
			if len(held) != 1 || !held[0].Token.Access.IsZero() || !strings.Contains(fmt.Sprint(got["hint"]), held[0].Ref) {
				t.Fatalf("got %v, and records %+v", got, held)
			}
			// None of the three rotates: what comes back is what was sent.
			if ok := h.ok(schema.RefreshToken, args); ok["token_ref"] != held[0].Ref || !strings.Contains(successor, fmt.Sprint(ok["refresh_token"])) {
				t.Errorf("the repeat: %v, want what comes of %s", ok, successor)
			}
			if now := h.held(); len(now) != 1 || now[0].State != vault.Live {
				t.Errorf("records %+v", now)
			}
		})
	}
}

// What becomes of a given refresh token has one record, named after how it came.
func TestAGivenRefreshToken(t *testing.T) {
	for _, provider := range []string{"fintecture", "flinks", "finapi"} {
		t.Run(provider, func(t *testing.T) {
			h := open(t, exposing(tools.Full))
			args := h.given(provider)
			// The answers are lost: the next call asks again.
			h.sim.Bank(provider).SetFault(simulator.Fault{Tool: schema.RefreshToken, DropBefore: true})
			h.fault(schema.RefreshToken, args)
			h.sim.Bank(provider).ClearFaults()
			var all sync.WaitGroup
			refs := make([]any, 8)
			for i := range refs { // who call at the same time share what comes of it
				all.Go(func() { refs[i] = h.ok(schema.RefreshToken, args)["token_ref"] })
			}
			all.Wait()
			held := h.held()
			if len(held) == 0 || held[0].State != vault.Live || held[0].Identity.Grant != schema.GrantRefreshToken {
				t.Fatalf("got %+v", held)
			}
			got := h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, held[0].Ref))
			if got["grant_type"] != schema.GrantRefreshToken || got["refreshable"] != true {
				t.Errorf("got %v", got)
			}
		})
	}
}
