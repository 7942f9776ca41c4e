package journey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// play is a Play at a real simulator with an agent that answers as told.
func play(t *testing.T, agent Agent) (p *Play, told *[]Step) {
	t.Helper()
	s, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	dir := filepath.Join(t.TempDir(), "vault")
	told = &[]Step{}
	return &Play{Agent: agent, Simulator: s, Tell: func(s Step) { *told = append(*told, s) },
		Vault: func(ctx context.Context) (*vault.Vault, error) {
			return vault.Open(ctx, vault.Options{Dir: dir, Key: vault.Key{Value: secret.New(strings.Repeat("A", 43) + "=")}})
		}}, told
}

// A step that does not work ends its provider's journey, not the others'.
func TestFailures(t *testing.T) {
	for name, agent := range map[string]Agent{
		"no answer":       func(context.Context, string, map[string]any) (Answer, error) { return Answer{}, errors.New("gone") },
		"not JSON":        answers(`tok`, false),
		"an error":        answers(`{"error":{"code":"busy"}}`, true),
		"half an error":   answers(`{"error":{"code":"busy"}}`, false),
		"an old token":    answers(`{"token_ref":"tok_x","reused":true}`, false),
		"an empty answer": answers(`{}`, false),
	} {
		p, told := play(t, agent)
		steps, failed, err := p.Run(t.Context())
		if err != nil || steps != 3 || failed != 3 || len(*told) != 3 {
			t.Errorf("%s: %d steps, %d failed, %v", name, steps, failed, err)
		}
		for _, s := range *told {
			if s.Worked {
				t.Errorf("%s: worked", name)
			}
		}
	}
}

func answers(text string, isError bool) Agent {
	return func(context.Context, string, map[string]any) (Answer, error) {
		return Answer{JSON: json.RawMessage(text), IsError: isError}, nil
	}
}

// A token that is said to be reused while the provider was asked is found out.
func TestAskedAgain(t *testing.T) {
	n := 0
	p, told := play(t, func(context.Context, string, map[string]any) (Answer, error) {
		n++
		if n%2 == 1 {
			return Answer{JSON: json.RawMessage(`{"token_ref":"tok_x"}`)}, nil
		}
		return Answer{JSON: json.RawMessage(`{"token_ref":"tok_y","reused":true}`)}, nil
	})
	if _, failed, err := p.Run(t.Context()); err != nil || failed != 3 {
		t.Errorf("%d failed, %v", failed, err)
	}
	if got := (*told)[1].Answered; !strings.Contains(got, "the stored token was expected") {
		t.Errorf("got %q", got)
	}
}

func TestLeaked(t *testing.T) {
	const text = "canary/+?="
	p := &Play{}
	p.keep(secret.New(text))
	p.keep(secret.New(text))
	p.keep(secret.New("another"))
	p.keep(secret.Value{})
	if p.Secrets() != 2 {
		t.Errorf("got %d secrets, want each once", p.Secrets())
	}
	if n := p.Leaked([]byte("nothing of it")); n != 0 {
		t.Errorf("got %d", n)
	}
	for _, form := range []string{text, base64.StdEncoding.EncodeToString([]byte(text)), url.QueryEscape(text)} {
		if n := p.Leaked([]byte("x" + form + "y")); n != 1 {
			t.Errorf("%s: got %d", form, n)
		}
	}
}
