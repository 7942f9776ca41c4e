package egress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bankauth/internal/egress"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys are those of every proxy here; key is what opens it to tools.Local.
var (
	keys egress.Keys
	key  = keys.Of(tools.Local)
)

// house is the proxy, on a real listener, before the simulator.
type house struct {
	t       *testing.T
	sim     *simulator.Simulator
	tools   *tools.Set
	vault   *vault.Vault
	address string // of the proxy: host and port
	wire    wire
}

// wire keeps what the banks received.
type wire struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.Write(b)
}

func (w *wire) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen.String()
	w.seen.Reset()
	return s
}

func open(t *testing.T, options ...func(*egress.Options)) *house {
	t.Helper()
	h := &house{t: t}
	var err error
	h.sim, err = simulator.Start(t.Context(), simulator.Options{Wire: func(string, int64) io.Writer { return &h.wire }})
	if err != nil {
		t.Fatal(err)
	}
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	transport := providers.NewTransport()
	var banks []tools.Bank
	for _, p := range all {
		b := h.sim.Bank(p.Name)
		c, err := providers.New(p, providers.Options{Environment: providers.Simulated, BaseURL: b.URL(),
			ClientID: secret.New(b.ClientID()), ClientSecret: b.ClientSecret(), Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		banks = append(banks, tools.Bank{Client: c, Simulated: true})
	}
	h.vault, err = vault.Open(t.Context(), vault.Options{Dir: filepath.Join(t.TempDir(), "vault"), Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	h.tools, err = tools.New(tools.Options{Banks: banks, Vault: func(context.Context) (*vault.Vault, error) { return h.vault, nil }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := egress.Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	h.address = l.Addr().String()
	o := egress.Options{Tokens: h.tools, Keys: &keys, Hosts: egress.Hosts(l)}
	for _, f := range options {
		f(&o)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- egress.Serve(ctx, l, egress.New(o)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := h.vault.Close(context.Background()); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		_ = h.sim.Close()
	})
	return h
}

// user returns the token_ref of a new user's token at the provider.
func (h *house) user(provider string) string {
	h.t.Helper()
	if provider == simulator.NameFinAPI {
		id := h.call(schema.CreateUser, map[string]any{"provider": provider})["id"]
		return h.call(schema.CreateAccessToken, map[string]any{"provider": provider, "grant_type": "password", "username": id})["token_ref"].(string)
	}
	code, err := h.sim.Bank(provider).Code(h.t.Context(), "https://app.example/callback", "")
	if err != nil {
		h.t.Fatal(err)
	}
	return h.call(schema.CreateAccessToken, map[string]any{"provider": provider, "grant_type": "authorization_code", "code": code,
		"redirect_uri": "https://app.example/callback"})["token_ref"].(string)
}

func (h *house) call(tool string, args map[string]any) map[string]any {
	h.t.Helper()
	r := h.tools.Call(h.t.Context(), tools.Local, tool, args)
	var out map[string]any
	if err := json.Unmarshal(r.JSON, &out); err != nil || r.IsError {
		h.t.Fatalf("%s: %s, %v", tool, r.JSON, err)
	}
	return out
}

// access returns the token itself.
func (h *house) access(ref string) string {
	h.t.Helper()
	rec, err := h.vault.Get(h.t.Context(), tools.Local, ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return rec.Token.Access.Reveal()
}

// accounts is the path of the accounts at each provider.
func (h *house) accounts(provider string) string {
	switch provider {
	case simulator.NameFintecture:
		grants := h.sim.Bank(provider).Truth().Grants
		return "/fintecture/ais/v1/customer/" + grants[len(grants)-1].Subject + "/accounts"
	case simulator.NameFlinks:
		return "/flinks/api/v1/accounts"
	}
	return "/finapi/api/v2/accounts"
}

// requests counts what all banks were sent.
func (h *house) requests() (n int64) {
	for _, b := range h.sim.Banks() {
		n += b.Truth().Requests
	}
	return n
}

// client follows no redirect and keeps no connection.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (h *house) send(method, path, ref string, body io.Reader, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.address+"/"+key+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ref)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

func (h *house) get(path, ref string, headers ...string) answer {
	h.t.Helper()
	return h.send(http.MethodGet, path, ref, nil, headers...)
}

// raw sends bytes as they are and returns the first line of what comes back,
// or "" where the connection was closed without a word.
func (h *house) raw(request string) string {
	h.t.Helper()
	c, err := net.Dial("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return ""
	}
	all, _ := io.ReadAll(c)
	line, _, _ := strings.Cut(string(all), "\r\n")
	return line
}

// status returns the code of a status line.
func status(line string) int {
	var code int
	_, _ = fmt.Sscanf(strings.TrimPrefix(strings.TrimPrefix(line, "HTTP/1.1 "), "HTTP/1.0 "), "%d", &code)
	return code
}
