package stdio_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/stdio"
)

func TestHandshake20251125(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	// In one piece, as a shell script sends it.
	c.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if a := c.next(); string(a.ID) != "0" || !strings.Contains(string(a.Result), `"protocolVersion":"2025-11-25"`) {
		t.Fatalf("initialize: %s", a.Result)
	}
	if a := c.next(); string(a.ID) != "1" || string(a.Result) != "{}" {
		t.Fatalf("ping: %+v", a)
	}
	c.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}`)
	if a := c.next(); !strings.Contains(string(a.Result), `"name":"echo"`) {
		t.Fatalf("tools/list: %+v", a)
	}
	c.works()
}

func TestNothingOvertakesInitialize(t *testing.T) {
	ready := false // no lock: the race detector would tell
	c := start(t, &stdio.Server{Handle: func(_ context.Context, m stdio.Message) stdio.Reply {
		if m.Method == "initialize" {
			time.Sleep(50 * time.Millisecond)
			ready = true
		}
		return stdio.Reply{Result: ready}
	}})
	c.send(`{"jsonrpc":"2.0","id":0,"method":"initialize"}`, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	for range 2 {
		if a := c.next(); string(a.Result) != "true" {
			t.Errorf("%s was answered before initialize had ended", a.ID)
		}
	}
}

func TestStateless20260728(t *testing.T) {
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	c := start(t, &stdio.Server{Handle: tools(t)})
	for i, m := range []struct{ method, params, want string }{
		{"server/discover", meta, `"2026-07-28"`},
		{"tools/list", meta, `"resultType":"complete"`},
		{"tools/call", `"name":"echo","arguments":{"say":"x"},` + meta, `"resultType":"complete"`},
	} {
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, i, m.method, m.params))
		if a := c.next(); string(a.ID) != fmt.Sprint(i) || !strings.Contains(string(a.Result), m.want) {
			t.Fatalf("%s: %s %+v", m.method, a.Result, a.Error)
		}
	}
}

func TestIDsComeBackAsTheyCame(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	for _, id := range []string{"0", "-1", "9007199254740993", "18446744073709551617", "1.50", "1e2", `""`, `"é"`, `"\u0061\/"`, `"9007199254740993"`} {
		c.send(call(id, "echo", ""))
		if a := c.next(); string(a.ID) != id || a.Result == nil {
			t.Errorf("id %s came back as %s, %+v", id, a.ID, a.Error)
		}
	}
}

func TestLastLineWithoutNewlineIsServed(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	_, _ = c.in.WriteString("\xef\xbb\xbf" + call("1", "echo", "") + "\r\n\r\n  \n" + call("2", "sleep", ""))
	_ = c.in.Close()
	if got := c.rest(); len(got) != 2 || !strings.Contains(got[0], `"id":1,"result"`) || !strings.Contains(got[1], `"id":2,"result"`) {
		t.Fatalf("got %q", got)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
}

func TestCallsInFlightAtEOFAreAnswered(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	for i := range 40 {
		c.send(call(fmt.Sprint(i), "sleep", `"ms":100`))
	}
	_ = c.in.Close()
	if got := c.rest(); len(got) != 40 || strings.Contains(strings.Join(got, ""), "woken") {
		t.Fatalf("%d answers: %q", len(got), got)
	}
}

func TestCancelledContextDrains(t *testing.T) { // what SIGTERM does
	c := start(t, &stdio.Server{Handle: tools(t)})
	c.send(call("1", "sleep", `"ms":200`), call("2", "echo", ""))
	if a := c.next(); string(a.ID) != "2" {
		t.Fatalf("got %+v", a)
	}
	c.stop()
	if got := c.rest(); len(got) != 1 || !strings.Contains(got[0], "slept") {
		t.Fatalf("got %q", got)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
}

func TestDrainEnds(t *testing.T) {
	var log bytes.Buffer
	c := start(t, &stdio.Server{Handle: tools(t), Drain: 50 * time.Millisecond, Log: zerolog.New(&log)})
	c.send(call("1", "sleep", `"ms":60000`), call("2", "deaf", ""))
	_ = c.in.Close()
	got := strings.Join(c.rest(), "\n")
	if !strings.Contains(got, "woken") || !strings.Contains(got, `"id":2,"error":{"code":-32603`) || strings.Contains(got, "late") {
		t.Fatalf("got %s", got)
	}
	if err := c.end(); err != nil || !strings.Contains(log.String(), "did not end in time") {
		t.Fatalf("%v, log %s", err, &log)
	}
}

func TestPanicAndGoErrorStayInside(t *testing.T) {
	var log bytes.Buffer
	c := start(t, &stdio.Server{Handle: tools(t), Log: zerolog.New(&log)})
	for _, tool := range []string{"panic", "fail"} {
		c.send(call("7", tool, ""))
		a := c.next()
		if a.Error == nil || a.Error.Code != stdio.CodeInternal || string(a.ID) != "7" {
			t.Fatalf("%s: %+v", tool, a)
		}
		if strings.Contains(a.Error.Message+string(a.Error.Data), "canary") || len(a.Error.Data) < 30 {
			t.Errorf("%s: client sees %s %s", tool, a.Error.Message, a.Error.Data)
		}
		c.works()
	}
	_ = c.in.Close()
	_ = c.end()
	if l := log.String(); strings.Contains(l, "canary") || !strings.Contains(l, `"panic":"string","at":"bankauth/internal/stdio_test.tools.func`) {
		t.Errorf("log: %s", l)
	}
}

func TestHandlerThatEndsItsGoroutineIsAnswered(t *testing.T) {
	c := start(t, &stdio.Server{Handle: func(ctx context.Context, m stdio.Message) stdio.Reply {
		if m.Method == "die" {
			runtime.Goexit()
		}
		return stdio.Reply{Result: struct{}{}}
	}})
	c.send(`{"jsonrpc":"2.0","id":1,"method":"die"}`)
	if a := c.next(); a.Error == nil || a.Error.Code != stdio.CodeInternal {
		t.Fatalf("got %+v", a)
	}
}

func TestClientGone(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	c.send(call("1", "sleep", `"ms":50`))
	_ = c.outEnd.Close()
	if err := c.end(); err == nil || !strings.Contains(err.Error(), "writing an answer") {
		t.Fatalf("got %v", err)
	}
}

func TestReadErrorIsReturned(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s := &stdio.Server{Handle: tools(t)}
	if err := s.Serve(t.Context(), dir, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "reading a request") {
		t.Fatalf("got %v", err)
	}
}

func TestPipelined10000(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	go func() {
		var b strings.Builder
		for i := range 10_000 {
			b.WriteString(call(fmt.Sprint(i), "echo", `"say":"é"`) + "\n")
		}
		_, _ = c.in.WriteString(b.String())
		_ = c.in.Close()
	}()
	seen := map[string]bool{}
	for _, line := range c.rest() {
		id, ok := strings.CutPrefix(line, `{"jsonrpc":"2.0","id":`)
		id, _, found := strings.Cut(id, ",")
		if !ok || !found || seen[id] || !strings.HasSuffix(line, "}") {
			t.Fatalf("line %q", line)
		}
		seen[id] = true
	}
	if len(seen) != 10_000 {
		t.Fatalf("%d answers", len(seen))
	}
}
