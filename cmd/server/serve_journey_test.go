package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bankauth/internal/journey"
	"bankauth/internal/simulator"
)

// remote is an agent at a server over HTTP that keeps every byte of what it
// sends and hears.
type remote struct {
	url, token string
	modern     bool // it speaks 2026-07-28, not 2025-11-25

	mu   sync.Mutex
	kept bytes.Buffer
}

// RoundTrip keeps what goes over the wire. The caller's own token, which it
// brought along, is left out.
func (r *remote) RoundTrip(q *http.Request) (*http.Response, error) {
	sent, err := httputil.DumpRequestOut(q, true)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+r.token)
	a, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(q)
	if err != nil {
		return nil, err
	}
	heard, err := httputil.DumpResponse(a, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.Write(sent)
	r.kept.Write(heard)
	return a, err
}

// ask sends one request to /mcp and returns its result.
func (r *remote) ask(ctx context.Context, method string, params map[string]any) (json.RawMessage, error) {
	var header []string
	if r.modern {
		name, _ := params["name"].(string)
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}}
		header = append(header, "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: "+method, "Mcp-Name: "+name)
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	status, body, err := post(ctx, &http.Client{Transport: r}, r.url, string(b), header...)
	var a struct{ Result json.RawMessage }
	if err == nil {
		err = json.Unmarshal([]byte(body), &a)
	}
	if err == nil && (status != http.StatusOK || a.Result == nil) {
		err = errors.New(body)
	}
	return a.Result, err
}

// call is a journey.Agent.
func (r *remote) call(ctx context.Context, tool string, args map[string]any) (journey.Answer, error) {
	result, err := r.ask(ctx, "tools/call", map[string]any{"name": tool, "arguments": args})
	var a struct {
		Content []struct{ Text string }
		IsError bool
	}
	if err == nil {
		err = json.Unmarshal(result, &a)
	}
	if err != nil || len(a.Content) != 1 {
		return journey.Answer{}, errors.Join(err, errors.New("not one text"))
	}
	return journey.Answer{JSON: json.RawMessage(a.Content[0].Text), IsError: a.IsError}, nil
}

// TestJourneysOverHTTP plays each provider's journey at /mcp, from the first
// token by way of a person's consent at the server's own address to account
// data through the proxy beside the server, and searches all that the agent
// sent and saw for secrets.
func TestJourneysOverHTTP(t *testing.T) {
	for name, modern := range map[string]bool{"2025-11-25": false, "2026-07-28": true} {
		t.Run(name, func(t *testing.T) {
			sim, err := simulator.Start(t.Context(), simulator.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = sim.Close() })
			kept := store{filepath.Join(t.TempDir(), "vault"), base64.StdEncoding.EncodeToString([]byte(chance(32)))}
			env := append(variables(sim), kept.env()...)
			agent := &remote{modern: modern, token: strings.TrimSpace(shell(t, env, "clients", "add", "agent"))}
			s := start(t, env, "serve", "--listen", "127.0.0.1:0", "--egress")
			agent.url = where(t, s)
			consents, read := 0, 0
			play := &journey.Play{Agent: agent.call, Simulator: sim, Vault: kept.open, Principal: "client:agent",
				Tell: func(s journey.Step) {
					if !s.Worked {
						t.Errorf("%s: %s: %s", s.Provider, s.Asked, s.Answered)
					}
					if strings.HasPrefix(s.Answered, "accounts: ") {
						read++
					}
				},
				Browser: func(page simulator.Visited) {
					consents++
					if at := page.URL.Scheme + "://" + page.URL.Host; at != agent.url || page.URL.Path != "/consent/callback" {
						t.Errorf("a consent ended at %s%s, not at the server's own address", at, page.URL.Path)
					}
				}}
			for _, q := range []struct {
				method string
				params map[string]any
			}{{"tools/list", map[string]any{}}, {"prompts/get", map[string]any{"name": "connect_bank", "arguments": map[string]any{"provider": "flinks"}}}} {
				if _, err := agent.ask(t.Context(), q.method, q.params); err != nil {
					t.Error(err)
				}
			}
			if _, failed, err := play.Run(t.Context()); failed > 0 || err != nil {
				t.Errorf("%d steps did not work, %v", failed, err)
			}
			if consents != 2 || read != 3 {
				t.Errorf("%d consents and the accounts of %d providers, want 2 and 3", consents, read)
			}
			transcript := append(agent.kept.Bytes(), play.Used()...)
			if leaked := play.Leaked(transcript); leaked > 0 || play.Secrets() < 15 || len(transcript) < 20_000 {
				t.Errorf("%d of %d secrets are in the %d bytes that the agent saw", leaked, play.Secrets(), len(transcript))
			}
			terminate(t, s)
		})
	}
}
