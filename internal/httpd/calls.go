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

// calls are the calls at work: how many, whose, and how to cancel those that a
// later message may cancel.
type calls struct {
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

func newCalls(inAll, each int) *calls {
	return &calls{each: each, places: make(chan struct{}, inAll), of: map[string]int{}, open: map[*call]struct{}{}, named: map[name]*call{}}
}

// enter reports whether the principal may do one call more, after a moment's
// wait where all places are taken. After true the caller owes leave.
func (s *calls) enter(ctx context.Context, principal string) bool {
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

func (s *calls) leave(principal string) {
	<-s.places
	s.uncount(principal)
}

func (s *calls) count(principal string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[principal] >= s.each {
		return false
	}
	s.of[principal]++
	return true
}

func (s *calls) uncount(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[principal]--; s.of[principal] == 0 {
		delete(s.of, principal)
	}
}

func (s *calls) atWork() int { return len(s.places) }

// begin makes a request known, so that it can be cancelled: by its client,
// where session is not "", and at the end of the server. It returns nil where
// the client has a request of this id at work already.
func (s *calls) begin(ctx context.Context, principal, session string, id json.RawMessage) (context.Context, *call) {
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
func (s *calls) end(c *call) bool {
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
func (s *calls) cancel(principal, session string, id json.RawMessage) {
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
func (s *calls) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.cancel()
	}
}
