package tools_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// house is the tools over the real simulator and a real vault.
type house struct {
	*tools.Set
	t     *testing.T
	sim   *simulator.Simulator
	vault *vault.Vault
}

type option func(*tools.Options)

func exposing(e tools.Exposure) option { return func(o *tools.Options) { o.Exposure = e } }
func logging(l zerolog.Logger) option  { return func(o *tools.Options) { o.Log = l } }

// proxied gives everybody a proxy but the principal nobody.
func proxied(o *tools.Options) {
	o.Egress = func(_ context.Context, principal string) string {
		if principal == "nobody" {
			return ""
		}
		return "http://127.0.0.1:1/key_" + principal
	}
}

func with(banks ...tools.Bank) option {
	return func(o *tools.Options) { o.Banks = append(o.Banks, banks...) }
}

func open(t *testing.T, options ...option) *house {
	t.Helper()
	sim, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, sim: sim}
	o := tools.Options{}
	transport := providers.NewTransport()
	for _, p := range all {
		bank := sim.Bank(p.Name)
		c, err := providers.New(p, providers.Options{Environment: providers.Simulated, BaseURL: bank.URL(), ClientID: secret.New(bank.ClientID()), ClientSecret: bank.ClientSecret(), PrivateKey: bank.PrivateKey, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		o.Banks = append(o.Banks, tools.Bank{Client: c, Simulated: true})
	}
	dir := t.TempDir() + "/vault"
	var opening sync.Mutex
	o.Vault = func(ctx context.Context) (_ *vault.Vault, err error) {
		opening.Lock()
		defer opening.Unlock()
		if h.vault == nil {
			h.vault, err = vault.Open(ctx, vault.Options{Dir: dir, Ephemeral: true, Now: o.Now})
		}
		return h.vault, err
	}
	for _, f := range options {
		f(&o)
	}
	if h.Set, err = tools.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.vault != nil {
			if err := h.vault.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		transport.CloseIdleConnections()
		_ = sim.Close()
	})
	return h
}

// call makes a call from JSON arguments and returns its decoded result.
func (h *house) call(tool, args string) (map[string]any, bool) {
	h.t.Helper()
	var given any
	if err := json.Unmarshal([]byte(args), &given); err != nil {
		h.t.Fatal(err)
	}
	r := h.Call(h.t.Context(), tools.Local, tool, given)
	var out map[string]any
	if err := json.Unmarshal(r.JSON, &out); err != nil {
		h.t.Fatalf("%s: %v", r.JSON, err)
	}
	return out, r.IsError
}

func (h *house) ok(tool, args string) map[string]any {
	h.t.Helper()
	out, failed := h.call(tool, args)
	if failed {
		h.t.Fatalf("%s %s: %v", tool, args, out)
	}
	return out
}

// fault makes a call that must fail and returns the error object.
func (h *house) fault(tool, args string) map[string]any {
	h.t.Helper()
	out, failed := h.call(tool, args)
	if !failed {
		h.t.Fatalf("%s %s succeeded: %v", tool, args, out)
	}
	return out["error"].(map[string]any)
}

func (h *house) code(provider, redirect, scope string) string {
	h.t.Helper()
	code, err := h.sim.Bank(provider).Code(h.t.Context(), redirect, scope)
	if err != nil {
		h.t.Fatal(err)
	}
	return code
}
