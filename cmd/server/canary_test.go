package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/journey"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/tools"
)

// store is a vault's folder and the key that opens it.
type store struct{ dir, key string }

func newStore(t *testing.T, secrets *canaries) store {
	t.Helper()
	raw := secrets.add("vault key", chance(32))
	return store{filepath.Join(t.TempDir(), "vault"), secrets.add("vault key", base64.StdEncoding.EncodeToString([]byte(raw)))}
}

func (s store) env() []string {
	return []string{"BANKAUTH_DATA_DIR=" + s.dir, "BANKAUTH_VAULT_KEY=" + s.key}
}

func (s store) open(ctx context.Context) (*vault.Vault, error) {
	return vault.Open(ctx, vault.Options{Dir: s.dir, Key: vault.Key{Value: secret.New(s.key)}})
}

// gather notes every token of the vault, and returns the token_refs.
func (s store) gather(t *testing.T, secrets *canaries) (refs []string) {
	t.Helper()
	v, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close(t.Context()) }()
	records, err := v.List(t.Context(), tools.Local)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		secrets.add("access token", r.Token.Access.Reveal())
		secrets.add("refresh token", r.Token.Refresh.Reveal())
		refs = append(refs, r.Ref)
	}
	return refs
}

// caller is a model that makes use of all that it can.
type caller struct {
	*talk
	secrets *canaries
	user    string // that was made at finapi
}

func (c *caller) code(provider string) ask {
	args := map[string]any{"provider": provider, "grant_type": "authorization_code", "code": c.secrets.issue("code"), "redirect_uri": "https://app.example/callback"}
	if provider == "fintecture" {
		args["scope"] = "AIS"
	}
	return ask{"create_access_token", args}
}

func (c *caller) password() ask {
	return ask{"create_access_token", map[string]any{"provider": "finapi", "grant_type": "password", "username": c.user, "force": true}}
}

func own(provider string) ask {
	args := map[string]any{"provider": provider, "grant_type": "client_credentials", "force": true}
	if provider == "fintecture" {
		args["scope"] = "PIS"
	}
	return ask{"create_access_token", args}
}

func refresh(ref string) ask {
	return ask{"refresh_token", map[string]any{"token_ref": ref, "force": true}}
}

func newUser() ask {
	return ask{"create_user", map[string]any{"provider": "finapi", "email": "ada@example.com", "phone": "+49 89 1234567"}}
}

// good makes calls that must work and returns their token_refs or ids.
func (c *caller) good(t *testing.T, asks ...ask) []string {
	t.Helper()
	var names []string
	for i, a := range c.all(t, asks...) {
		var v struct {
			TokenRef string `json:"token_ref"`
			ID       string
		}
		if err := json.Unmarshal([]byte(a.text), &v); err != nil || a.wrong {
			t.Fatalf("%v: %s", asks[i], a.text)
		}
		names = append(names, v.TokenRef+v.ID)
	}
	return names
}

// misbehaved lets the far end be good, then as m has it, and makes every call
// in the second.
func (c *caller) misbehaved(t *testing.T, far *farEnd, m manner) (refused int) {
	t.Helper()
	far.behave(well)
	refs := c.good(t, c.code("fintecture"), c.code("flinks"), c.password())
	far.behave(m)
	asks := []ask{own("fintecture"), own("flinks"), own("finapi"), c.code("fintecture"), c.code("flinks"), c.password(), newUser()}
	for _, ref := range refs {
		asks = append(asks, refresh(ref))
	}
	for _, a := range c.all(t, asks...) {
		if a.wrong {
			refused++
		}
	}
	return refused
}

// TestCanaryFaults lets providers answer in every way that they should not.
func TestCanaryFaults(t *testing.T) {
	t.Parallel() // its calls wait before they are tried again
	w := newWatch(t)
	far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
	env := append(far.env, kept.env()...)
	c := &caller{talk: w.talk(t, env), secrets: w.secrets}
	c.user = c.good(t, newUser())[0]
	all, refused := manners(), 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out, errs := len(c.out.bytes()), len(c.err.bytes())
		refused += c.misbehaved(t, far, all[name])
		w.keep("stdout with "+name, c.out.bytes()[out:])
		w.keep("stderr with "+name, c.err.bytes()[errs:])
	}
	w.folder(t, kept.dir) // while the store is open
	far.behave(well)
	c.end(t)
	w.folder(t, kept.dir)
	if w.calls < 1000 || refused < 500 {
		t.Errorf("only %d calls, and %d of them refused", w.calls, refused)
	}
	if strings.Contains(string(far.said), "/elsewhere") {
		t.Error("a redirect was followed")
	}
	w.keep("request lines", far.said)
	refs := kept.gather(t, w.secrets)
	looks := [][]string{{"tokens", "list"}, {"tokens", "list", "--json"}, {"doctor"}, {"doctor", "--json"}}
	for i, ref := range refs {
		if i%40 == 0 {
			looks = append(looks, []string{"tokens", "show", ref}, []string{"tokens", "show", "--json", ref}, []string{"call", "refresh_token", "token_ref=" + ref},
				[]string{"call", "--explain", "refresh_token", "token_ref=" + ref})
		}
	}
	for _, args := range looks {
		if out, code := w.command(t, env, "bankauth", args...); code != 0 && args[0] != "doctor" {
			t.Errorf("%v ended with %d: %s", args, code, out)
		}
	}
	w.search(t)
}

// TestCanaryJourneys plays each provider's journey, from the first token by way
// of a person's consent to the accounts, and searches all that a model, a
// person and a log saw. The proxy is beside the server, or a process of its own.
func TestCanaryJourneys(t *testing.T) {
	for _, form := range []string{"json", "console"} {
		for _, provider := range []string{simulator.NameFintecture, simulator.NameFlinks, simulator.NameFinAPI} {
			for _, beside := range []bool{true, false} {
				name := form + " " + provider + map[bool]string{true: " beside", false: ""}[beside]
				t.Run(name, func(t *testing.T) { canaryJourney(t, form, provider, beside) })
			}
		}
	}
}

func canaryJourney(t *testing.T, form, provider string, beside bool) {
	w := newWatch(t)
	kept := newStore(t, w.secrets)
	sim, banks := marked(t, w.secrets)
	env := append(append(banks, kept.env()...), "BANKAUTH_LOG_FORMAT="+form, "BANKAUTH_CONSENT_LISTEN=127.0.0.1:0")
	play := &journey.Play{Simulator: sim, Vault: kept.open, Tell: func(s journey.Step) {
		if !s.Worked {
			t.Errorf("step %d: %s: %s", s.Number, s.Asked, s.Answered)
		}
	}}
	var said pipes
	stop := func() {}
	var flags []string
	if beside {
		flags = append(flags, "--egress")
	} else {
		_, play.Egress, stop = startEgressSaying(t, &said, append(env, "BANKAUTH_LOG_LEVEL=trace"))
	}
	c := &caller{talk: w.talk(t, env, flags...), secrets: w.secrets}
	play.Agent = func(ctx context.Context, tool string, args map[string]any) (journey.Answer, error) {
		a := c.all(t, ask{tool, args})[0]
		kept.gather(t, w.secrets)
		return journey.Answer{JSON: json.RawMessage(a.text), IsError: a.wrong}, nil
	}
	play.Browser = func(v simulator.Visited) {
		for _, name := range []string{"code", "state"} {
			w.secrets.add(name, v.URL.Query().Get(name))
		}
		w.keep("the person's page", []byte(v.Body+fmt.Sprint(v.Header)))
	}
	if steps, failed, err := play.Run(t.Context(), provider); err != nil || failed > 0 || steps < 7 {
		t.Fatal(steps, failed, err)
	}
	stop()
	w.keep("what went through the proxy", play.Used())
	w.keep("the proxy's log", said.bytes())
	w.folder(t, kept.dir)
	c.end(t)
	w.folder(t, kept.dir)
	logs := string(c.err.bytes()) + string(said.bytes())
	for _, of := range []string{"create_access_token", "egress"} {
		if !strings.Contains(logs, of) {
			t.Errorf("the log has nothing of %s, so that nothing was looked at: %s", of, logs)
		}
	}
	if !strings.Contains(string(play.Used()), "1250.42") {
		t.Errorf("no account data came: %s", play.Used())
	}
	if n := len(w.secrets.all()); n < 10 {
		t.Errorf("only %d secrets", n)
	}
	for _, b := range sim.Banks() {
		if n := b.Truth().Confided; n > 0 {
			t.Errorf("%s: %d requests had a secret in the request line", b.Name, n)
		}
	}
	w.search(t)
}

// marked starts the simulator with credentials that can be searched for.
func marked(t *testing.T, secrets *canaries) (*simulator.Simulator, []string) {
	t.Helper()
	clients := map[string]simulator.Credentials{}
	for _, name := range []string{simulator.NameFintecture, simulator.NameFlinks, simulator.NameFinAPI} {
		clients[name] = simulator.Credentials{ID: secrets.issue("client id"), Secret: secret.New(secrets.issue("client secret"))}
	}
	s, err := simulator.Start(t.Context(), simulator.Options{Clients: clients})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	secrets.add("private key", s.Bank(simulator.NameFintecture).PrivateKey().Reveal())
	return s, variables(s)
}
