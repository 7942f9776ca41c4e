package httpd_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bankauth/internal/httpd"
	"bankauth/internal/problem"
)

var routes = []struct{ method, path string }{
	{"POST", "/mcp"}, {"GET", "/mcp"}, {"DELETE", "/mcp"}, {"OPTIONS", "/mcp"}, {"GET", "/sse"}, {"POST", "/sse"}, {"POST", "/message?sessionId=x"},
	{"GET", "/health/live"}, {"GET", "/health/ready"}, {"GET", "/metrics"}, {"POST", "/v1/create_access_token"}, {"GET", "/docs/"},
	{"GET", "/nothing"}, {"GET", "/"},
}

// TestStrangers: whoever comes by a name that is not ours, or from a page that
// is not, gets no further on any route, and nothing of a body is waited for.
func TestStrangers(t *testing.T) {
	s := serve(t, func(o *httpd.Options) {
		o.Origins = httpd.Origins{Hosts: []string{"bank.example"}, Pages: []string{"https://app.example"}, PublicURL: "https://agents.example"}
	})
	_, port, _ := strings.Cut(s.addr, ":")
	strangers := []string{
		"Host: evil.example", "Host: evil.example:" + port, "Host: 127.0.0.1.evil.example", "Host: localhost.evil.example", "Host: 10.0.0.1", "Host: 2130706433",
		"Host: 127.1", "Host: [::ffff:10.0.0.1]", "Host: bank.example.evil.example", "Host: xbank.example", "Host: bank.example@evil.example", "Host: 0.0.0.0",
		"Origin: https://evil.example", "Origin: null", "Origin: http://localhost:1", "Origin: http://127.0.0.1:1", "Origin: http://127.0.0.1", "Origin: https://" + s.addr,
		"Origin: http://" + s.addr + ".evil.example", "Origin: http://evil.example:" + port, "Origin: https://app.example.evil.example", "Origin: https://app.example:444",
		"Origin: http://app.example", "Origin: https://xn--pp-eka.example", "Origin: file://", "Origin: https://app.example https://evil.example", "Origin: http://localhost:" + port,
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
	}
	for _, r := range routes {
		for _, stranger := range strangers {
			host := "Host: " + s.addr
			if strings.HasPrefix(stranger, "Host: ") {
				host, stranger = stranger, "X-Nothing: 1"
			}
			request := r.method + " " + r.path + " HTTP/1.1\r\n" + host + "\r\n" + stranger + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
			got := s.raw(t, request, 3*time.Second)
			// What Go's own server refuses as no host at all never reaches us.
			if !strings.HasPrefix(got, "HTTP/1.1 403 ") && !(strings.Contains(host, "@") && strings.HasPrefix(got, "HTTP/1.1 400 ")) {
				t.Errorf("%s %s with %s, %s: %.60q", r.method, r.path, host, stranger, got)
			}
			if strings.Contains(got, "Access-Control-Allow-Origin") {
				t.Errorf("%s %s shares its answer with %s", r.method, r.path, stranger)
			}
		}
	}
	two := "POST /mcp HTTP/1.1\r\nHost: " + s.addr + "\r\nOrigin: https://app.example\r\nOrigin: https://evil.example\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	if got := s.raw(t, two, time.Second); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("two origins: %.60q", got)
	}
	if len(s.seen) != 0 {
		t.Errorf("%d messages were handled", len(s.seen))
	}
}

// TestFriends: everybody else is served.
func TestFriends(t *testing.T) {
	s := serve(t, func(o *httpd.Options) {
		o.Origins = httpd.Origins{Hosts: []string{"Bank.Example"}, Pages: []string{"https://App.example/"}, PublicURL: "https://agents.example"}
	})
	_, port, _ := strings.Cut(s.addr, ":")
	for _, friend := range []string{
		"X: 1", "Host: localhost:" + port, "Host: LOCALHOST", "Host: localhost.", "Host: [::1]:" + port, "Host: 127.0.0.1", "Host: 127.0.0.2:80", "Host: bank.example", "Host: bank.example:8443", "Host: agents.example",
		"Origin: http://" + s.addr, "Origin: https://app.example", "Origin: https://agents.example", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none",
	} {
		if g := s.post(t, hello, friend); g.status != http.StatusOK {
			t.Errorf("%s: %d %s", friend, g.status, g.body)
		}
	}
	// A person who follows a link to the documentation.
	if g := s.send(t, "GET", "/docs/", "", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"); g.status != http.StatusOK {
		t.Errorf("a link: %d", g.status)
	}
	g := s.send(t, "OPTIONS", "/mcp", "", "Origin: https://app.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: mcp-protocol-version")
	if g.status != http.StatusNoContent || g.header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(g.header.Get("Access-Control-Allow-Headers"), "Mcp-Protocol-Version") {
		t.Errorf("preflight: %d %v", g.status, g.header)
	}
	for _, name := range []string{"WWW-Authenticate", "Retry-After", "X-Correlation-Id", "Idempotency-Replayed"} {
		if shown := s.post(t, hello, "Origin: https://app.example").header.Get("Access-Control-Expose-Headers"); !strings.Contains(shown, name) {
			t.Errorf("a page sees %s", shown)
		}
	}
	if g := s.post(t, hello, "Origin: https://app.example"); g.header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(g.header.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") {
		t.Errorf("a page cannot read the answer: %v", g.header)
	}
}

func TestBodies(t *testing.T) {
	s := serve(t, nil)
	big := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 256<<10) + `"}}`
	fits := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 200<<10) + `"}}`
	for _, path := range []string{"/mcp", "/v1/x"} {
		for name, c := range map[string]struct {
			status int
			body   string
			header []string
		}{
			"fits":      {200, fits, nil},
			"too large": {413, big, nil},
			"charset":   {200, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, []string{"Content-Type: application/json; charset=UTF-8"}},
			"latin":     {415, `{}`, []string{"Content-Type: application/json; charset=latin1"}},
			"text":      {415, `{}`, []string{"Content-Type: text/plain"}},
			"form":      {415, `{}`, []string{"Content-Type: application/x-www-form-urlencoded"}},
			"none":      {415, `{}`, []string{"Content-Type: "}},
			"gzip":      {415, `{}`, []string{"Content-Encoding: gzip"}},
			"no JSON":   {400, `{`, nil},
			"twice":     {400, `{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}`, nil},
			"by case":   {400, `{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"x"}`, nil},
			"deep":      {400, `{"jsonrpc":"2.0","id":1,"method":"ping","params":` + strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32) + `}`, nil},
			"UTF-8":     {400, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xff\"}", nil},
			"more":      {400, `{"jsonrpc":"2.0","id":1,"method":"ping"} {}`, nil},
		} {
			g := s.send(t, "POST", path, c.body, c.header...)
			if g.status != c.status {
				t.Errorf("%s %s: %d %.200s", path, name, g.status, g.body)
			}
			if c.status != 200 && (strings.Contains(g.body, "ping") || g.header.Get("Cache-Control") != "no-store") {
				t.Errorf("%s %s: %v %s", path, name, g.header, g.body)
			}
		}
		chunked := "POST " + path + " HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
		if got := s.raw(t, chunked+"41000\r\n"+strings.Repeat(" ", 0x41000)+"\r\n0\r\n\r\n", 3*time.Second); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
			t.Errorf("%s chunked: %.60q", path, got)
		}
		declared := "POST " + path + " HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
		if got := s.raw(t, declared, time.Second); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("%s declared: %.60q", path, got)
		}
	}
	for _, body := range []string{`{`, `{"a":1} {}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, "\xff", strings.Repeat("[", 40), "{\"a\":\"\x00\"}", big} {
		if g := s.send(t, "POST", "/v1/x", body); g.status < 400 || strings.Contains(g.body, "message") || strings.Contains(g.body, "MCP") || strings.Contains(g.body, "RPC") {
			t.Errorf("REST is told of MCP: %s", g.body)
		}
	}
	if g := s.send(t, "POST", "/v1/x", `{"a":{"b":1,"b":2}}`); g.status != 400 {
		t.Errorf("an inner key twice: %d", g.status)
	}
	if g := s.send(t, "POST", "/v1/x", `{"a":{"b":1,"B":2}}`); g.status != 400 {
		t.Errorf("inner keys by case: %d", g.status)
	}
	if g := s.send(t, "GET", "/v1/x", ""); g.status != 200 || g.body != "/v1/x " {
		t.Errorf("no body: %d %s", g.status, g.body)
	}
}

// TestNoPath: the one request that is about no path is judged as all others.
func TestNoPath(t *testing.T) {
	s := serve(t, nil)
	for header, want := range map[string]string{"Host: " + s.addr: "400", "Host: evil.example": "403", "Host: " + s.addr + "\r\nOrigin: https://evil.example": "403"} {
		if got := s.raw(t, "OPTIONS * HTTP/1.1\r\n"+header+"\r\n\r\n", 3*time.Second); !strings.HasPrefix(got, "HTTP/1.1 "+want+" ") || !strings.Contains(got, "application/problem+json") {
			t.Errorf("%s: %.300q", header, got)
		}
	}
}

func TestPaths(t *testing.T) {
	s := serve(t, func(o *httpd.Options) {
		o.Open["/docs/"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { problem.Takes(w, r, http.MethodGet) })
	})
	allowed := map[string]string{"/mcp": "POST", "/message": "POST", "/sse": "GET", "/docs/": "GET, HEAD", "/health/live": "GET, HEAD", "/health/ready": "GET, HEAD", "/metrics": "GET, HEAD"}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/health/live", 200}, {"HEAD", "/health/live", 200}, {"GET", "/health/ready", 200}, {"POST", "/health/live", 405}, {"POST", "/canary", 404}, {"PUT", "/mcp", 405}, {"POST", "/docs/", 405}, {"POST", "/health/ready", 405}, {"POST", "/metrics", 405}, {"DELETE", "/health/live", 405},
		{"GET", "/canary", 404}, {"GET", "/", 404}, {"GET", "/mcp", 405}, {"DELETE", "/mcp", 405}, {"PUT", "/mcp", 405}, {"POST", "/sse", 405}, {"POST", "/mcp", 415}, {"POST", "/message", 415}, {"POST", "/v1/x", 415}, {"GET", "/message", 405},
		{"GET", "/metrics", 200}, {"DELETE", "/metrics", 405},
	} {
		g := s.send(t, c.method, c.path, "")
		if g.status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, g.status, g.body)
		}
		if allow := g.header.Get("Allow"); c.status == 405 && allow != allowed[c.path] {
			t.Errorf("%s: Allow is %q", c.path, allow)
		}
	}
	g := s.send(t, "GET", "/metrics", "")
	for _, want := range []string{`bankauth_http_requests_total{route="/mcp",status="405"} 4`, `route="none",status="404"} 3`, "go_goroutines", `bankauth_build_info{version="test"} 1`} {
		if !strings.Contains(g.body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(g.body, "canary") {
		t.Error("metrics repeat what a client made up")
	}
}

func TestTooManyAtOnce(t *testing.T) {
	s := serve(t, func(o *httpd.Options) { o.Limits.Calls, o.Limits.CallsEach = 3, 2 })
	answers := make(chan got, 8)
	ask := func(id, who string) {
		go func() {
			g, _ := s.try(t.Context(), "POST", "/mcp", slow(id), "X-Caller: "+who)
			answers <- g
		}()
	}
	ask("1", "a")
	wait(t, s.started, "1")
	ask("2", "a")
	wait(t, s.started, "2")
	if g := s.post(t, slow("3"), "X-Caller: a"); g.status != 200 || !strings.Contains(g.body, `"busy":true`) {
		t.Errorf("a third of one caller: %d %s", g.status, g.body)
	}
	ask("4", "b")
	wait(t, s.started, "4")
	if g := s.post(t, slow("5"), "X-Caller: c"); !strings.Contains(g.body, `"busy":true`) {
		t.Errorf("a fourth in all: %s", g.body)
	}
	if g := s.post(t, `{"jsonrpc":"2.0","id":6,"method":"tools/list"}`, "X-Caller: a"); !strings.Contains(g.body, `"tools/list"`) {
		t.Errorf("a list meanwhile: %s", g.body)
	}
	close(s.release)
	for range 3 {
		if g := <-answers; !strings.Contains(g.body, `"done":true`) {
			t.Errorf("got %s", g.body)
		}
	}
	if g := s.post(t, slow("7"), "X-Caller: a"); !strings.Contains(g.body, `"done":true`) {
		t.Errorf("afterwards: %s", g.body)
	}
}

func TestPanics(t *testing.T) {
	s := serve(t, func(o *httpd.Options) {
		o.Routes["/v1/"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary of a panic") })
	})
	for path, want := range map[string]string{"/mcp": `"code":-32603`, "/v1/x": `"code":"internal"`} {
		g := s.send(t, "POST", path, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"panic"}}`)
		if !strings.Contains(g.body, want) || strings.Contains(g.body, "canary") || !strings.Contains(g.body, "correlation_id") {
			t.Errorf("%s: %d %s", path, g.status, g.body)
		}
	}
	if g := s.post(t, hello); g.status != 200 {
		t.Errorf("afterwards: %d", g.status)
	}
}
