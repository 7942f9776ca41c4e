//go:build unix

package vault_test

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"testing"

	"bankauth/internal/testdb"
)

// cutter is a proxy before a database that cuts connections at a chosen
// moment.
type cutter struct {
	target string
	testdb.Server

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool // nobody gets through
	when  moment
	fired bool
	all   sync.WaitGroup
}

// moment is when a statement passes by for the nth time: before the server has
// it, or after the server has answered and before the client hears of it.
type moment struct {
	text  string
	nth   int
	after bool
}

func newCutter(t *testing.T, before testdb.Server) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{target: net.JoinHostPort("127.0.0.1", strconv.Itoa(before.Port)), Server: testdb.Server{Port: l.Addr().(*net.TCPAddr).Port}, conns: map[net.Conn]bool{}}
	c.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.all.Go(func() { c.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut(true)
		c.all.Wait()
	})
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	if c.down {
		c.mu.Unlock()
		return
	}
	c.conns[client] = true
	c.mu.Unlock()
	deaf := make(chan struct{}, 1)
	var both sync.WaitGroup
	both.Go(func() {
		defer client.Close()
		defer server.Close()
		b := make([]byte, 1<<16)
		for {
			n, err := server.Read(b)
			select {
			case <-deaf:
				return
			default:
			}
			if err != nil {
				return
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	})
	b := make([]byte, 1<<16)
	for {
		n, err := client.Read(b)
		if err != nil {
			break
		}
		hit, after := c.hit(b[:n])
		if hit && !after {
			break
		}
		if hit {
			deaf <- struct{}{}
		}
		if _, err := server.Write(b[:n]); err != nil {
			break
		}
	}
	_ = server.Close()
	both.Wait()
	c.mu.Lock()
	delete(c.conns, client)
	c.mu.Unlock()
}

func (c *cutter) hit(b []byte) (hit, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.when.nth == 0 || !bytes.Contains(b, []byte(c.when.text)) {
		return false, false
	}
	if c.when.nth--; c.when.nth > 0 {
		return false, false
	}
	c.fired = true
	return true, c.when.after
}

// arm makes the next such moment one that cuts.
func (c *cutter) arm(m moment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.when, c.fired = m, false
}

// disarm reports whether the moment came.
func (c *cutter) disarm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.when = moment{}
	return c.fired
}

// cut ends all connections, and lets nobody through as long as down.
func (c *cutter) cut(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	for conn := range c.conns {
		_ = conn.Close()
	}
}
