// Package httpd serves many clients over HTTP: MCP at /mcp (streamable HTTP,
// for clients of 2025-03-26 to 2026-07-28) and at /sse with /message (for
// clients of 2024-11-05), health and metrics, and the routes of other rooms.
//
// It holds the edge: whoever is let through to a handler came under a name of
// ours, from no strange page, with a small body of strict JSON, and not in too
// large a crowd. It knows JSON-RPC by package stdio, whose rules these are,
// and nothing of tools: every request goes to a Handle.
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/auth"
	"bankauth/internal/stdio"
)

// Message is a request or a notification, and how it came.
type Message struct {
	stdio.Message

	// Revision is the protocol's: of a request of 2026-07-28 or later the one
	// that it names, else the one that its client agreed on, as far as it says.
	Revision string
	// Modern says that the request names its revision in itself and needs no
	// handshake.
	Modern bool
	// Legacy says that the transport is that of 2024-11-05: a client that asks
	// for more is to be told so.
	Legacy bool
	// Notify sends a notification ahead of the answer. It may be called until
	// the handler returns.
	Notify func(json []byte)
}

// Handle answers one message; its reply to a notification is ignored. ctx
// holds the caller (package auth) and ends when the request is cancelled.
type Handle func(ctx context.Context, m Message) stdio.Reply

// Limits bound what the server takes on. A field that is 0 has the default.
type Limits struct {
	Connections int           // 512
	Calls       int           // of tools at work at once: 256
	CallsEach   int           // of one principal: Calls
	Streams     int           // of /sse: half of Connections
	KeepAlive   time.Duration // between two signs of life on a stream of /sse: 15 seconds
	Idle        time.Duration // after which a stream of /sse without a call is ended: 30 minutes
	Drain       time.Duration // for calls at work when the server ends: 30 seconds
}

// What a Server does where a limit is 0.
const (
	DefaultConnections = 512
	DefaultCalls       = 256
	DefaultKeepAlive   = 15 * time.Second
	DefaultIdle        = 30 * time.Minute
	DefaultDrain       = 30 * time.Second
)

// Options says what a Server works with.
type Options struct {
	// Name tells the servers of one process apart in Metrics; "" for the only
	// one.
	Name string
	// Handle answers MCP; nil: there is none.
	Handle Handle
	// At is the only path of MCP, as an http.ServeMux pattern; "": /mcp, and
	// /sse with /message.
	At string
	// Allow reports whether the caller may make the MCP request, and answers
	// with a refusal where not. name is what the request is about: the tool of a
	// tools/call, the URI of a resources/read. nil: every caller may do all.
	Allow func(w http.ResponseWriter, r *http.Request, method, name string) bool
	// Gate lets callers in; nil: everybody, as auth.Local.
	Gate func(http.Handler) http.Handler
	// Keeps reports whether a principal that the Gate let in would get in today;
	// a stream of one that would not is ended at the next sign of life. nil: all
	// would.
	Keeps func(principal string) bool
	// Routes are other rooms' handlers behind the gate, by http.ServeMux
	// pattern without a method; their bodies are whole and strict JSON. One may
	// be a Taker. Open ones are in front of the gate, and serve GET and HEAD
	// alone.
	Routes, Open map[string]http.Handler
	// Ready returns what the server needs and whether it has it. It is asked
	// once in a few seconds, however often the route is.
	Ready func(ctx context.Context) map[string]bool
	// Leaving is closed when the server is soon to end: it serves on, but says
	// so at /health/ready, and closes each connection with its answer. nil: the
	// end comes without notice.
	Leaving <-chan struct{}
	// Metrics counts; nil: nobody does. It is shown at /metrics unless NoMetrics.
	Metrics   *Metrics
	NoMetrics bool
	// Trace is told of every request, hands back the one to go on with, and is
	// told how it ended, with the server's own name of its route. nil: nobody is.
	Trace func(*http.Request) (r *http.Request, end func(route string, status int))

	// TLS is what HTTPS is served with; nil: HTTP.
	TLS *tls.Config
	// Peers are the networks that may connect, loopback besides; nil: all.
	Peers []netip.Prefix

	Origins Origins
	Limits  Limits
	// Calls are the calls of tools, where Routes make some too; nil: those of MCP
	// alone, within Limits.
	Calls *Calls
	Log   zerolog.Logger
	Rand  io.Reader // for correlation ids; crypto/rand when nil
}

// Server serves. It is for one Serve.
type Server struct {
	o       Options
	http    *http.Server
	mux     *http.ServeMux
	conns   *conns // set by Serve
	calls   *Calls
	streams *streams
	replies stdio.Replies
	long    chan struct{} // a place for each long body that comes in
	ready   readiness

	draining chan struct{} // closed when no further call is to begin
}

// How long a client may take.
const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute // between two requests
	maxHeader  = 16 << 10
	writeTime  = 90 * time.Second // from the header on; a call ends within 50
)

// New returns a Server.
func New(o Options) *Server {
	o.Limits = o.Limits.filled()
	o.Origins = o.Origins.normal()
	if o.Calls == nil {
		o.Calls = NewCalls(o.Limits)
	}
	s := &Server{
		o: o, calls: o.Calls, streams: newStreams(o.Limits.Streams),
		replies: stdio.Replies{Log: o.Log, Rand: o.Rand}, long: make(chan struct{}, longOnes), draining: make(chan struct{}),
		ready: readiness{check: o.Ready},
	}
	s.mux = s.routes()
	s.http = &http.Server{
		Handler: s, ConnContext: withConn, ErrorLog: log.New(io.Discard, "", 0), // it quotes what clients send
		DisableGeneralOptionsHandler: true, // it would answer whoever comes
		ReadHeaderTimeout:            headerTime, IdleTimeout: idleTime, WriteTimeout: writeTime, MaxHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 64, MaxReadFrameSize: 64 << 10},
	}
	if o.Metrics != nil {
		o.Metrics.watch(s)
		o.Calls.busy = func() { o.Metrics.count(busyTotal) }
	}
	return s
}

func (l Limits) filled() Limits {
	set := func(n *int, to int) {
		if *n == 0 {
			*n = to
		}
	}
	set(&l.Connections, DefaultConnections)
	set(&l.Calls, DefaultCalls)
	set(&l.CallsEach, l.Calls)
	set(&l.Streams, max(1, l.Connections/2))
	if l.KeepAlive == 0 {
		l.KeepAlive = DefaultKeepAlive
	}
	if l.Idle == 0 {
		l.Idle = DefaultIdle
	}
	if l.Drain == 0 {
		l.Drain = DefaultDrain
	}
	return l
}

// routes says what is where, and what stands before it.
func (s *Server) routes() *http.ServeMux {
	gate := s.o.Gate
	if gate == nil {
		gate = everybody
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.nothing)
	switch {
	case s.o.Handle == nil:
	case s.o.At != "":
		mux.Handle(s.o.At, gate(only(s.mcp, http.MethodPost)))
	default:
		mux.Handle("/mcp", gate(only(s.mcp, http.MethodPost)))
		mux.Handle("/sse", gate(only(s.sse, http.MethodGet))) // a new client tries POST before it falls back to GET
		mux.Handle("/message", gate(only(s.message, http.MethodPost)))
	}
	mux.Handle("/health/live", only(s.live, http.MethodGet, http.MethodHead))
	mux.Handle("/health/ready", only(s.isReady, http.MethodGet, http.MethodHead))
	if s.o.Metrics != nil && !s.o.NoMetrics {
		mux.Handle("/metrics", gate(only(s.o.Metrics.show, http.MethodGet, http.MethodHead)))
	}
	for pattern, h := range s.o.Routes {
		mux.Handle(pattern, gate(s.read(h, takes(h))))
	}
	for pattern, h := range s.o.Open {
		mux.Handle(pattern, s.read(h, shown))
	}
	return mux
}

// everybody is the gate of a server on loopback that asks for no token.
func everybody(next http.Handler) http.Handler {
	local := auth.Local()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.NewContext(r.Context(), local)))
	})
}

// Serve answers what comes to l until ctx ends, or l breaks. Calls at work may
// then finish and are answered; those that take longer than the limit Drain
// are cancelled. It returns nil after ctx has ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.conns = newConns(l, s.o.Limits.Connections)
	s.conns.peers = s.o.Peers
	ended := make(chan error, 1)
	go func() {
		if s.o.TLS != nil {
			s.http.TLSConfig = s.o.TLS
			ended <- s.http.ServeTLS(s.conns, "", "")
			return
		}
		ended <- s.http.Serve(s.conns)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.drain()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// leaving reports whether the server is soon to end, or ending.
func (s *Server) leaving() bool {
	select {
	case <-s.o.Leaving:
		return true
	case <-s.draining:
		return true
	default:
		return false
	}
}

// drain lets what is at work come to its end.
func (s *Server) drain() {
	close(s.draining)
	limit, stop := context.WithTimeout(context.Background(), s.o.Limits.Drain)
	defer stop()
	if s.http.Shutdown(limit) == nil {
		return
	}
	s.o.Log.Warn().Int("calls", s.calls.atWork()).Msg("calls did not end in time")
	s.calls.cancelAll()
	if !s.ended(afterword) && s.calls.atWork() > 0 {
		s.ended(lastWord)
	}
	_ = s.http.Close() // which ends the context of what is left
}

// ended reports whether all requests end within the time.
func (s *Server) ended(within time.Duration) bool {
	limit, stop := context.WithTimeout(context.Background(), within)
	defer stop()
	return s.http.Shutdown(limit) == nil
}

// How long calls may take to answer once they are cancelled: those that can
// leave, and those whose exchange with a provider cannot be broken off, which
// ends within 20 s. The vault waits for it in any case.
const (
	afterword = 500 * time.Millisecond
	lastWord  = 21 * time.Second
)
