package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site is a bankauth that serves and is watched, by way of everything that it
// sends: to its callers, to the log, and to a collector of traces.
type site struct {
	w        *watch
	cmd      *exec.Cmd
	out, err pipes
	url      string
	bearer   string
	client   *http.Client
	sse      *stream
}

// serve starts `bankauth serve` at log level trace, with one client, whose
// token is a secret too.
func (w *watch) serve(t *testing.T, env []string, args ...string) *site {
	t.Helper()
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.keep("traces", b)
	}))
	t.Cleanup(collector.Close)
	env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=200")
	s := &site{w: w, client: &http.Client{Timeout: 2 * patience}, bearer: w.secrets.add("client's token", strings.TrimSpace(shell(t, env, "clients", "add", "ci")))}
	s.cmd = exec.Command("bankauth", append([]string{"serve", "--listen=127.0.0.1:0", "--log-level=trace"}, args...)...)
	s.cmd.Env, s.cmd.Stderr = outside(t, env), &s.err
	out, err := s.cmd.StdoutPipe()
	if err != nil || s.cmd.Start() != nil {
		t.Fatal("starting bankauth serve")
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // where the test failed
	said := bufio.NewReader(io.TeeReader(out, &s.out))
	line, _ := said.ReadString('\n')
	where, ok := strings.CutPrefix(strings.TrimSpace(line), "bankauth serves MCP at ")
	if !ok {
		t.Fatalf("the server said %q: %s", line, s.err.bytes())
	}
	s.url = strings.TrimSuffix(where, "/mcp")
	w.commandLine(t, s.cmd.Process.Pid)
	return s
}

// send makes a request and keeps the whole answer.
func (s *site) send(t *testing.T, place, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.bearer)
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
		if name == "Host" {
			q.Host = value
		}
	}
	a, err := s.client.Do(q)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	var whole bytes.Buffer
	_ = a.Header.Write(&whole)
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	whole.Write(b)
	s.w.keep("an answer of "+place, whole.Bytes())
	return a.StatusCode, string(b)
}

// stream is an open /sse.
type stream struct {
	message string // where to post
	events  chan string
}

func (s *site) open(t *testing.T) *stream {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	q, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/sse", nil)
	q.Header.Set("Authorization", "Bearer "+s.bearer)
	a, err := http.DefaultTransport.RoundTrip(q)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatal("opening /sse: ", err)
	}
	e := &stream{events: make(chan string, 64)}
	r := bufio.NewScanner(a.Body)
	r.Buffer(nil, 1<<20)
	next := func() string {
		for r.Scan() {
			if data, ok := strings.CutPrefix(r.Text(), "data: "); ok {
				return data
			}
		}
		return ""
	}
	e.message = next()
	_, id, _ := strings.Cut(e.message, "sessionId=")
	s.w.secrets.add("id of a stream", id) // whoever has it can speak there
	go func() {
		defer a.Body.Close()
		defer close(e.events)
		for data := next(); data != ""; data = next() {
			s.w.keep("an event of /sse", []byte(data))
			e.events <- data
		}
	}()
	return e
}

// doors are the ways in.
var doors = []string{"/mcp", "/v1", "/sse"}

// through makes a call through one of the doors.
func (s *site) through(t *testing.T, door string, a ask) answered {
	t.Helper()
	s.w.calls++
	args, err := json.Marshal(a.args)
	if err != nil {
		t.Fatal(err)
	}
	call := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, a.tool, args)
	switch door {
	case "/v1":
		status, body := s.send(t, door, http.MethodPost, "/v1/"+url.PathEscape(a.tool), string(args))
		return answered{body, status >= 400}
	case "/sse":
		if s.sse == nil {
			s.sse = s.open(t)
		}
		if status, body := s.send(t, door, http.MethodPost, s.sse.message, call); status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", s.sse.message, status, body)
		}
		select {
		case event := <-s.sse.events:
			return result(t, event)
		case <-time.After(2 * patience):
			t.Fatal("no event came")
		}
	}
	_, body := s.send(t, door, http.MethodPost, "/mcp", call)
	return result(t, body)
}

func result(t *testing.T, text string) answered {
	t.Helper()
	var v struct {
		Result struct {
			Content []struct{ Text string }
			IsError bool
		}
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil || len(v.Result.Content) == 0 {
		t.Fatalf("a call was answered without a result: %.300s", text)
	}
	return answered{v.Result.Content[0].Text, v.Result.IsError}
}

// good makes calls that must work, through every door in turn, and returns
// their token_refs or ids.
func (s *site) good(t *testing.T, asks ...ask) (names []string) {
	t.Helper()
	for i, a := range asks {
		got := s.through(t, doors[i%len(doors)], a)
		var v struct {
			TokenRef string `json:"token_ref"`
			ID       string
		}
		if err := json.Unmarshal([]byte(got.text), &v); err != nil || got.wrong {
			t.Fatalf("%v: %s", a, got.text)
		}
		names = append(names, v.TokenRef+v.ID)
	}
	return names
}

// end tells the server to end and keeps all that it said.
func (s *site) end(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server did not end well: %v", err)
	}
	s.w.keep("stdout of serve", s.out.bytes())
	s.w.keep("stderr of serve", s.err.bytes())
}

// look reads everything that the server says of itself and of its records.
func (s *site) look(t *testing.T, refs []string) {
	t.Helper()
	for _, path := range []string{"/metrics", "/health/live", "/health/ready", "/openapi.json", "/docs/", "/v1/tokens", "/v1/tokens/" + refs[0], "/.well-known/oauth-protected-resource"} {
		if status, body := s.send(t, path, http.MethodGet, path, ""); status != http.StatusOK && !strings.HasPrefix(path, "/.well") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := s.send(t, "/v1/tokens", http.MethodDelete, "/v1/tokens/"+refs[0], ""); status/100 != 2 {
		t.Errorf("removing a token: %d %s", status, body)
	}
}

// stray are requests with a secret where none belongs; % is the secret. They
// are: method, path, body, and headers.
var stray = [][]string{
	{"GET", "/%", ""}, {"GET", "/?token=%", ""}, {"POST", "/mcp?access_token=%", "{}"}, {"POST", "/mcp/%", "{}"}, {"GET", "/sse?access_token=%", "", "Authorization: "}, {"POST", "/message?sessionId=%", "{}"},
	{"POST", "/v1/%", "{}"}, {"POST", "/v1/create_user/%", "{}"}, {"GET", "/v1/tokens/%", ""}, {"DELETE", "/v1/tokens/%", ""}, {"GET", "/v1/tokens?after=%", ""}, {"GET", "/v1/tokens?limit=%", ""}, {"GET", "/v1/tokens?%=1", ""},
	{"GET", "/docs/%", ""}, {"GET", "/metrics?%", ""}, {"GET", "/health/%", ""}, {"GET", "/.well-known/%", ""}, {"GET", "/.well-known/oauth-protected-resource/%", ""},
	{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Authorization: Bearer %"}, {"POST", "/mcp", "{}", "Authorization: Basic %"}, {"POST", "/mcp", "{}", "Authorization: %"}, {"POST", "/mcp", "{}", "Authorization: Bearer bka_%"},
	{"POST", "/mcp", "{}", "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.%.%"}, {"POST", "/mcp", "{}", "Cookie: session=%"}, {"POST", "/mcp", "{}", "Origin: https://%.example"}, {"POST", "/mcp", "{}", "Referer: https://a.example/%"},
	{"POST", "/mcp", "{}", "Host: %"}, {"POST", "/mcp", "{}", "User-Agent: %"}, {"POST", "/mcp", "{}", "Accept: %"}, {"POST", "/mcp", "{}", "Content-Type: %"}, {"POST", "/mcp", "{}", "Content-Type: application/json; charset=%"}, {"POST", "/mcp", "{}", "Content-Encoding: %"},
	{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id: %"}, {"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Protocol-Version: %"}, {"POST", "/mcp", "{}", "Mcp-Method: %"}, {"POST", "/mcp", "{}", "Mcp-Name: %"}, {"POST", "/mcp", "{}", "Last-Event-Id: %"},
	{"POST", "/mcp", "{}", "X-Forwarded-For: %"}, {"POST", "/mcp", "{}", "X-Forwarded-Host: %"}, {"POST", "/mcp", "{}", "Forwarded: host=%"}, {"POST", "/mcp", "{}", "X-Request-Id: %"}, {"POST", "/mcp", "{}", "Traceparent: %"},
	{"POST", "/mcp", "{}", "Traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", "Tracestate: a=%", "Baggage: a=%"},
	{"POST", "/v1/create_user", `{"provider":"finapi"}`, "Idempotency-Key: %"}, {"POST", "/v1/refresh_token", `"%"`}, {"POST", "/v1/refresh_token", `{"token_ref":"%"}`}, {"POST", "/v1/refresh_token", `{"token_ref":"a","token_ref":"%"}`}, {"POST", "/v1/refresh_token", "%"},
	{"OPTIONS", "/mcp", "", "Origin: https://%.example", "Access-Control-Request-Headers: %"}, {"PUT", "/v1/tokens/%", `{"a":"%"}`}, {"BREW%", "/mcp", ""},
}

// astray sends what is in stray.
func (s *site) astray(t *testing.T) {
	t.Helper()
	for _, r := range stray {
		path, method, rest := r[1], r[0], slices.Clone(r[2:])
		path = strings.ReplaceAll(path, "%", url.QueryEscape(s.w.secrets.issue("secret in a path")))
		method = strings.ReplaceAll(method, "%", s.w.secrets.add("secret in a method", chance(20)))
		for i := range rest {
			for strings.Contains(rest[i], "%") {
				secret := s.w.secrets.issue("secret in a request")
				if strings.HasPrefix(rest[i], "Host") || strings.HasPrefix(rest[i], "Traceparent: %") {
					secret = s.w.secrets.add("secret in a request", chance(26)) // else it goes nowhere
				}
				rest[i] = strings.Replace(rest[i], "%", secret, 1)
			}
		}
		s.send(t, fmt.Sprintf("%s %s %v", r[0], r[1], r[2:]), method, path, rest[0], rest[1:]...)
	}
}

// TestCanaryHTTP lets providers and callers misbehave in every way, through
// every door, and looks at all that leaves: answers, events, log, metrics,
// traces and files.
func TestCanaryHTTP(t *testing.T) {
	w := newWatch(t)
	far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
	s := w.serve(t, append(far.env, kept.env()...))
	user := s.good(t, newUser())[0]
	password := ask{"create_access_token", map[string]any{"provider": "finapi", "grant_type": "password", "username": user, "force": true}}
	c := &caller{secrets: w.secrets}
	refs := s.good(t, c.code("fintecture"), c.code("flinks"), password)
	all, refused := manners(), 0
	for i, name := range slices.Sorted(maps.Keys(all)) {
		far.behave(all[name])
		for n, a := range []ask{c.code("flinks"), newUser(), refresh(refs[1]), own("finapi"), password} {
			if s.through(t, doors[(i+n)%len(doors)], a).wrong {
				refused++
			}
		}
	}
	far.behave(manners()["400 JSON"])
	for i, a := range badCalls(w.secrets.issue) {
		if i%4 == 0 { // TestCanaryBadCalls makes them all
			s.through(t, doors[i/4%len(doors)], a)
		}
	}
	for _, line := range lines {
		for strings.Contains(line, "%s") {
			line = strings.Replace(line, "%s", w.secrets.issue("secret"), 1)
		}
		s.send(t, "/mcp to "+line[:min(90, len(line))], http.MethodPost, "/mcp", line)
		s.send(t, "/message to "+line[:min(90, len(line))], http.MethodPost, s.sse.message, line)
	}
	s.sse = nil // that one still has its answers to give
	s.astray(t)
	far.behave(well)
	s.look(t, s.good(t, own("flinks"), own("finapi"), own("fintecture")))
	w.folder(t, kept.dir)
	s.end(t)
	w.folder(t, kept.dir)
	kept.gather(t, w.secrets)
	if w.calls < 700 || refused < 300 {
		t.Errorf("only %d calls, and %d of them refused", w.calls, refused)
	}
	if said := string(s.err.bytes()); !strings.Contains(said, `"route":"/v1/`) || !strings.Contains(said, "create_access_token") {
		t.Errorf("the log lacks requests or calls: %.2000s", said)
	}
	w.must(t, "traces", "exchange flinks", "bankauth.correlation_id", `POST /mcp`)
	w.must(t, "an answer of /metrics", `bankauth_calls_total{code="ok",provider="flinks"`, "bankauth_tokens{", "bankauth_refreshes_total", "bankauth_replays_total")
	w.search(t)
}

// must says that what was kept of a place has these texts: so it was looked at.
func (w *watch) must(t *testing.T, place string, texts ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range texts {
		if !slices.ContainsFunc(w.samples, func(s sample) bool { return s.place == place && bytes.Contains(s.bytes, []byte(text)) }) {
			t.Errorf("%s has no %s, so that nothing was looked at", place, text)
		}
	}
}

// TestCanaryHTTPIsFound is the control: where the exposure lets a token out,
// it is found in the answers of every door, and nowhere else.
func TestCanaryHTTPIsFound(t *testing.T) {
	w := newWatch(t)
	far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
	s := w.serve(t, append(far.env, kept.env()...), "--expose=token")
	s.good(t, own("flinks"), own("finapi"), own("fintecture"))
	s.look(t, s.good(t, own("flinks")))
	s.end(t)
	find, found := w.secrets.find(), map[string]int{}
	for _, sample := range w.empty() {
		for _, l := range find.in(sample.bytes) {
			found[sample.place]++
			if l.what != "access token" || !slices.Contains([]string{"an answer of /mcp", "an answer of /v1", "an event of /sse"}, sample.place) {
				t.Errorf("%s: a %s: %q", sample.place, l.what, l.around)
			}
		}
	}
	if len(found) != 3 {
		t.Errorf("found only in %v", found)
	}
}
