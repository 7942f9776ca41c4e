package main

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"bankauth/internal/config"
	"bankauth/internal/httpd"
	"bankauth/internal/stdio"
)

// A host's servers are idle nearly all their life, often a dozen on one
// machine. So memory is taken while many calls are at work and given back
// when there are none. The live heap is a few megabytes: collecting at Go's
// 100 % means after every four megabytes that calls allocate, which costs 500
// callers a tenth of their calls.
const (
	collectAt   = 100            // percent of the live heap; GOGC overrides both
	collectBusy = 400            // once more than manyCalls are in flight, until there is quiet
	manyCalls   = 128            // calls in flight
	softMemory  = 512 << 20      // bytes; GOMEMLIMIT overrides it
	quietFor    = time.Second    // without a call, before memory is given back
	worthwhile  = int64(1) << 20 // bytes that giving back must promise
)

// memory suits the collector to the calls in flight.
type memory struct {
	ours   bool          // the percentage is ours to set
	rest   int           // percent while few calls are in flight
	quiet  time.Duration // see quietFor
	wake   chan struct{} // has one when run has something to wait for
	awake  atomic.Bool   // run counts calls
	busy   atomic.Bool   // collectBusy is set
	calls  atomic.Int64  // that ever came
	flight atomic.Int64  // that are at work
}

// newMemory sets the percentage for when few calls are in flight, and a limit
// above which the heap is collected at every chance, in bytes.
func newMemory(env config.Environment, rest int, limit int64) *memory {
	m := &memory{ours: !env.Has("GOGC"), rest: rest, quiet: quietFor, wake: make(chan struct{}, 1)}
	if !env.Has("GOMEMLIMIT") && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(limit)
	}
	if m.ours {
		debug.SetGCPercent(rest)
	}
	return m
}

// watch counts the messages that next handles.
func (m *memory) watch(next stdio.Handle) stdio.Handle {
	return func(ctx context.Context, message stdio.Message) stdio.Reply {
		m.enter()
		defer m.leave()
		return next(ctx, message)
	}
}

// quick is watch for messages that next may not want.
func (m *memory) quick(next func(context.Context, stdio.Message) (stdio.Reply, bool)) func(context.Context, stdio.Message) (stdio.Reply, bool) {
	return func(ctx context.Context, message stdio.Message) (stdio.Reply, bool) {
		m.enter()
		defer m.leave()
		return next(ctx, message)
	}
}

func (m *memory) enter() {
	m.calls.Add(1)
	if m.flight.Add(1) > manyCalls && m.ours && m.busy.CompareAndSwap(false, true) {
		debug.SetGCPercent(collectBusy)
	}
	if !m.awake.Load() && m.awake.CompareAndSwap(false, true) {
		m.wake <- struct{}{} // never full: run has taken the last before it slept
	}
}

// during is watch for messages over HTTP.
func (m *memory) during(next httpd.Handle) httpd.Handle {
	return func(ctx context.Context, message httpd.Message) stdio.Reply {
		m.enter()
		defer m.leave()
		return next(ctx, message)
	}
}

// placing is what rest.Options.Enter is.
type placing = func(ctx context.Context, principal string) (call context.Context, leave func(), ok bool)

// place counts the calls for which enter takes a place.
func (m *memory) place(enter placing) placing {
	return func(ctx context.Context, principal string) (context.Context, func(), bool) {
		call, leave, ok := enter(ctx, principal)
		if !ok {
			return call, leave, false
		}
		m.enter()
		return call, func() { m.leave(); leave() }, true
	}
}

func (m *memory) leave() { m.flight.Add(-1) }

// start starts run. What it returns ends it and waits until it has ended.
func (m *memory) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a signal ends the reading, not the calls
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.run(ctx)
	}()
	return func() { cancel(); <-ended }
}

// run gives memory back until ctx ends. Without calls it sleeps.
func (m *memory) run(ctx context.Context) {
	var kept int64 // bytes, when memory was last given back
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		}
		// Twice: connections to a provider are kept for some seconds.
		for _, period := range []time.Duration{m.quiet, 5 * m.quiet} {
			if !m.untilQuiet(ctx, period) {
				return
			}
			if m.busy.CompareAndSwap(true, false) {
				debug.SetGCPercent(m.rest)
			}
			if held() > kept+worthwhile {
				debug.FreeOSMemory()
				kept = held()
			}
		}
		m.sleep()
	}
}

// untilQuiet reports whether a whole period has passed without a call.
func (m *memory) untilQuiet(ctx context.Context, quiet time.Duration) bool {
	period := time.NewTicker(quiet)
	defer period.Stop()
	for {
		before := m.calls.Load()
		select {
		case <-ctx.Done():
			return false
		case <-period.C:
		}
		if m.flight.Load() == 0 && m.calls.Load() == before {
			return true
		}
	}
}

// sleep lets the next call wake run, or one that came meanwhile.
func (m *memory) sleep() {
	before := m.calls.Load()
	m.awake.Store(false)
	if m.calls.Load() != before && m.awake.CompareAndSwap(false, true) {
		m.wake <- struct{}{}
	}
}

// held returns the bytes that the heap has of the system: in use, garbage or
// free.
func held() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	var all int64
	for _, s := range samples {
		all += int64(s.Value.Uint64())
	}
	return all
}
