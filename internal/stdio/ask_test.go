package stdio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"bankauth/internal/stdio"
)

// asker is a server whose every request is answered with what the client
// answered to one of ours.
type asker struct {
	in    *io.PipeWriter
	lines *bufio.Scanner
	errs  chan error // what Ask returned
	ended chan error
}

func askClient(t *testing.T, drain time.Duration) *asker {
	t.Helper()
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	a := &asker{in: toServer, lines: bufio.NewScanner(fromServer), errs: make(chan error, 8), ended: make(chan error, 1)}
	s := &stdio.Server{Drain: drain, Handle: func(ctx context.Context, m stdio.Message) stdio.Reply {
		answer, err := stdio.Ask(ctx, "elicitation/create", map[string]string{"for": string(m.ID)})
		a.errs <- err
		if err != nil {
			return stdio.Reply{Result: "none"}
		}
		return stdio.Reply{Result: answer}
	}}
	go func() { a.ended <- s.Serve(t.Context(), in, out) }()
	t.Cleanup(func() { _ = toServer.Close(); _ = out.Close(); <-a.ended })
	return a
}

func (a *asker) say(line string) { _, _ = io.WriteString(a.in, line+"\n") }

func (a *asker) hear(t *testing.T) (v struct {
	ID     any
	Method string
	Params map[string]string
	Result any
}) {
	t.Helper()
	if !a.lines.Scan() {
		t.Fatal("the server ended")
	}
	if err := json.Unmarshal(a.lines.Bytes(), &v); err != nil {
		t.Fatalf("%s: %v", a.lines.Bytes(), err)
	}
	return v
}

// TestAsk: each question gets its own answer, in whatever order they come, and
// what is no answer to an open question is nothing.
func TestAsk(t *testing.T) {
	a := askClient(t, 0)
	ids := map[string]string{} // of our questions, by the call they are for
	for i := range 3 {
		a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"x"}`, i))
		q := a.hear(t)
		ids[q.Params["for"]] = q.ID.(string)
	}
	if len(ids) != 3 {
		t.Fatalf("%v", ids)
	}
	for _, stray := range []string{`{"jsonrpc":"2.0","id":"bankauth-99","result":{}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":null,"result":{}}`, `{"jsonrpc":"2.0","result":{}}`} {
		a.say(stray)
	}
	for _, i := range []string{"2", "0", "1"} {
		a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"n":%s}}`, ids[i], i))
		if got := a.hear(t); fmt.Sprint(got.ID) != i || fmt.Sprint(got.Result) != "map[n:"+i+"]" {
			t.Errorf("call %s was answered %v with %v", i, got.ID, got.Result)
		}
		a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"n":9}}`, ids[i])) // once more
	}
	for range 3 {
		if err := <-a.errs; err != nil {
			t.Error(err)
		}
	}
}

// TestAskInVain: an error, the client's cancellation, and the end of input end
// a question each in its own way, and at once.
func TestAskInVain(t *testing.T) {
	a := askClient(t, time.Hour)
	a.say(`{"jsonrpc":"2.0","id":1,"method":"x"}`)
	q := a.hear(t)
	a.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"error":{"code":-32601,"message":"canary"}}`, q.ID))
	if a.hear(t); !refused(<-a.errs) {
		t.Error("an error is no answer")
	}
	a.say(`{"jsonrpc":"2.0","id":2,"method":"x"}`)
	q = a.hear(t)
	a.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
	if told := a.hear(t); told.Method != "notifications/cancelled" || told.Params["requestId"] != q.ID {
		t.Errorf("the client is told %+v", told)
	}
	if err := <-a.errs; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	a.say(`{"jsonrpc":"2.0","id":3,"method":"x"}`)
	a.hear(t)
	_ = a.in.Close()
	if err := <-a.errs; !errors.Is(err, stdio.ErrNoClient) {
		t.Error(err)
	}
	a.hear(t)
	if _, err := stdio.Ask(t.Context(), "x", nil); !errors.Is(err, stdio.ErrNoClient) {
		t.Error(err)
	}
}

func refused(err error) bool {
	return errors.Is(err, stdio.ErrRefused) && !strings.Contains(err.Error(), "canary")
}
