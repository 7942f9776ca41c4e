//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/testdb"
	"bankauth/internal/vault"
)

// fleet is some replicas of bankauth serve on one PostgreSQL, behind one
// address. What they share is the store, the vault's key and the file of clients.
type fleet struct {
	program string
	env     []string
	store   vault.Options
	bank    *simulator.Bank
	front   *httptest.Server
	token   string // of the one client

	transport http.Transport
	mu        sync.Mutex
	replicas  []*replica // in the order of their coming
	turn      int
	last      int // id of a request
}

// replica is one process.
type replica struct {
	*program
	host          string
	out           bool // the proxy sends nothing any more
	served, under int  // requests; those under way
}

// checks is how often the proxy asks whether a replica is ready.
const checks = 50 * time.Millisecond

// watch takes a replica out for good when it says that it is not ready.
func (f *fleet) watch(ctx context.Context, r *replica) {
	for ctx.Err() == nil {
		q, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.host+"/health/ready", nil)
		a, err := f.transport.RoundTrip(q)
		if err == nil {
			_ = a.Body.Close()
		}
		if err != nil || a.StatusCode != http.StatusOK {
			f.mu.Lock()
			r.out = true
			f.mu.Unlock()
			return
		}
		time.Sleep(checks)
	}
}

// provider is the bank as the fleet knows it: a spent refresh token answers
// again for ten minutes, and the fleet is told so.
const graceBank = "gracebank"

func newFleet(t *testing.T, size int) *fleet {
	t.Helper()
	db := testdb.Postgres(t)
	r := simulator.Rotation{Rotation: "grace", RotationGrace: 10 * time.Minute, RotationReuse: "revoke"}
	sim, err := simulator.Start(t.Context(), simulator.Options{Switches: simulator.Switches{Flinks: simulator.Flinks{Rotation: r}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	f := &fleet{program: built(t), bank: sim.Bank(simulator.NameFlinks), transport: http.Transport{DisableKeepAlives: true},
		store: vault.Options{Dir: filepath.Join(t.TempDir(), "looking"), Store: secret.New(db.Create(t, "replicas")), Key: vault.Key{Value: secret.New(key)}}}
	f.front = httptest.NewServer(&httputil.ReverseProxy{Transport: f, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host
	}})
	t.Cleanup(f.front.Close)
	f.env = append(variables(sim), "BANKAUTH_STORE="+f.store.Store.Reveal(), "BANKAUTH_VAULT_KEY="+key, "BANKAUTH_PUBLIC_URL="+f.front.URL,
		"BANKAUTH_CLIENTS_FILE="+filepath.Join(t.TempDir(), "clients.json"))
	f.env = append(f.env, ownBank(t, f.bank, simulator.NameFlinks, graceBank, "{mode: grace, grace: 600}")...)
	f.token = strings.TrimSpace(shell(t, f.env, "clients", "add", "platform"))
	for range size {
		f.join(t)
	}
	return f
}

// join starts a further replica, with a data folder of its own.
func (f *fleet) join(t *testing.T) *replica {
	t.Helper()
	p := launch(t, f.program, append(slices.Clone(f.env), "BANKAUTH_DATA_DIR="+t.TempDir()), "serve", "--listen", "127.0.0.1:0", "--drain-delay", "1s")
	r := &replica{program: p, host: strings.TrimPrefix(where(t, p), "http://")}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, r)
	go f.watch(t.Context(), r)
	return r
}

// RoundTrip sends each request to the next replica that is ready. Like every
// proxy it takes another where one cannot be connected to, and never repeats
// what was sent.
func (f *fleet) RoundTrip(q *http.Request) (*http.Response, error) {
	var body []byte
	if q.Body != nil {
		var err error
		if body, err = io.ReadAll(q.Body); err != nil {
			return nil, err
		}
	}
	for range 8 {
		r := f.next()
		again := q.Clone(q.Context())
		again.URL.Host, again.Body = r.host, io.NopCloser(bytes.NewReader(body))
		answer, err := f.transport.RoundTrip(again)
		f.mu.Lock()
		r.under--
		f.mu.Unlock()
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			continue
		}
		return answer, err
	}
	return nil, errors.New("no replica can be connected to")
}

func (f *fleet) next() *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.replicas[f.turn%len(f.replicas)]
	for f.turn++; r.out; f.turn++ {
		r = f.replicas[f.turn%len(f.replicas)]
	}
	r.served++
	r.under++
	return r
}

// working returns the one replica that answers a request now.
func (f *fleet) working(t *testing.T) *replica {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.replicas, func(r *replica) bool { return r.under > 0 })
	if i < 0 {
		t.Fatal("no replica is at work")
	}
	return f.replicas[i]
}

// way is how a client calls a tool.
type way string

const (
	sessions  way = "MCP 2025-11-25"
	stateless way = "MCP 2026-07-28"
	overREST  way = "REST"
)

var ways = []way{sessions, stateless, overREST}

// fleetAnswer is what a tool answered, or that nothing came.
type fleetAnswer struct {
	status int
	body   string
	toolAnswer
	Reused bool
}

func (a fleetAnswer) failed() bool { return a.status != http.StatusOK || a.Error != nil }

// call calls a tool, over a connection of its own.
func (f *fleet) call(ctx context.Context, w way, tool string, args map[string]any) (fleetAnswer, error) {
	params := map[string]any{"name": tool, "arguments": args}
	header := map[string]string{}
	switch w {
	case sessions:
		header["Mcp-Protocol-Version"], header["Mcp-Session-Id"] = "2025-11-25", "one-for-all"
	case stateless:
		header["Mcp-Protocol-Version"], header["Mcp-Method"], header["Mcp-Name"] = "2026-07-28", "tools/call", tool
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}}
	case overREST:
		return f.send(ctx, w, http.MethodPost, "/v1/"+tool, args, header)
	}
	return f.send(ctx, w, http.MethodPost, "/mcp", map[string]any{"jsonrpc": "2.0", "id": f.number(), "method": "tools/call", "params": params}, header)
}

// number is an id that no other request has.
func (f *fleet) number() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	return f.last
}

func (f *fleet) send(ctx context.Context, w way, method, path string, body any, header map[string]string) (fleetAnswer, error) {
	var a fleetAnswer
	b, err := json.Marshal(body)
	if err != nil {
		return a, err
	}
	q, err := http.NewRequestWithContext(ctx, method, f.front.URL+path, bytes.NewReader(b))
	if err != nil {
		return a, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+f.token)
	for name, value := range header {
		q.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(q)
	if err != nil {
		return a, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return a, err
	}
	a.status, a.body = answer.StatusCode, string(text)
	if a.status == http.StatusBadGateway && len(text) == 0 {
		return a, nil // the proxy's
	}
	if w != overREST {
		var m struct {
			Result struct{ Content []struct{ Text string } }
		}
		if err := json.Unmarshal(text, &m); err != nil || len(m.Result.Content) != 1 {
			return a, fmt.Errorf("the server said %s", text)
		}
		text = []byte(m.Result.Content[0].Text)
	}
	return a, json.Unmarshal(text, &a)
}

// must is call where a failure ends the test.
func (f *fleet) must(t *testing.T, w way, tool string, args map[string]any) fleetAnswer {
	t.Helper()
	a, err := f.call(t.Context(), w, tool, args)
	if err != nil || a.failed() {
		t.Fatalf("%s %s: %v, %d %s", w, tool, err, a.status, a.body)
	}
	return a
}

// code lets a new user consent, and returns what a call makes a token of.
func (f *fleet) code(t *testing.T) map[string]any {
	t.Helper()
	code, err := f.bank.Code(t.Context(), callback, "")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"provider": graceBank, "grant_type": "authorization_code", "code": code, "redirect_uri": callback}
}

func force(ref string) map[string]any { return map[string]any{"token_ref": ref, "force": true} }
