package httpd

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"bankauth/internal/stdio"
)

// moment is how long a call waits for a place: long enough for a burst, too
// short for a queue.
const moment = 100 * time.Millisecond

// Calls are the calls at work in a server: how many, whose, and how to cancel
// those that a later message may cancel. A room whose routes call tools enters
// here, so that MCP and it share one limit.
type Calls struct {
	busy   func()        // is told of each call that is one too many; nil: nobody is
	each   int           // of one principal, at most, with those that wait
	places chan struct{} // one for each call at work

	mu    sync.Mutex
	of    map[string]int // by principal, with those that wait
	open  map[*call]struct{}
	named map[name]*call
}

// name is what a client calls one of its calls. Ids are a client's own, so
// they mean nothing without the session, and a session means nothing to
// another principal.
type name struct{ principal, session, id string }

// call is a request that goes on when its connection breaks.
type call struct {
	name   name
	cancel context.CancelFunc
}

// NewCalls returns the calls of a server with these limits, for its Options.
func NewCalls(l Limits) *Calls {
	l = l.filled()
	return &Calls{each: l.CallsEach, places: make(chan struct{}, l.Calls), of: map[string]int{}, open: map[*call]struct{}{}, named: map[name]*call{}}
}

// Enter takes a place for a call of the principal's; ok is false where there is
// none. The call is made under the context that it returns, which ends when a
// server that is to end waits no longer, and leave follows it.
func (s *Calls) Enter(ctx context.Context, principal string) (call context.Context, leave func(), ok bool) {
	if !s.enter(ctx, principal) {
		return ctx, func() {}, false
	}
	ctx, c := s.begin(ctx, principal, "", nil)
	return ctx, func() { s.end(c); s.leave(principal) }, true
}

// enter reports whether the principal may do one call more, after a moment's
// wait where all places are taken. After true the caller owes leave.
func (s *Calls) enter(ctx context.Context, principal string) bool {
	if s.place(ctx, principal) {
		return true
	}
	if s.busy != nil {
		s.busy()
	}
	return false
}

func (s *Calls) place(ctx context.Context, principal string) bool {
	if !s.count(principal) {
		return false
	}
	select {
	case s.places <- struct{}{}:
		return true
	default:
	}
	wait := time.NewTimer(moment)
	defer wait.Stop()
	select {
	case s.places <- struct{}{}:
		return true
	case <-wait.C:
	case <-ctx.Done():
	}
	s.uncount(principal)
	return false
}

func (s *Calls) leave(principal string) {
	<-s.places
	s.uncount(principal)
}

func (s *Calls) count(principal string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[principal] >= s.each {
		return false
	}
	s.of[principal]++
	return true
}

func (s *Calls) uncount(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[principal]--; s.of[principal] == 0 {
		delete(s.of, principal)
	}
}

func (s *Calls) atWork() int { return len(s.places) }

// begin makes a request known, so that it can be cancelled: by its client,
// where session is not "", and at the end of the server. It returns nil where
// the client has a request of this id at work already.
func (s *Calls) begin(ctx context.Context, principal, session string, id json.RawMessage) (context.Context, *call) {
	ctx, cancel := context.WithCancel(ctx)
	c := &call{cancel: cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if session != "" {
		c.name = name{principal, session, stdio.Key(id)}
		if s.named[c.name] != nil {
			cancel()
			return ctx, nil
		}
		s.named[c.name] = c
	}
	s.open[c] = struct{}{}
	return ctx, c
}

// end follows begin. It reports whether the request is to be answered: not
// after its client cancelled it.
func (s *Calls) end(c *call) bool {
	c.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.open[c]
	delete(s.open, c)
	if s.named[c.name] == c {
		delete(s.named, c.name)
	}
	return open
}

// cancel ends the request that the client names; one that is not at work is
// nothing to worry about.
func (s *Calls) cancel(principal, session string, id json.RawMessage) {
	if session == "" || id == nil {
		return
	}
	s.mu.Lock()
	c := s.named[name{principal, session, stdio.Key(id)}]
	if c != nil {
		delete(s.open, c)
		delete(s.named, c.name)
	}
	s.mu.Unlock()
	if c != nil {
		c.cancel()
	}
}

// cancelAll ends the context of every request; each may still be answered.
func (s *Calls) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.cancel()
	}
}
