package httpd_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bankauth/internal/httpd"
)

func modern(id, method, params string) string {
	if params != "" {
		params += ","
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + params + `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
}

var modernHeaders = []string{"Mcp-Protocol-Version: 2026-07-28"}

func with(more ...string) []string { return append(modernHeaders[:1:1], more...) }

func TestModern(t *testing.T) {
	s := serve(t, nil)
	call := modern("1", "tools/call", `"name":"grün","arguments":{}`)
	b64 := "=?base64?" + base64.StdEncoding.EncodeToString([]byte("grün")) + "?="
	for name, c := range map[string]struct {
		body         string
		header       []string
		status, code int
	}{
		"a list":            {modern("1", "tools/list", ""), with("Mcp-Method: tools/list"), 200, 0},
		"a call":            {call, with("Mcp-Method: tools/call", "Mcp-Name: "+b64), 200, 0},
		"a resource":        {modern("1", "resources/read", `"uri":"a://b"`), with("Mcp-Method: resources/read", "Mcp-Name: a://b"), 200, 0},
		"session ignored":   {modern("1", "tools/list", ""), with("Mcp-Method: tools/list", "Mcp-Session-Id: anything"), 200, 0},
		"unknown method":    {modern("1", "nothing", ""), with("Mcp-Method: nothing"), 404, -32601},
		"no method header":  {modern("1", "tools/list", ""), with(), 400, -32020},
		"other method":      {modern("1", "tools/list", ""), with("Mcp-Method: tools/call"), 400, -32020},
		"method by case":    {modern("1", "tools/list", ""), with("Mcp-Method: TOOLS/LIST"), 400, -32020},
		"no name":           {call, with("Mcp-Method: tools/call"), 400, -32020},
		"other name":        {call, with("Mcp-Method: tools/call", "Mcp-Name: x"), 400, -32020},
		"bad base64":        {call, with("Mcp-Method: tools/call", "Mcp-Name: =?base64?!?="), 400, -32020},
		"no version header": {modern("1", "tools/list", ""), []string{"Mcp-Method: tools/list"}, 400, -32020},
		"other version":     {modern("1", "tools/list", ""), []string{"Mcp-Protocol-Version: 2025-11-25", "Mcp-Method: tools/list"}, 400, -32020},
		"no version inside": {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, with("Mcp-Method: tools/list"), 400, -32602},
		"resuming":          {modern("1", "tools/list", ""), with("Mcp-Method: tools/list", "Last-Event-ID: 1"), 400, -32020},
		"an answer":         {`{"jsonrpc":"2.0","id":1,"result":{}}`, with(), 400, -32600},
		"a notification":    {`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, with(), 202, 0},
	} {
		g := s.post(t, c.body, c.header...)
		if g.status != c.status || g.code() != c.code {
			t.Errorf("%s: %d, code %d, %s", name, g.status, g.code(), g.body)
		}
		if g.header.Get("Mcp-Session-Id") != "" {
			t.Errorf("%s: a session", name)
		}
	}
	if g := s.post(t, modern("1", "notify", ""), with("Mcp-Method: notify")...); g.header.Get("Content-Type") != "text/event-stream" ||
		strings.Count(g.body, "event: message\ndata: {") != 2 || !strings.HasPrefix(g.body, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\"") {
		t.Errorf("a notification before the answer: %v %s", g.header, g.body)
	}
}

func TestLegacy(t *testing.T) {
	s := serve(t, nil)
	first, second := s.post(t, hello).header.Get("Mcp-Session-Id"), s.post(t, hello).header.Get("Mcp-Session-Id")
	if len(first) < 22 || first == second {
		t.Errorf("sessions are %q and %q", first, second)
	}
	for name, c := range map[string]struct {
		body         string
		header       []string
		status, code int
	}{
		"a list":           {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, []string{"Mcp-Session-Id: " + first, "Mcp-Protocol-Version: 2025-11-25"}, 200, 0},
		"no headers":       {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil, 200, 0},
		"an error":         {`{"jsonrpc":"2.0","id":1,"method":"nothing"}`, nil, 200, -32601},
		"unknown revision": {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, []string{"Mcp-Protocol-Version: 1999-01-01"}, 400, -32022},
		"odd session":      {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, []string{"Mcp-Session-Id: a b"}, 400, -32600},
		"a notification":   {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, 202, 0},
		"an answer":        {`{"jsonrpc":"2.0","id":1,"result":{}}`, nil, 202, 0},
		"a batch":          {`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, nil, 400, -32600},
		"event streams":    {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, []string{"Accept: text/event-stream"}, 406, 0},
		"both":             {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, []string{"Accept: text/event-stream;q=0.5, Application/JSON"}, 200, 0},
		"anything":         {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, []string{"Accept: */*"}, 200, 0},
	} {
		if g := s.post(t, c.body, c.header...); g.status != c.status || g.code() != c.code {
			t.Errorf("%s: %d, code %d, %s", name, g.status, g.code(), g.body)
		}
	}
	g := s.post(t, `{"jsonrpc":"2.0","id":"a\u0062","method":"ping"}`, "X-Caller: alice", "Mcp-Protocol-Version: 2025-06-18")
	if !strings.Contains(g.body, `"id":"a\u0062"`) || !strings.Contains(g.body, `"who":"alice"`) || !strings.Contains(g.body, `"revision":"2025-06-18"`) {
		t.Errorf("got %s", g.body)
	}
}

// TestCancelling: of many calls with the same id, only the right one ends.
func TestCancelling(t *testing.T) {
	s := serve(t, nil)
	answers := make(chan got, 8)
	ask := func(header ...string) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			g, err := s.try(ctx, "POST", "/mcp", slow("7"), header...)
			if err == nil {
				answers <- g
			}
		}()
		wait(t, s.started, "7")
		return cancel
	}
	ask("X-Caller: a", "Mcp-Session-Id: one")
	ask("X-Caller: a", "Mcp-Session-Id: two")
	ask("X-Caller: b", "Mcp-Session-Id: one")
	ask("X-Caller: a") // a client without a session

	// Nobody's: without a session, of another caller, of another id, in 2026.
	for _, header := range [][]string{{"X-Caller: a"}, {"X-Caller: c", "Mcp-Session-Id: one"}, {"X-Caller: a", "Mcp-Session-Id: three"}, with("X-Caller: a", "Mcp-Session-Id: one")} {
		if g := s.post(t, cancelled("7"), header...); g.status != http.StatusAccepted {
			t.Errorf("%v: %d", header, g.status)
		}
	}
	s.post(t, cancelled("8"), "X-Caller: a", "Mcp-Session-Id: one")
	s.post(t, cancelled(`"7"`), "X-Caller: a", "Mcp-Session-Id: one")
	none(t, s.handler.ended)

	if g := s.post(t, slow("7.0"), "X-Caller: a", "Mcp-Session-Id: one"); g.code() != -32600 {
		t.Errorf("the same id again: %s", g.body)
	}
	s.post(t, cancelled("7"), "X-Caller: a", "Mcp-Session-Id: one")
	wait(t, s.handler.ended, "7")
	if g := <-answers; g.body != "" {
		t.Errorf("a cancelled call was answered: %s", g.body)
	}
	none(t, s.handler.ended)
	close(s.release)
	for range 3 {
		if g := <-answers; !strings.Contains(g.body, `"done":true`) {
			t.Errorf("another call: %s", g.body)
		}
	}
}

// TestClosing: a stream that closes cancels in 2026, and does not before.
func TestClosing(t *testing.T) {
	s := serve(t, nil)
	ask := func(body string, header ...string) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = s.try(ctx, "POST", "/mcp", body, header...) }()
		wait(t, s.started, "7")
		return cancel
	}
	old := ask(slow("7"))
	call := modern("7", "tools/call", `"name":"slow","arguments":{}`)
	one := ask(call, with("Mcp-Method: tools/call", "Mcp-Name: slow")...)
	two := ask(call, with("Mcp-Method: tools/call", "Mcp-Name: slow")...)
	defer two()
	old()
	none(t, s.handler.ended)
	one()
	wait(t, s.handler.ended, "7")
	none(t, s.handler.ended)
	close(s.release)
}

func TestAllow(t *testing.T) {
	s := serve(t, func(o *httpd.Options) {
		o.Allow = func(w http.ResponseWriter, r *http.Request, method, name string) bool {
			no := method == "tools/call" && name == "slow" || method == "resources/read" && name == "bankauth://closed"
			if no {
				w.WriteHeader(http.StatusForbidden)
			}
			return !no
		}
	})
	if g := s.post(t, slow("1")); g.status != http.StatusForbidden {
		t.Errorf("got %d", g.status)
	}
	if g := s.post(t, modern("1", "tools/call", `"name":"slow"`), with("Mcp-Method: tools/call", "Mcp-Name: slow")...); g.status != http.StatusForbidden {
		t.Errorf("got %d", g.status)
	}
	if g := s.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fast"}}`); g.status != 200 {
		t.Errorf("another tool: %d", g.status)
	}
	for params, want := range map[string]int{`"uri":"bankauth://closed"`: 403, `"name":"x","uri":"bankauth://closed"`: 403, `"name":"bankauth://closed","uri":"bankauth://open"`: 200} {
		if g := s.post(t, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{`+params+`}}`); g.status != want {
			t.Errorf("%s: %d, want %d", params, g.status, want)
		}
	}
	c := s.openSSE(t)
	if g := s.send(t, "POST", c.endpoint, slow("1")); g.status != http.StatusForbidden {
		t.Errorf("over SSE: %d", g.status)
	}
	if len(s.started) > 0 {
		t.Error("it was called all the same")
	}
}

// TestDraining: what is at work is answered after the server was told to end.
func TestDraining(t *testing.T) {
	s := serve(t, nil)
	answers := make(chan got, 1)
	go func() {
		g, _ := s.try(t.Context(), "POST", "/mcp", slow("1"))
		answers <- g
	}()
	wait(t, s.started, "1")
	c := s.openSSE(t)
	if g := s.send(t, "POST", c.endpoint, slow("2")); g.status != http.StatusAccepted {
		t.Fatalf("got %d", g.status)
	}
	wait(t, s.started, "2")
	idle := s.openSSE(t)
	s.stop()
	if _, open := <-idle.events; open {
		t.Error("an idle stream is not closed")
	}
	if _, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
		eventually(t, "the server still listens", func() bool { _, err := net.Dial("tcp", s.addr); return err != nil })
	}
	none(t, s.handler.ended)
	close(s.release)
	if g := <-answers; !strings.Contains(g.body, `"done":true`) {
		t.Errorf("got %s", g.body)
	}
	if e := c.next(t); !strings.Contains(e, `"id":2,"result":{"done":true}`) {
		t.Errorf("over SSE: %s", e)
	}
}

// TestOverdue: what does not end in time is cancelled, and answered if it can be.
func TestOverdue(t *testing.T) {
	for body, header := range map[string][]string{
		slow("1"): nil,
		modern("1", "tools/call", `"name":"slow","arguments":{}`): with("Mcp-Method: tools/call", "Mcp-Name: slow"),
	} {
		s := serve(t, func(o *httpd.Options) { o.Limits.Drain = 50 * time.Millisecond })
		answers := make(chan got, 1)
		go func() {
			g, _ := s.try(t.Context(), "POST", "/mcp", body, header...)
			answers <- g
		}()
		wait(t, s.started, "1")
		s.stop()
		wait(t, s.handler.ended, "1")
		if g := <-answers; !strings.Contains(g.body, `"done":true`) {
			t.Errorf("%s: got %s", body, g.body)
		}
	}
}

// TestCrowd: a server whose places are taken by clients that send nothing
// gives them to those who do.
func TestCrowd(t *testing.T) {
	s := serve(t, func(o *httpd.Options) { o.Limits.Connections = 16 })
	var idlers []net.Conn
	for range 32 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "POST /mcp HTTP/1.1\r\nHost: x")
		idlers = append(idlers, c)
	}
	for range 3 {
		began := time.Now()
		if g := s.post(t, hello); g.status != 200 {
			t.Errorf("got %d", g.status)
		}
		if took := time.Since(began); took > 4500*time.Millisecond { // before the idlers' headers are overdue
			t.Errorf("it took %v", took)
		}
	}
	closed := 0
	for _, c := range idlers {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := bufio.NewReader(c).ReadByte(); err != nil && !isTimeout(err) {
			closed++
		}
	}
	if closed == 0 {
		t.Error("no idler had to go")
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// TestBusyConnectionsStay: a connection whose call is at work is never ended
// for the sake of another.
func TestBusyConnectionsStay(t *testing.T) {
	s := serve(t, func(o *httpd.Options) { o.Limits.Connections = 8 })
	answers := make(chan got, 8)
	for i := range 8 {
		go func() {
			g, _ := s.try(t.Context(), "POST", "/mcp", slow(fmt.Sprint(i+1)))
			answers <- g
		}()
	}
	for range 8 {
		<-s.started
	}
	late := make(chan got, 1)
	go func() { g, _ := s.try(t.Context(), "POST", "/mcp", hello); late <- g }()
	select {
	case g := <-late:
		t.Errorf("there was a place: %d", g.status)
	case g := <-answers:
		t.Errorf("a call ended: %d %s", g.status, g.body)
	case <-time.After(1500 * time.Millisecond):
	}
	close(s.release)
	for range 8 {
		if g := <-answers; !strings.Contains(g.body, `"done":true`) {
			t.Errorf("got %s", g.body)
		}
	}
	if g := <-late; g.status != 200 {
		t.Errorf("the late one: %d", g.status)
	}
}

// TestLeaving: a server that is soon to end says so, serves on, and lets no
// client keep its connection.
func TestLeaving(t *testing.T) {
	leaving := make(chan struct{})
	s := serve(t, func(o *httpd.Options) { o.Leaving = leaving })
	fast := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fast"}}`
	for _, want := range []struct {
		ready  int
		closes bool
	}{{http.StatusOK, false}, {http.StatusServiceUnavailable, true}} {
		if g := s.send(t, "GET", "/health/ready", ""); g.status != want.ready || strings.Contains(g.body, "draining") != want.closes {
			t.Errorf("ready: %d %s", g.status, g.body)
		}
		if g := s.send(t, "GET", "/health/live", ""); g.status != http.StatusOK {
			t.Errorf("live: %d", g.status)
		}
		if g := s.post(t, fast); g.status != http.StatusOK || g.closes != want.closes {
			t.Errorf("a call: %d, the connection closes: %v", g.status, g.closes)
		}
		if !want.closes {
			close(leaving)
		}
	}
}
