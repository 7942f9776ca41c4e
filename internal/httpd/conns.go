package httpd

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long a connection may keep us waiting before another may have
// its place.
const grace = 3 * time.Second / 4

// conns is a listener that keeps at most max connections open. Where there is
// no room, one that does no work has to go: the oldest of those that have not
// yet sent a whole request or, if these are few, that have been silent the
// longest. Where all are at work, further ones wait with the system.
type conns struct {
	net.Listener
	max   int
	peers []netip.Prefix // who may connect, beside loopback; nil: all
	now   func() time.Time

	pressed atomic.Bool // somebody waits for a place
	closed  chan struct{}
	once    sync.Once
	freed   chan struct{}

	mu   sync.Mutex
	open int
	new  *list.List // of *conn: no request yet, oldest first
	idle *list.List // of *conn: between requests, oldest first
}

func newConns(l net.Listener, max int) *conns {
	return &conns{Listener: l, max: max, now: time.Now, closed: make(chan struct{}), freed: make(chan struct{}, 1), new: list.New(), idle: list.New()}
}

// conn is one connection. Its fields belong to the lock of its conns.
type conn struct {
	net.Conn
	of      *conns
	reading atomic.Bool // we wait for the client

	since time.Time
	work  int // requests at work
	in    *list.List
	at    *list.Element
	gone  bool
}

// Accept returns the next connection, once there is room for it.
func (l *conns) Accept() (net.Conn, error) {
	l.room()
	inner, err := l.accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	c.put(l.new)
	return c, nil
}

// accept returns the next connection of somebody who may connect.
func (l *conns) accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.peer(c.RemoteAddr()) {
			return c, err
		}
		_ = c.Close()
	}
}

func (l *conns) peer(a net.Addr) bool {
	if l.peers == nil {
		return true
	}
	from, err := netip.ParseAddrPort(a.String())
	ip := from.Addr().Unmap()
	return err == nil && (ip.IsLoopback() || slices.ContainsFunc(l.peers, func(p netip.Prefix) bool { return p.Contains(ip) }))
}

// Close ends the listening; connections stay.
func (l *conns) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// room waits until one more connection may be open.
func (l *conns) room() {
	for !l.make() {
		l.pressed.Store(true)
		select {
		case <-l.freed:
		case <-l.closed:
			return
		case <-time.After(grace / 20):
		}
	}
	l.pressed.Store(false)
}

// make reports whether there is room, after ending a connection if it must.
func (l *conns) make() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open < l.max {
		return true
	}
	first, second := l.idle, l.new
	if l.new.Len() > l.max/4 {
		first, second = second, first
	}
	for _, from := range []*list.List{first, second} {
		if c := l.silent(from); c != nil {
			c.leave()
			_ = c.Conn.Close()
			return true
		}
	}
	return false
}

// silent returns the connection of a list that has kept us waiting longest, or
// nil where none has for long. The lock is held.
func (l *conns) silent(in *list.List) *conn {
	looked := 0
	for e := in.Front(); e != nil && looked < 16; e, looked = e.Next(), looked+1 {
		c := e.Value.(*conn)
		if l.now().Sub(c.since) <= grace {
			return nil
		}
		if c.reading.Load() && !unread(c.Conn) {
			return c
		}
	}
	return nil
}

// put moves c to the end of a list. The lock is held.
func (c *conn) put(to *list.List) {
	c.take()
	if !c.gone && to != nil {
		c.in, c.since = to, c.of.now()
		c.at = to.PushBack(c)
	}
}

func (c *conn) take() {
	if c.in != nil {
		c.in.Remove(c.at)
		c.in, c.at = nil, nil
	}
}

// Read reads. A connection on which nothing is being done waits for its
// client then.
func (c *conn) Read(b []byte) (int, error) {
	c.of.mu.Lock()
	if c.work == 0 && c.in == nil {
		c.put(c.of.idle)
	}
	c.of.mu.Unlock()
	c.reading.Store(true)
	defer c.reading.Store(false)
	return c.Conn.Read(b)
}

// leave counts c out, once. The lock is held.
func (c *conn) leave() {
	if c.gone {
		return
	}
	c.take()
	c.gone = true
	c.of.open--
	select {
	case c.of.freed <- struct{}{}:
	default:
	}
}

// Close counts the connection out and closes it.
func (c *conn) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// working keeps the connection of a request until the returned function is
// called; nil where it is not one of ours.
func working(r *http.Request) *conn {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return nil
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.work++
	c.take()
	return c
}

// done follows working. The connection is idle when the next request is waited
// for, which in HTTP/2 is all the time.
func (c *conn) done(r *http.Request) {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.work--; c.work == 0 && r.ProtoMajor > 1 {
		c.put(c.of.idle)
	}
}

// awaits gives the connection up, if need be, while the body of a request is
// on its way, until the returned function is called.
func awaits(r *http.Request) (here func()) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return func() {}
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.work--; c.work == 0 {
		c.put(c.of.new)
	}
	return func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.work++
		c.take()
	}
}

// count returns how many connections are open.
func (l *conns) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}
