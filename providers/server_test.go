package providers

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server is a provider that speaks raw bytes, so that it can misbehave in
// ways that net/http's server would prevent.
type server struct {
	addr  string
	posts atomic.Int64 // requests that were read whole
	conns atomic.Int64

	mu   sync.Mutex
	open map[net.Conn]bool
	wait sync.WaitGroup
}

// serve answers each connection with handle, which is given the request that
// was read first. With config it speaks TLS.
func serve(t *testing.T, config *tls.Config, handle func(c net.Conn)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), open: map[net.Conn]bool{}}
	s.wait.Add(1)
	go s.accept(l, config, handle)
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.wait.Wait()
	})
	return s
}

func (s *server) accept(l net.Listener, config *tls.Config, handle func(c net.Conn)) {
	defer s.wait.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.conns.Add(1)
		if config != nil {
			c = tls.Server(c, config)
		}
		s.mu.Lock()
		s.open[c] = true
		s.mu.Unlock()
		s.wait.Add(1)
		go func() {
			defer s.wait.Done()
			handle(c)
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		}()
	}
}

// answering reads one request and writes text in answer.
func (s *server) answering(text string) func(c net.Conn) {
	return func(c net.Conn) {
		if readRaw(c) != "" {
			s.posts.Add(1)
		}
		_, _ = io.WriteString(c, text)
	}
}

// replying is a server that answers each connection's first request with
// text and closes.
func replying(t *testing.T, text string) *server {
	var s *server
	ready := make(chan struct{})
	s = serve(t, nil, func(c net.Conn) { <-ready; s.answering(text)(c) })
	close(ready)
	return s
}

// stall waits until the peer gives up, or a while.
func stall(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, _ = io.Copy(io.Discard, c)
}
