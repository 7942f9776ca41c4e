package httpd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bankauth/internal/auth"
	"bankauth/internal/httpd"
	"bankauth/internal/stdio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler answers as a server of tools would, and keeps what it saw.
type handler struct {
	mu      sync.Mutex
	seen    []httpd.Message
	started chan string   // the id of every slow call that began
	ended   chan string   // and of every one whose context ended
	release chan struct{} // lets the slow calls return
}

func newHandler() *handler {
	return &handler{started: make(chan string, 64), ended: make(chan string, 64), release: make(chan struct{})}
}

func (h *handler) handle(ctx context.Context, m httpd.Message) stdio.Reply {
	h.mu.Lock()
	h.seen = append(h.seen, m)
	h.mu.Unlock()
	var called struct {
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	_ = json.Unmarshal(m.Raw, &called)
	who, _ := auth.FromContext(ctx)
	switch {
	case m.Busy:
		return stdio.Reply{Result: map[string]any{"isError": true, "busy": true}}
	case called.Params.Name == "panic":
		panic("canary of a panic")
	case called.Params.Name == "slow":
		h.started <- string(m.ID)
		select {
		case <-ctx.Done():
			h.ended <- string(m.ID)
		case <-h.release:
		}
		return stdio.Reply{Result: map[string]any{"done": true}}
	case m.Method == "nothing":
		return stdio.Reply{Error: &stdio.Error{Code: -32601, Message: "no such method"}}
	case m.Method == "notify":
		m.Notify([]byte(`{"jsonrpc":"2.0","method":"notifications/message"}`))
	}
	return stdio.Reply{Result: map[string]any{"method": m.Method, "who": who.Principal, "modern": m.Modern, "legacy": m.Legacy, "revision": m.Revision}}
}

// served is a server that runs.
type served struct {
	*handler
	server *httpd.Server
	url    string
	addr   string
	stop   context.CancelFunc
	ended  chan error
}

// byHeader is a gate that takes a caller's word for it.
func byHeader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := auth.Caller{Principal: r.Header.Get("X-Caller"), Scopes: auth.Scopes()}
		next.ServeHTTP(w, r.WithContext(auth.NewContext(r.Context(), c)))
	})
}

func serve(t *testing.T, change func(*httpd.Options)) *served {
	t.Helper()
	s := &served{handler: newHandler(), ended: make(chan error, 1)}
	o := httpd.Options{Handle: s.handle, Gate: byHeader, Metrics: httpd.NewMetrics("test"), Limits: httpd.Limits{Drain: 5 * time.Second},
		Routes: map[string]http.Handler{"/v1/": http.HandlerFunc(echo)}, Open: map[string]http.Handler{"/docs/": http.HandlerFunc(echo)}}
	if change != nil {
		change(&o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.url = "http://" + s.addr
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.server = httpd.New(o)
	go func() { s.ended <- s.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		s.stop()
		select {
		case err := <-s.ended:
			if err != nil {
				t.Errorf("serving: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the server does not end")
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// echo is another room's handler: it says what it read.
func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s", r.URL.Path, b)
}

// got is an answer, read to its end.
type got struct {
	status int
	header http.Header
	body   string
	closes bool // the connection
}

// id returns what a JSON-RPC error says.
func (g got) code() int {
	var m struct {
		Error struct{ Code int }
	}
	_ = json.Unmarshal([]byte(g.body), &m)
	return m.Error.Code
}

// send sends one request. header is "Name: value" lines.
func (s *served) send(t *testing.T, method, path, body string, header ...string) got {
	t.Helper()
	g, err := s.try(t.Context(), method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return g
}

func (s *served) try(ctx context.Context, method, path, body string, header ...string) (got, error) {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	q, err := http.NewRequestWithContext(ctx, method, s.url+path, r)
	if err != nil {
		return got{}, err
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		switch name {
		case "Host":
			q.Host = value
		case "Content-Type":
			q.Header.Set(name, value)
		default:
			q.Header.Add(name, value)
		}
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return got{}, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return got{a.StatusCode, a.Header, string(b), a.Close}, err
}

func (s *served) post(t *testing.T, body string, header ...string) got {
	t.Helper()
	return s.send(t, "POST", "/mcp", body, header...)
}

// raw sends bytes and returns the first bytes of the answer.
func (s *served) raw(t *testing.T, text string, wait time.Duration) string {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	return string(b[:n])
}

func wait(t *testing.T, from chan string, want string) {
	t.Helper()
	select {
	case id := <-from:
		if id != want {
			t.Fatalf("got %s, want %s", id, want)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("%s did not come", want)
	}
}

func none(t *testing.T, from chan string) {
	t.Helper()
	select {
	case id := <-from:
		t.Fatalf("%s came", id)
	case <-time.After(100 * time.Millisecond):
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal(what)
}

// sseClient is a client of 2024-11-05.
type sseClient struct {
	endpoint string
	events   chan string
	close    func()
}

func (s *served) openSSE(t *testing.T, header ...string) *sseClient {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	q, _ := http.NewRequestWithContext(ctx, "GET", s.url+"/sse", nil)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c := &sseClient{events: make(chan string, 1024), close: cancel}
	if a.StatusCode != http.StatusOK {
		cancel()
		_ = a.Body.Close()
		c.endpoint = fmt.Sprint(a.StatusCode)
		return c
	}
	t.Cleanup(cancel)
	go func() {
		defer close(c.events)
		defer a.Body.Close()
		for lines := bufio.NewScanner(a.Body); lines.Scan(); {
			if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
				c.events <- string(data)
			}
		}
	}()
	c.endpoint = c.next(t)
	return c
}

func (c *sseClient) next(t *testing.T) string {
	t.Helper()
	select {
	case e, ok := <-c.events:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(5 * time.Second):
		t.Fatal("no event came")
		return ""
	}
}

const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

func slow(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"slow","arguments":{}}}`
}

func cancelled(id string) string {
	return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
}
