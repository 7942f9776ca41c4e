package stdio_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/stdio"
)

// A request that is answered where it is read keeps the next one waiting: that
// is how it shows.
func TestQuick(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	for _, c := range []struct {
		name     string
		quick    bool // there is a Quick
		says     bool // what it says
		trips    bool
		writable func() bool
		here     bool
	}{
		{"quick", true, true, false, yes, true},
		{"nothing said", false, false, false, nil, false},
		{"not known whether it can be written", true, true, false, nil, false},
		{"not quick", true, false, false, yes, false},
		{"the client does not read", true, true, false, no, false},
		{"asking panics", true, true, true, yes, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var at atomic.Int32
			var together atomic.Bool
			work := func(context.Context, stdio.Message) stdio.Reply {
				at.Add(1)
				defer at.Add(-1)
				for range 50 { // time for the next one to come, if it is read at all
					if at.Load() == 2 {
						together.Store(true)
					}
					if together.Load() {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				return stdio.Reply{Result: "done"}
			}
			server := &stdio.Server{Writable: c.writable, Handle: work}
			if c.quick {
				server.Quick = func(ctx context.Context, m stdio.Message) (stdio.Reply, bool) {
					if c.trips {
						panic("canary")
					}
					if !c.says {
						return stdio.Reply{}, false
					}
					return work(ctx, m), true
				}
			}
			s := start(t, server)
			for i := range 2 {
				s.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call"}`, i))
				time.Sleep(10 * time.Millisecond) // so that it is read alone
			}
			for range 2 {
				if a := s.next(); string(a.Result) != `"done"` {
					t.Errorf("got %+v", a)
				}
			}
			if here := !together.Load(); here != c.here {
				t.Errorf("answered where it was read: %v, want %v", here, c.here)
			}
		})
	}
}

// An answer that is larger than what the client takes must not stop the
// reading.
func TestQuickWithALargeAnswer(t *testing.T) {
	handled := make(chan struct{}, 2)
	work := func(context.Context, stdio.Message) stdio.Reply {
		handled <- struct{}{}
		return stdio.Reply{Result: strings.Repeat("x", 1<<20)}
	}
	s := start(t, &stdio.Server{
		Quick:    func(ctx context.Context, m stdio.Message) (stdio.Reply, bool) { return work(ctx, m), true },
		Writable: func() bool { return true }, Handle: work, // the second is not alone
	})
	for i := range 2 {
		s.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call"}`, i))
		select {
		case <-handled:
		case <-time.After(10 * time.Second):
			t.Fatal("the server does not read while its client does not")
		}
	}
	for range 2 {
		if a := s.next(); len(a.Result) != 1<<20+2 {
			t.Errorf("an answer of %d bytes", len(a.Result))
		}
	}
}

// A quick request can be cancelled too late and fail; its id is free again.
func TestQuickLeavesNothingBehind(t *testing.T) {
	work := func(_ context.Context, m stdio.Message) stdio.Reply {
		if m.Method == "panic" {
			panic("canary")
		}
		return stdio.Reply{Result: "done"}
	}
	s := start(t, &stdio.Server{
		Quick:    func(ctx context.Context, m stdio.Message) (stdio.Reply, bool) { return work(ctx, m), true },
		Writable: func() bool { return true }, Handle: work,
	})
	for _, method := range []string{"panic", "ping", "panic", "ping"} {
		s.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q}`, method))
		if a := s.next(); (a.Error != nil) != (method == "panic") || string(a.ID) != "1" {
			t.Errorf("%s: got %+v", method, a)
		}
	}
}
