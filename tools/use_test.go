package tools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// later is a clock that tests set forward.
type later struct{ by time.Duration }

func (l *later) now() time.Time { return time.Now().Add(l.by) }

// user obtains a user's token at each of the three providers.
func (h *house) user(provider string) string {
	h.t.Helper()
	if provider == simulator.NameFinAPI {
		made := h.ok(schema.CreateUser, `{"provider":"finapi"}`)
		return h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, made["id"]))["token_ref"].(string)
	}
	args := fmt.Sprintf(`{"provider":%q,"grant_type":"authorization_code","code":%q,"redirect_uri":%q}`, provider, h.code(provider, redirect, ""), redirect)
	return h.ok(schema.CreateAccessToken, args)["token_ref"].(string)
}

func (h *house) use(ref string, need tools.Need) tools.Live {
	h.t.Helper()
	live, err := h.Use(h.t.Context(), tools.Local, ref, need)
	if err != nil {
		h.t.Fatal(err)
	}
	return live
}

func (h *house) refreshes(provider string) int64 {
	return h.sim.Bank(provider).Truth().ByGrant["refresh_token"]
}

// A token is handed out while it lives long enough, and refreshed once when
// it does not, or when the provider has refused it.
func TestUseRefreshesWhenDue(t *testing.T) {
	for _, provider := range []string{"fintecture", "flinks", "finapi"} {
		t.Run(provider, func(t *testing.T) {
			h := open(t)
			ref := h.user(provider)
			bank := h.sim.Bank(provider)
			first := h.use(ref, tools.Need{Provider: provider})
			if !bank.Alive(first.Access.Reveal()) || h.refreshes(provider) != 0 {
				t.Fatalf("a live token was expected, and %d refreshes", h.refreshes(provider))
			}
			long := h.use(ref, tools.Need{MinTTL: 24 * time.Hour})
			if h.refreshes(provider) != 1 || long.Generation != first.Generation+1 || !bank.Alive(long.Access.Reveal()) {
				t.Errorf("one refresh was expected: %d, generation %d after %d", h.refreshes(provider), long.Generation, first.Generation)
			}
			// Of two who report the same refused token one refreshes, and the other takes what it got.
			for range 2 {
				next := h.use(ref, tools.Need{Provider: provider, Refused: long.Generation})
				if h.refreshes(provider) != 2 || next.Generation != long.Generation+1 {
					t.Errorf("refused: %d refreshes, generation %d after %d", h.refreshes(provider), next.Generation, long.Generation)
				}
			}
		})
	}
}

// While the provider is down, or there is nothing to refresh with, a token
// that lives is handed out; one that was refused, or is over, is not.
func TestUseWhatLives(t *testing.T) {
	clock := &later{}
	h := open(t, func(o *tools.Options) { o.Now = clock.now })
	ref := h.user("flinks")
	live := h.use(ref, tools.Need{})
	down := simulator.Fault{Status: 503, Times: 100}
	h.sim.Bank("flinks").SetFault(down)
	if got := h.use(ref, tools.Need{MinTTL: time.Hour}); got.Generation != live.Generation {
		t.Errorf("the living token was expected, got generation %d", got.Generation)
	}
	_, err := h.Use(t.Context(), tools.Local, ref, tools.Need{MinTTL: time.Hour, Refused: live.Generation})
	if code := fault.From(err).Code; code != fault.Unavailable {
		t.Errorf("refused: got %v", err)
	}
	clock.by = time.Hour
	if _, err = h.Use(t.Context(), tools.Local, ref, tools.Need{MinTTL: 2 * time.Hour}); fault.From(err).Code != fault.Unavailable {
		t.Errorf("over: got %v", err)
	}
}

// A token of which nobody knows what became of its refresh is not handed out,
// however long it has to live: it is settled first.
func TestUseSettlesWhatIsUncertain(t *testing.T) {
	clock := &later{}
	h := open(t, func(o *tools.Options) { o.Now = clock.now })
	lost := simulator.Fault{Tool: schema.RefreshToken, DropBefore: true}
	for name, begin := range map[string]func(ref string) fault.Code{
		"refresh_token": func(ref string) fault.Code {
			return fault.Code(h.fault(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, ref))["code"].(string))
		},
		"a use for which it was due": func(ref string) fault.Code {
			_, err := h.Use(t.Context(), tools.Local, ref, tools.Need{MinTTL: time.Hour})
			return codeOf(err)
		},
	} {
		ref := h.user("flinks")
		first := h.use(ref, tools.Need{})
		h.sim.Bank("flinks").SetFault(lost)
		if code := begin(ref); code != fault.Uncertain {
			t.Fatalf("%s: got %q", name, code)
		}
		if live, err := h.Use(t.Context(), tools.Local, ref, tools.Need{}); codeOf(err) != fault.Uncertain || !live.Access.IsZero() {
			t.Errorf("%s: during the pause after it: %v", name, err)
		}
		clock.by += time.Minute
		if live, err := h.Use(t.Context(), tools.Local, ref, tools.Need{}); codeOf(err) != fault.Uncertain || !live.Access.IsZero() {
			t.Errorf("%s: asked again in vain: %v", name, err)
		}
		h.sim.Bank("flinks").ClearFaults()
		clock.by += time.Minute
		if got := h.use(ref, tools.Need{}); got.Generation != first.Generation+1 || !h.sim.Bank("flinks").Alive(got.Access.Reveal()) {
			t.Errorf("%s: settled, generation %d after %d", name, got.Generation, first.Generation)
		}
	}
}

func codeOf(err error) fault.Code {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestUseRefuses(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	for name, c := range map[string]struct {
		principal, ref string
		need           tools.Need
	}{
		"another provider":  {tools.Local, ref, tools.Need{Provider: "finapi"}},
		"another principal": {"mallory", ref, tools.Need{}},
		"no such token":     {tools.Local, "tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", tools.Need{}},
		"no token_ref":      {tools.Local, "", tools.Need{}},
	} {
		before := h.sim.Bank("flinks").Truth().Requests
		live, err := h.Use(t.Context(), c.principal, c.ref, c.need)
		if fault.From(err) == nil || fault.From(err).Code != fault.InvalidArgument || !live.Access.IsZero() {
			t.Errorf("%s: got %v", name, err)
		}
		if h.sim.Bank("flinks").Truth().Requests != before {
			t.Errorf("%s: something was sent", name)
		}
	}
}

// A token never goes to another address than that of its issuer.
func TestUseStaysWithItsIssuer(t *testing.T) {
	var banks []tools.Bank
	h := open(t, func(o *tools.Options) { banks = o.Banks })
	ref := h.user("flinks")
	p := banks[1].Client.Provider()
	elsewhere, err := providers.New(p, providers.Options{Environment: providers.Simulated, BaseURL: "http://127.0.0.1:9",
		ClientID: secret.New(h.sim.Bank("flinks").ClientID()), ClientSecret: secret.New("x")})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := tools.New(tools.Options{Banks: []tools.Bank{{Client: elsewhere}}, Vault: func(context.Context) (*vault.Vault, error) { return h.vault, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := moved.Use(t.Context(), tools.Local, ref, tools.Need{Provider: "flinks"}); fault.From(err).Code != fault.NotConfigured {
		t.Errorf("got %v", err)
	}
	args := map[string]any{"token_ref": ref, "force": true}
	r := moved.Call(t.Context(), tools.Local, schema.RefreshToken, args)
	if line, err := moved.Explain(t.Context(), tools.Local, schema.RefreshToken, args); err == nil || fault.From(err).Code != r.Code || r.Code != fault.NotConfigured {
		t.Errorf("explained %q, %v; the call itself: %s", line, err, r.JSON)
	}
}

// Revoke ends the grant at the provider, in its own way, before it erases.
func TestRevoke(t *testing.T) {
	for provider, want := range map[string]struct {
		outcome tools.Outcome
		path    string
	}{
		"fintecture": {tools.Erased, ""},
		"flinks":     {tools.Revoked, "/api/v1/revoke"},
		"finapi":     {tools.Revoked, "/api/v2/oauth/revoke"},
	} {
		t.Run(provider, func(t *testing.T) {
			h := open(t)
			ref := h.user(provider)
			bank := h.sim.Bank(provider)
			rec, err := h.vault.Get(t.Context(), tools.Local, ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Revoke(t.Context(), tools.Local, ref, false)
			if err != nil || got.Outcome != want.outcome || got.TokenRef != ref || got.Provider != provider || got.Note == "" {
				t.Fatalf("got %+v, %v", got, err)
			}
			alive := want.outcome == tools.Erased
			if bank.Alive(rec.Token.Access.Reveal()) != alive || bank.Alive(rec.Token.Refresh.Reveal()) != alive {
				t.Errorf("%s: alive at the provider: want %v for both", provider, alive)
			}
			if want.path != "" && bank.Truth().Posts[want.path] != 1 {
				t.Errorf("got %v", bank.Truth().Posts)
			}
			if _, err := h.Use(t.Context(), tools.Local, ref, tools.Need{}); fault.From(err).Code != fault.InvalidArgument {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

// A client's own token: finAPI ends it, and Flinks has no way to.
func TestRevokeClientToken(t *testing.T) {
	h := open(t)
	for provider, outcome := range map[string]tools.Outcome{"flinks": tools.Erased, "finapi": tools.Revoked} {
		ref := h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":%q,"grant_type":"client_credentials"}`, provider))["token_ref"].(string)
		access := h.use(ref, tools.Need{}).Access.Reveal()
		got, err := h.Revoke(t.Context(), tools.Local, ref, false)
		if err != nil || got.Outcome != outcome || h.sim.Bank(provider).Alive(access) != (outcome == tools.Erased) {
			t.Errorf("%s: %+v, %v", provider, got, err)
		}
	}
}

// Without the provider's word nothing is erased, unless force.
func TestRevokeNeedsTheProvidersWord(t *testing.T) {
	for _, provider := range []string{"flinks", "finapi"} {
		for name, bad := range map[string]simulator.Fault{
			"down":      {Status: http.StatusServiceUnavailable, Times: 1},
			"refused":   {Status: http.StatusBadRequest, Code: "invalid_request", Times: 1},
			"no answer": {DropBefore: true, Times: 1},
		} {
			t.Run(provider+" "+name, func(t *testing.T) {
				h := open(t)
				ref := h.user(provider)
				h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":%q,"grant_type":"client_credentials"}`, provider))
				h.use(ref, tools.Need{})
				h.sim.Bank(provider).SetFault(bad)
				if got, err := h.Revoke(t.Context(), tools.Local, ref, false); err == nil {
					t.Fatalf("got %+v", got)
				}
				h.use(ref, tools.Need{})
				h.sim.Bank(provider).SetFault(bad)
				got, err := h.Revoke(t.Context(), tools.Local, ref, true)
				if err != nil || got.Outcome != tools.Forced {
					t.Errorf("forced: %+v, %v", got, err)
				}
				if _, err := h.Use(t.Context(), tools.Local, ref, tools.Need{}); fault.From(err).Code != fault.InvalidArgument {
					t.Errorf("it is still there: %v", err)
				}
			})
		}
	}
}

// A grant that is over already is erased, and said to be so.
func TestRevokeWhatIsOver(t *testing.T) {
	clock := &later{}
	h := open(t, func(o *tools.Options) { o.Now = clock.now })
	ref := h.user("flinks")
	h.sim.Bank("flinks").Revoke(h.use(ref, tools.Need{}).Access.Reveal())
	h.fault(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, ref))
	clock.by = time.Hour
	if got, err := h.Revoke(t.Context(), tools.Local, ref, false); err != nil || got.Outcome != tools.Ended {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := h.Revoke(t.Context(), tools.Local, ref, true); fault.From(err).Code != fault.InvalidArgument {
		t.Errorf("a second time: %v", err)
	}
}

// Each principal is told of the proxy with a key that is theirs, in whatever
// speaks of a token.
func TestResultsNameTheProxy(t *testing.T) {
	h := open(t, proxied)
	for who, want := range map[string]any{tools.Local: "http://127.0.0.1:1/key_local/flinks", "ada": "http://127.0.0.1:1/key_ada/flinks", "nobody": nil} {
		ref := any(nil)
		for _, call := range []struct{ tool, args string }{
			{schema.CreateAccessToken, `{"provider":"flinks","grant_type":"client_credentials"}`},
			{schema.RefreshToken, `{"token_ref":%q}`},
		} {
			args := map[string]any{}
			if err := json.Unmarshal([]byte(strings.ReplaceAll(call.args, "%q", fmt.Sprintf("%q", ref))), &args); err != nil {
				t.Fatal(err)
			}
			r := h.Call(t.Context(), who, call.tool, args)
			var got map[string]any
			if err := json.Unmarshal(r.JSON, &got); err != nil || r.IsError || got["egress_url"] != want {
				t.Errorf("%s: %s says %s, want %v", who, call.tool, r.JSON, want)
			}
			ref = got["token_ref"]
		}
		if said := h.surface(who).read("bankauth://tokens"); strings.Contains(said, "egress_url") != (want != nil) || want != nil && !strings.Contains(said, want.(string)) {
			t.Errorf("%s: the resource says %s", who, said)
		}
	}
}
