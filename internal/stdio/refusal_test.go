package stdio_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"bankauth/internal/stdio"
)

// refusals are lines that get an error, and the one they get.
var refusals = []struct {
	name, line, id string
	code           int
	text           string
}{
	{"garbage", `hello`, `null`, -32700, "not valid JSON"},
	{"half a message", `{"jsonrpc":"2.0","id":5,"method":"pi`, `5`, -32700, "not valid JSON"},
	{"trailing garbage", `{"jsonrpc":"2.0","id":5,"method":"ping"} x`, `5`, -32700, "something follows"},
	{"two messages", `{"jsonrpc":"2.0","id":5,"method":"ping"}{"jsonrpc":"2.0","id":6,"method":"ping"}`, `5`, -32700, "something follows"},
	{"invalid UTF-8", "{\"method\":\"ping\",\"x\":\"\xff\",\"jsonrpc\":\"2.0\",\"id\":5}", `5`, -32700, "UTF-8"},
	{"NUL", "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\x00\"}", `5`, -32700, "NUL"},
	{"NUL outside", "\x00", `null`, -32700, "not valid JSON"},
	{"escaped NUL", `{"method":"ping","params":{"a\u0000":1},"jsonrpc":"2.0","id":5}`, `5`, -32700, "NUL"},
	{"half rune", `{"method":"ping","params":{"a":"\ud800x"},"jsonrpc":"2.0","id":5}`, `5`, -32700, "surrogate"},
	{"other half", `{"method":"ping","params":{"a":"\udc00"},"jsonrpc":"2.0","id":5}`, `5`, -32700, "surrogate"},
	{"deep", `{"jsonrpc":"2.0","id":5,"method":"ping","params":{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}}`, `5`, -32700, "deeper"},
	{"very deep", `{"jsonrpc":"2.0","id":5,"method":"ping","params":` + strings.Repeat(`{"a":`, 100_000), `5`, -32700, "deeper"},
	{"batch", `[{"jsonrpc":"2.0","id":5,"method":"ping"}]`, `null`, -32600, "batches"},
	{"empty batch", `[]`, `null`, -32600, "batches"},
	{"text", `"ping"`, `null`, -32600, "is a JSON object"},
	{"null", `null`, `null`, -32600, "is a JSON object"},
	{"empty object", `{}`, `null`, -32600, `"jsonrpc": "2.0"`},
	{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, `null`, -32600, "an id is"},
	{"id object", `{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}`, `null`, -32600, "an id is"},
	{"id array", `{"jsonrpc":"2.0","id":[1],"method":"ping"}`, `null`, -32600, "an id is"},
	{"id true", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, `null`, -32600, "an id is"},
	{"id twice", `{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}`, `null`, -32600, "key twice"},
	{"id thrice", `{"jsonrpc":"2.0","id":5,"id":6,"id":7,"method":"ping"}`, `null`, -32600, "key twice"},
	{"no method", `{"jsonrpc":"2.0","id":5}`, `5`, -32600, "no method"},
	{"method number", `{"jsonrpc":"2.0","id":5,"method":1}`, `5`, -32600, "method is a string"},
	{"no version", `{"id":5,"method":"ping"}`, `5`, -32600, `"jsonrpc": "2.0"`},
	{"version 1", `{"jsonrpc":"1.0","id":5,"method":"ping"}`, `5`, -32600, `"jsonrpc": "2.0"`},
	{"params array", `{"jsonrpc":"2.0","id":5,"method":"ping","params":[1]}`, `5`, -32602, "params are"},
	{"method twice", `{"jsonrpc":"2.0","id":5,"method":"ping","method":"tools/list"}`, `5`, -32600, "key twice"},
	{"method twice, before the id", `{"jsonrpc":"2.0","method":"ping","method":"tools/list","id":5}`, `5`, -32600, "key twice"},
	{"method twice, escaped", `{"jsonrpc":"2.0","id":5,"method":"ping","m\u0065thod":"tools/list"}`, `5`, -32600, "key twice"},
	{"METHOD", `{"jsonrpc":"2.0","id":5,"METHOD":"ping"}`, `5`, -32600, "case only"},
	{"method and Method", `{"jsonrpc":"2.0","id":5,"method":"ping","Method":"tools/list"}`, `5`, -32600, "case only"},
	{"ID", `{"jsonrpc":"2.0","ID":5,"method":"ping"}`, `null`, -32600, "case only"},
	{"paramſ", `{"jsonrpc":"2.0","id":5,"method":"ping","paramſ":{}}`, `5`, -32600, "case only"},
	{"other keys by case", `{"jsonrpc":"2.0","id":5,"method":"ping","x":1,"X":2}`, `5`, -32600, "case only"},
	{"name twice", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","name":"panic"}}`, `5`, -32600, "key twice"},
	{"NAME", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"NAME":"echo"}}`, `5`, -32600, "case only"},
	{"argumentſ", `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","argument\u017f":{}}}`, `5`, -32600, "case only"},
	{"argument twice", call("5", "echo", `"say":"a","say":"b"`), `5`, -32600, "key twice"},
	{"many keys", call("5", "echo", manyKeys()), `5`, -32600, "more than 64"},
	{"method and result", `{"jsonrpc":"2.0","id":5,"method":"ping","result":{}}`, `5`, -32600, "not both"},
	{"too long", call("5", "echo", `"say":"`+strings.Repeat("x", 1<<20)+`"`), `5`, -32600, "longer than 1048576"},
}

func manyKeys() string {
	var b strings.Builder
	for i := range 65 {
		fmt.Fprintf(&b, `,"k%d":0`, i)
	}
	return b.String()[1:]
}

func TestBadLinesAreRefusedAndTheNextOneWorks(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			c.t = t
			c.send(r.line)
			a := c.next()
			if a.Error == nil || a.Error.Code != r.code || string(a.ID) != r.id || !strings.Contains(a.Error.Message, r.text) {
				t.Errorf("got id %s, %+v; want id %s, %d, %q", a.ID, a.Error, r.id, r.code, r.text)
			}
			c.works()
		})
	}
}

func TestWhatIsForgiven(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	c.send("", " \t\r", strings.Repeat("\n", 100_000))
	c.works()
	for _, line := range []string{
		"\t {\"jsonrpc\" : \"2.0\" , \"id\" : 5 , \"method\" : \"ping\" , \"params\" : null } \r",
		`{"m\u0065thod":"ping","jsonrpc":"2.0","id":5,"extra":[{"a":1,"a":2,"A":3}]}`,
		`{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":"\ud83d\ude00","_meta":{"a":1}}}`,
		`{"jsonrpc":"2.0","id":5,"method":"ping","params":{"a":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}}`,
		call("5", "echo", `"say":"a","Say":"b"`),
		call("5", "echo", `"say":"`+strings.Repeat("x", 1<<20-len(call("5", "echo", `"say":""`)))+`"`) + "\r",
	} {
		c.send(line)
		if a := c.next(); a.Error != nil || string(a.ID) != "5" {
			t.Errorf("%.80q: %+v", line, a)
		}
	}
}

func TestAnswersOfTheClientAndNotificationsAreNotAnswered(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	c.send(`{"jsonrpc":"2.0","id":1,"result":{}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}`,
		`{"jsonrpc":"2.0","id":1,"result":{},"result":{}}`,
		`{"jsonrpc":"2.0","method":"notifications/unknown"}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"nobody"}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":null}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled"}`)
	c.works()
}

func TestHugeLineTakesLittleMemory(t *testing.T) {
	in, w := io.Pipe()
	out, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, outEnd: out, ended: make(chan error, 1)}
	s := &stdio.Server{Handle: tools(t)}
	go func() { c.ended <- s.Serve(t.Context(), in, outW); _ = outW.Close() }()

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	chunk := make([]byte, 1<<20)
	for i := range chunk {
		chunk[i] = 'x'
	}
	for range 256 {
		_, _ = w.Write(chunk)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 6<<20 {
		t.Errorf("256 MiB without a newline took %d KiB", grown>>10)
	}
	_, _ = io.WriteString(w, "\n"+call("1", "echo", "")+"\n")
	_ = w.Close()
	lines, _ := io.ReadAll(out)
	if got := string(lines); strings.Count(got, "\n") != 2 || !strings.Contains(got, "longer than") || !strings.Contains(got, `"id":1,"result"`) {
		t.Errorf("got %s", got)
	}
	_ = c.end()
	_ = out.Close()
}

func TestCancel(t *testing.T) {
	ended := make(chan string, 10)
	s := &stdio.Server{Handle: func(ctx context.Context, m stdio.Message) stdio.Reply {
		if m.Method == "wait" {
			<-ctx.Done()
			ended <- string(m.ID)
		}
		return stdio.Reply{Result: "done"}
	}}
	c := start(t, s)
	cancel := func(id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"r","requestId":` + id + `}}`
	}
	wait := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"method":"wait"}` }
	// Equal as numbers are 7 and 7.0; in float64 the two large ones would be.
	for _, p := range [][2]string{{`1`, `1`}, {`"1"`, `"\u0031"`}, {`7`, `7.0`}, {`9007199254740993`, `9007199254740993`}} {
		c.send(wait(p[0]), wait(`9007199254740992`), cancel(`"other"`), cancel(p[1]), `{"jsonrpc":"2.0","id":"after","method":"x"}`)
		if a := c.next(); string(a.ID) != `"after"` {
			t.Fatalf("cancelled %s is answered: %+v", p[0], a)
		}
		select {
		case id := <-ended:
			if id != p[0] {
				t.Fatalf("cancelling %s ended %s", p[0], id)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("cancelling %s ended nothing", p[0])
		}
		c.send(cancel(`9007199254740992`))
		<-ended
	}
}

func TestSameIDInFlightIsRefused(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t)})
	c.send(call("1", "sleep", `"ms":200`), call(`"1"`, "echo", ""), call("1.0", "echo", ""))
	first, second, third := c.next(), c.next(), c.next()
	if string(third.ID) != "1" || third.Result == nil {
		t.Errorf("the first request got %+v", third)
	}
	for _, a := range []answer{first, second} {
		if string(a.ID) == `"1"` && a.Result == nil || string(a.ID) == "1.0" && (a.Error == nil || a.Error.Code != -32600) {
			t.Errorf("got %s %+v", a.ID, a.Error)
		}
	}
	c.send(call("1", "echo", ""))
	if a := c.next(); a.Result == nil {
		t.Errorf("the id is not free again: %+v", a.Error)
	}
}

func TestOverTheLimitIsBusyAndPingIsNot(t *testing.T) {
	c := start(t, &stdio.Server{Handle: tools(t), Limit: 2})
	c.send(call("1", "sleep", `"ms":300`), call("2", "sleep", `"ms":300`), call("3", "echo", ""))
	if a := c.next(); string(a.ID) != "3" || !strings.Contains(string(a.Result), `"busy"`) {
		t.Fatalf("over the limit: %s %+v", a.ID, a)
	}
	c.send(`{"jsonrpc":"2.0","id":4,"method":"ping"}`)
	if a := c.next(); string(a.ID) != "4" || string(a.Result) != "{}" {
		t.Fatalf("ping: %+v", a)
	}
	c.next()
	c.next()
	c.works()
}
