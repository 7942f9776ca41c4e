package httpd_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bankauth/internal/auth"
	"bankauth/internal/httpd"
)

func TestSSE(t *testing.T) {
	s := serve(t, nil)
	a, b := s.openSSE(t, "X-Caller: a"), s.openSSE(t, "X-Caller: a")
	say := func(c *sseClient, body, who string) got {
		t.Helper()
		return s.send(t, "POST", c.endpoint, body, "X-Caller: "+who)
	}
	if g := say(a, hello, "a"); g.status != http.StatusAccepted || g.body != "" {
		t.Fatalf("got %d %s", g.status, g.body)
	}
	if e := a.next(t); !strings.Contains(e, `"id":1,"result"`) || !strings.Contains(e, `"legacy":true`) || !strings.Contains(e, `"who":"a"`) {
		t.Errorf("got %s", e)
	}
	if g := say(a, hello, "b"); g.status != http.StatusNotFound {
		t.Errorf("another caller speaks on the stream: %d", g.status)
	}
	if g := s.send(t, "POST", "/message?sessionId=x", hello, "X-Caller: a"); g.status != http.StatusNotFound {
		t.Errorf("no stream: %d", g.status)
	}
	if g := say(a, `{`, "a"); g.status != 400 || g.code() != -32700 {
		t.Errorf("no JSON: %d %s", g.status, g.body)
	}
	// A client of 2026 is told what there is, and refused what it insists on.
	say(a, modern("2", "server/discover", ""), "a")
	if e := a.next(t); !strings.Contains(e, `"legacy":true`) || !strings.Contains(e, `"modern":true`) {
		t.Errorf("discover: %s", e)
	}
	say(a, modern("3", "tools/list", ""), "a")
	if e := a.next(t); !strings.Contains(e, `"code":-32022`) || !strings.Contains(e, `"supported":["2025-11-25"`) {
		t.Errorf("pinned: %s", e)
	}

	for _, c := range []*sseClient{a, b} {
		say(c, slow("7"), "a")
		wait(t, s.started, "7")
	}
	say(b, cancelled("7"), "a")
	wait(t, s.handler.ended, "7")
	none(t, s.handler.ended)
	a.close() // its calls end with it
	wait(t, s.handler.ended, "7")
	eventually(t, "the stream is still there", func() bool { return say(a, hello, "a").status == http.StatusNotFound })
	if len(b.events) != 0 {
		t.Errorf("a cancelled call was answered: %s", <-b.events)
	}
	say(b, hello, "a")
	if e := b.next(t); !strings.Contains(e, `"result"`) {
		t.Errorf("afterwards: %s", e)
	}
}

func TestManyStreams(t *testing.T) {
	s := serve(t, func(o *httpd.Options) { o.Limits.Streams = 2 })
	a, b := s.openSSE(t), s.openSSE(t)
	if c := s.openSSE(t); c.endpoint != "503" {
		t.Errorf("a third stream: %s", c.endpoint)
	}
	if g := s.send(t, "GET", "/metrics", ""); !strings.Contains(g.body, "bankauth_streams 2\n") {
		t.Error("the streams are not counted")
	}
	a.close()
	eventually(t, "there is no room after one left", func() bool { c := s.openSSE(t); return strings.HasPrefix(c.endpoint, "/message") })
	_ = b
}

// TestGone: a client that left without a word has no stream any more.
func TestGone(t *testing.T) {
	s := serve(t, nil)
	began := time.Now()
	text := s.raw(t, "GET /sse HTTP/1.1\r\nHost: "+s.addr+"\r\n\r\n", time.Second)
	if !strings.Contains(text, "event: endpoint\ndata: /message?sessionId=") {
		t.Fatalf("got %q", text)
	}
	_, rest, _ := strings.Cut(text, "data: ")
	endpoint, _, _ := strings.Cut(rest, "\n")
	// raw has closed its end: the stream goes with it.
	eventually(t, "the stream stays", func() bool { return s.send(t, "POST", endpoint, hello).status == http.StatusNotFound })
	if time.Since(began) > 5*time.Second {
		t.Error("it took too long")
	}
}

// TestStreamOfOneWhoMayNoLongerCall: it ends once its client is removed, and
// others stay.
func TestStreamOfOneWhoMayNoLongerCall(t *testing.T) {
	clients := auth.NewClients(t.TempDir() + "/clients.json")
	gate := auth.New(auth.Options{Clients: clients})
	s := serve(t, func(o *httpd.Options) {
		o.Gate, o.Keeps, o.Limits.KeepAlive = gate.Handler, gate.KeepsAny, 20*time.Millisecond
	})
	opened := map[string]*sseClient{}
	for _, name := range []string{"gone", "stays"} {
		token, err := clients.Add(t.Context(), name, []string{auth.TokensUse})
		if err != nil {
			t.Fatal(err)
		}
		opened[name] = s.openSSE(t, "Authorization: Bearer "+token.Reveal())
	}
	time.Sleep(100 * time.Millisecond) // some signs of life
	if err := clients.Remove(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	select {
	case _, open := <-opened["gone"].events:
		if open {
			t.Error("an event came")
		}
	case <-time.After(3 * time.Second):
		t.Error("the stream of a client that was removed goes on")
	}
	select {
	case _, open := <-opened["stays"].events:
		t.Errorf("the other stream: open %v", open)
	case <-time.After(200 * time.Millisecond):
	}
}
