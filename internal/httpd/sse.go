package httpd

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/internal/stdio"
)

const (
	eventTime  = 10 * time.Second // for a client to take what is sent
	maxWaiting = 1 << 20          // bytes that may wait for a client that reads slowly
)

// streams are the open streams of the transport of 2024-11-05.
type streams struct {
	max int

	mu  sync.Mutex
	all map[string]*events
}

func newStreams(max int) *streams { return &streams{max: max, all: map[string]*events{}} }

// events is one stream: a client hears there what it asks by /message.
type events struct {
	principal string
	id        string
	ctx       context.Context // ends with the stream, and so do its calls
	end       context.CancelFunc
	w         http.ResponseWriter

	mu      sync.Mutex
	used    time.Time
	working sync.WaitGroup
	waiting []byte
	writing bool
	closed  bool
	quiet   *sync.Cond // nobody writes
}

// add returns a new stream, or nil where there are too many.
func (s *streams) add(ctx context.Context, w http.ResponseWriter, principal string) *events {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= s.max {
		return nil
	}
	e := &events{principal: principal, id: rand.Text(), w: w, used: time.Now()}
	e.quiet = sync.NewCond(&e.mu)
	e.ctx, e.end = context.WithCancel(ctx)
	s.all[e.id] = e
	return e
}

func (s *streams) remove(e *events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, e.id)
}

// find returns the principal's own stream of that id.
func (s *streams) find(id, principal string) *events {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[id]; e != nil && e.principal == principal {
		return e
	}
	return nil
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// sse opens a stream and keeps it until its client leaves, is silent for too
// long or may no longer call, or the server ends and its calls with it.
func (s *Server) sse(w http.ResponseWriter, r *http.Request) {
	e := s.streams.add(r.Context(), w, caller(r).Principal)
	if e == nil {
		f := fault.New(fault.Busy, "too many streams are open", "use /mcp, which needs none, or try again later")
		f.RetryAfter = 10 * time.Second
		closing(w)
		problem.Of(f, "").Write(w)
		return
	}
	defer e.close()
	defer s.streams.remove(e)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	e.write([]byte("event: endpoint\ndata: /message?sessionId=" + e.id + "\n\n"))
	s.keep(e)
}

// keep returns when the stream is to end.
func (s *Server) keep(e *events) {
	tick := time.NewTicker(s.o.Limits.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-s.draining:
			e.drain()
			return
		case <-tick.C:
			if e.idle() > s.o.Limits.Idle || s.o.Keeps != nil && !s.o.Keeps(e.principal) {
				return
			}
			e.write([]byte(": still here\n\n"))
		}
	}
}

// message takes what a client asks, which is answered on its stream.
func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	e := s.streams.find(r.URL.Query().Get("sessionId"), caller(r).Principal)
	if e == nil {
		closing(w)
		status(http.StatusNotFound, "there is no such stream, or it has ended", "open one with GET /sse and post to the address that it names").Write(w)
		return
	}
	env, ok := s.open(w, r)
	if !ok {
		return
	}
	m := Message{Message: env.Message, Revision: unsaid, Legacy: true}
	switch {
	case env.Answer:
		w.WriteHeader(http.StatusAccepted)
	case env.Method == methodCancelled:
		s.calls.cancel(e.principal, e.id, env.RequestID)
		w.WriteHeader(http.StatusAccepted)
	case env.ID == nil:
		s.replies.Call(r.Context(), s.plain(m), m.Message)
		w.WriteHeader(http.StatusAccepted)
	default:
		m.Modern = isModern(env.Revision)
		s.ask(w, r, e, m, env)
	}
}

// ask accepts a request and has it answered on the stream.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, e *events, m Message, env stdio.Envelope) {
	if m.Modern && m.Method != methodDiscover {
		// Its client pinned a revision that this transport is not part of.
		reply := stdio.Reply{Error: unsupported(env.Revision, revisions[1:])}
		w.WriteHeader(http.StatusAccepted)
		s.replies.Write(m.ID, reply, e.message)
		return
	}
	if s.o.Allow != nil && !s.o.Allow(w, r, m.Method, env.Name) {
		return
	}
	// The POST ends at once, and its context with it; the stream's has the
	// same caller.
	ctx, c := s.calls.begin(e.ctx, e.principal, e.id, env.ID)
	if c == nil {
		s.refuse(w, env.ID, &stdio.Error{Code: stdio.CodeRequest, Message: "a request with this id is still being answered"})
		return
	}
	if !e.begin() {
		s.calls.end(c)
		closing(w)
		status(http.StatusNotFound, "the stream has ended", "open another with GET /sse").Write(w)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	go s.speak(ctx, e, m, c)
}

// speak answers a request on its stream.
func (s *Server) speak(ctx context.Context, e *events, m Message, c *call) {
	defer e.working.Done()
	if m.Method == methodToolsCall {
		if s.calls.enter(ctx, e.principal) {
			defer s.calls.leave(e.principal)
		} else {
			m.Busy = true
		}
	}
	m.Notify = e.message
	reply := s.replies.Call(ctx, s.plain(m), m.Message)
	if s.calls.end(c) {
		s.replies.Write(m.ID, reply, e.message)
	}
}

// begin counts a call in, unless the stream has ended.
func (e *events) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.used = time.Now()
	e.working.Add(1)
	return true
}

// idle returns for how long nothing was asked.
func (e *events) idle() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Since(e.used)
}

// message sends one message.
func (e *events) message(line []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = appendEvent(e.waiting, line)
	e.flush()
}

func (e *events) write(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, b...)
	e.flush()
}

// flush writes what waits, unless somebody is at it, who then writes this too.
// The lock is held, except while writing.
func (e *events) flush() {
	if len(e.waiting) > maxWaiting {
		e.end() // the client does not read
		return
	}
	if e.writing {
		return
	}
	e.writing = true
	control := http.NewResponseController(e.w)
	var spare []byte
	for len(e.waiting) > 0 && !e.closed {
		b := e.waiting
		e.waiting = spare[:0]
		e.mu.Unlock()
		_ = control.SetWriteDeadline(time.Now().Add(eventTime))
		_, err := e.w.Write(b)
		if err == nil {
			err = control.Flush()
		}
		_ = control.SetWriteDeadline(time.Time{}) // HTTP/2 would end the stream by it
		e.mu.Lock()
		if err != nil {
			e.end()
			break
		}
		spare = b
	}
	e.writing = false
	e.quiet.Broadcast()
}

// drain waits for the calls of the stream.
func (e *events) drain() {
	done := make(chan struct{})
	go func() { e.working.Wait(); close(done) }()
	select {
	case <-done:
	case <-e.ctx.Done():
	}
}

// close ends the stream: nothing is written after it returns, because the
// ResponseWriter ends with its handler.
func (e *events) close() {
	e.end()
	e.mu.Lock()
	e.closed = true
	for e.writing {
		e.quiet.Wait()
	}
	e.mu.Unlock()
	e.working.Wait()
}
