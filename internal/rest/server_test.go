package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bankauth/internal/auth"
	"bankauth/internal/consent"
	"bankauth/internal/rest"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// world is the routes over the real tools, vault and simulator, behind a real
// HTTP server.
type world struct {
	t       *testing.T
	url     string
	sim     *simulator.Simulator
	clients *auth.Clients
	full    atomic.Bool    // there is no place for a call
	mu      sync.Mutex     // of the next two: requests may be sent at once
	doc     map[string]any // /openapi.json
	schemas *jsonschema.Compiler
}

func open(t *testing.T, exposure tools.Exposure) *world {
	t.Helper()
	sim, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	transport := providers.NewTransport()
	v, err := vault.Open(t.Context(), vault.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	consents := consent.New(consent.Options{Vault: func(context.Context) (*vault.Vault, error) { return v, nil }})
	o := tools.Options{Exposure: exposure, Consents: consents, Vault: func(context.Context) (*vault.Vault, error) { return v, nil }}
	for _, p := range all {
		bank := sim.Bank(p.Name)
		c, err := providers.New(p, providers.Options{Environment: providers.Simulated, BaseURL: bank.URL(), ClientID: secret.New(bank.ClientID()), ClientSecret: bank.ClientSecret(),
			PrivateKey: bank.PrivateKey, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		o.Banks = append(o.Banks, tools.Bank{Client: c, Simulated: true})
	}
	set, err := tools.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: sim, clients: auth.NewClients(filepath.Join(t.TempDir(), "clients.json"))}
	gate := auth.New(auth.Options{Clients: w.clients, PublicURL: "https://bank.example"})
	behind, front, err := rest.Routes(rest.Options{Tools: set, Vault: o.Vault, Gate: gate, Version: "1.2.3", Enter: w.enter})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range behind {
		mux.Handle(pattern, gate.Handler(h))
	}
	for pattern, h := range front {
		mux.Handle(pattern, h)
	}
	mux.Handle(consent.Path, consents)
	server := httptest.NewServer(mux)
	w.url = server.URL
	consents.ServedAt(server.URL, gate.Whose)
	t.Cleanup(func() {
		server.Close()
		if err := consents.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := v.Close(context.Background()); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		_ = sim.Close()
	})
	w.describe()
	return w
}

func (w *world) enter(ctx context.Context, _ string) (context.Context, func(), bool) {
	return ctx, func() {}, !w.full.Load()
}

func (w *world) describe() {
	w.t.Helper()
	res, err := http.Get(w.url + "/openapi.json")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := jsonschema.UnmarshalJSON(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.doc = doc.(map[string]any)
	w.schemas = jsonschema.NewCompiler()
	if err := w.schemas.AddResource("http://openapi.json", doc); err != nil {
		w.t.Fatal(err)
	}
}

// client adds a client and returns its Authorization header.
func (w *world) client(name string, scopes ...string) string {
	w.t.Helper()
	token, err := w.clients.Add(w.t.Context(), name, scopes)
	if err != nil {
		w.t.Fatal(err)
	}
	return "Bearer " + token.Reveal()
}

// got is an answer.
type got struct {
	*http.Response
	text string
	body map[string]any
}

// send sends a request and holds its answer against the description. headers
// are names and values in turn.
func (w *world) send(method, path, body string, headers ...string) got {
	w.t.Helper()
	q, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	g := got{Response: res, text: string(b)}
	if err := json.Unmarshal(b, &g.body); err != nil {
		w.t.Fatalf("%s %s: %s %s: %v", method, path, res.Status, b, err)
	}
	w.hold(method, path, g)
	return g
}

// hold fails unless the description has this answer.
func (w *world) hold(method, path string, g got) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	path, _, _ = strings.Cut(path, "?")
	if strings.HasPrefix(path, "/v1/tokens/") {
		path = "/v1/tokens/{ref}"
	}
	if g.Header.Get("Cache-Control") != "no-store" || g.Header.Get("X-Content-Type-Options") != "nosniff" {
		w.t.Errorf("%s %s: headers are %v", method, path, g.Header)
	}
	media, at := g.Header.Get("Content-Type"), ""
	operation, _ := member(w.doc, "paths", path, strings.ToLower(method)).(map[string]any)
	status := strconv.Itoa(g.StatusCode)
	response, described := member(operation, "responses", status).(map[string]any)
	switch {
	case operation == nil && g.StatusCode >= 400: // no such operation: a problem all the same
		at = "/components/schemas/Problem"
	case !described:
		w.t.Errorf("%s %s answers %s, which is not described: %s", method, path, g.Status, g.text)
		return
	case response["$ref"] != nil:
		at = strings.TrimPrefix(response["$ref"].(string), "#") + "/content/" + escape(media) + "/schema"
	default:
		at = "/paths/" + escape(path) + "/" + strings.ToLower(method) + "/responses/" + status + "/content/" + escape(media) + "/schema"
	}
	if (g.StatusCode >= 400) != (media == "application/problem+json") {
		w.t.Errorf("%s %s: %s is %s", method, path, g.Status, media)
	}
	s, err := w.schemas.Compile("http://openapi.json#" + at)
	if err != nil {
		w.t.Errorf("%s %s: %v", method, path, err)
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(g.text)))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		w.t.Errorf("%s %s: %s does not fit the description: %v\n%s", method, path, g.Status, err, g.text)
	}
	if g.StatusCode >= 400 && g.body["status"] != float64(g.StatusCode) {
		w.t.Errorf("%s %s: status in the body is %v", method, path, g.body["status"])
	}
}

func member(v any, names ...string) any {
	for _, n := range names {
		m, _ := v.(map[string]any)
		v = m[n]
	}
	return v
}

func escape(s string) string { // of RFC 6901, in a URL's fragment
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(s)
}

// ok sends a request that must work.
func (w *world) ok(method, path, body string, headers ...string) got {
	w.t.Helper()
	g := w.send(method, path, body, headers...)
	if g.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s %s: %s %s", method, path, body, g.Status, g.text)
	}
	return g
}

// refused sends a request that must fail so.
func (w *world) refused(status int, code, method, path, body string, headers ...string) got {
	w.t.Helper()
	g := w.send(method, path, body, headers...)
	if g.StatusCode != status || g.body["code"] != code || g.body["hint"] == "" || g.body["detail"] == "" {
		w.t.Errorf("%s %s %s: got %s %s, want %d %s", method, path, body, g.Status, g.text, status, code)
	}
	if strings.Contains(g.text, "canary") {
		w.t.Errorf("%s %s: the answer repeats what was sent: %s", method, path, g.text)
	}
	return g
}
