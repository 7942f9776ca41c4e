package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"bankauth/internal/config"
	"bankauth/internal/stdio"
)

// percent returns what the collector is set to.
func percent() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

// given counts how often this process gave memory back.
func given() uint32 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.NumForcedGC
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so in time: %s", what)
		}
	}
}

func TestMemoryFollowsTheCalls(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	m := newMemory(config.Read([]string{"GOMEMLIMIT=off"}, "linux"), collectAt, softMemory)
	m.quiet = 20 * time.Millisecond
	defer m.start(t.Context())()

	hold := make(chan struct{})
	handle := m.watch(func(_ context.Context, message stdio.Message) stdio.Reply {
		var garbage []byte
		if message.Method == "fill" {
			garbage = make([]byte, 8<<20)
		}
		<-hold
		runtime.KeepAlive(garbage)
		return stdio.Reply{}
	})
	call := func(method string) { handle(t.Context(), stdio.Message{Method: method}) }
	before := given()
	go call("fill")
	for range manyCalls - 1 {
		go call("")
	}
	eventually(t, "all calls at work", func() bool { return m.flight.Load() == manyCalls })
	if p := percent(); p != collectAt {
		t.Errorf("with %d calls in flight the collector runs at %d", manyCalls, p)
	}
	go call("")
	eventually(t, "the collector is told of many calls", func() bool { return percent() == collectBusy })
	time.Sleep(5 * m.quiet)
	if given() != before {
		t.Error("gave memory back while calls were at work")
	}
	close(hold)
	eventually(t, "memory is given back", func() bool { return given() == before+1 })
	if p := percent(); p != collectAt {
		t.Errorf("after the calls the collector runs at %d", p)
	}
	// A call that leaves nothing behind is no reason to collect again.
	eventually(t, "nobody counts", func() bool { return !m.awake.Load() })
	call("")
	eventually(t, "nobody counts any more", func() bool { return !m.awake.Load() })
	if n := given() - before; n != 1 {
		t.Errorf("gave memory back %d times", n)
	}
	call("fill")
	eventually(t, "memory is given back anew", func() bool { return given() > before+1 })
}

func TestMemoryLeavesTheUsersPercentage(t *testing.T) {
	m := newMemory(config.Read([]string{"GOGC=50", "GOMEMLIMIT=off"}, "linux"), collectAt, softMemory)
	before := percent()
	for range 2 * manyCalls {
		m.enter()
	}
	if p := percent(); p != before {
		t.Errorf("the collector runs at %d", p)
	}
}
