package stdio

import (
	"context"
	"sync"
)

// call is a request that has not been answered.
type call struct {
	key    string
	id     []byte
	method string
	cancel context.CancelFunc
}

func (c *call) tool() bool { return c.method == methodToolsCall }

// calls are the requests in flight. The read loop itself puts them here, so
// that a cancel on the next line finds them.
type calls struct {
	limit int

	mu      sync.Mutex
	open    map[string]*call
	tools   int // handlers of tools/call that run
	running int // handlers that run or whose answer is on its way
	closed  bool
	idle    chan struct{} // closed when closed and none is running
}

func newCalls(limit int) *calls {
	return &calls{limit: limit, open: map[string]*call{}, idle: make(chan struct{})}
}

// entered says what became of a request at the door.
type entered uint8

const (
	in entered = iota
	busy
	twice
	shut
)

// enter registers c. After in and busy the caller owes leave and done.
func (s *calls) enter(c *call) entered {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return shut
	}
	if _, ok := s.open[c.key]; ok {
		return twice
	}
	s.open[c.key] = c
	s.running++
	if !c.tool() {
		return in
	}
	if s.tools++; s.tools > s.limit {
		return busy
	}
	return in
}

// leave ends c's time in flight, so that its id may be used again, and reports
// whether it is to be answered still.
func (s *calls) leave(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.tool() {
		s.tools--
	}
	if s.open[c.key] != c {
		return false
	}
	delete(s.open, c.key)
	return true
}

// done follows leave, once the answer has been sent.
func (s *calls) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.closed && s.running == 0 {
		close(s.idle)
	}
}

// alone reports whether no more than one request is under way.
func (s *calls) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running == 1
}

// cancel ends the request with this key and its right to an answer; a key
// that is not in flight is nothing to worry about.
func (s *calls) cancel(key string) {
	s.mu.Lock()
	c := s.open[key]
	delete(s.open, key)
	s.mu.Unlock()
	if c != nil {
		c.cancel()
	}
}

// close lets no further request in. Streams that end only when the client
// leaves are ended; all others go on.
func (s *calls) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, c := range s.open {
		if c.method == methodListen {
			c.cancel()
		}
	}
	if s.running == 0 {
		close(s.idle)
	}
}

// cancelAll ends the context of every request; each may still answer.
func (s *calls) cancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.cancel()
	}
}

// takeAll takes away every request's right to an answer and returns them.
func (s *calls) takeAll() []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]*call, 0, len(s.open))
	for _, c := range s.open {
		left = append(left, c)
	}
	clear(s.open)
	return left
}
