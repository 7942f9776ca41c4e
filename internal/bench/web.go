package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// site is a server over HTTP, and the token that it asks of its callers.
type site struct {
	*child
	addr  string
	token string
}

// open starts s over HTTP, with a vault and a client of its own.
func (b *bench) open(s side) (*site, error) {
	env := b.environment()
	w := &site{}
	if s.name == "server" && s.args[0] == "serve" {
		add := exec.Command(s.path, "clients", "add", "bench")
		add.Env = env
		token, err := add.Output()
		if err != nil {
			return nil, fmt.Errorf("adding a client: %w", err)
		}
		w.token = strings.TrimSpace(string(token))
	}
	c, err := spawn(env, s.path, s.args...)
	if err != nil {
		return nil, err
	}
	line, err := c.out.ReadString('\n')
	_, rest, ok := strings.Cut(line, "http://")
	if err != nil || !ok {
		c.stop()
		return nil, fmt.Errorf("%s does not say where it is: %q %s", s.name, line, c.err)
	}
	w.child = c
	w.addr, _, _ = strings.Cut(strings.TrimSpace(rest), "/")
	return w, nil
}

// stop tells the server to end.
func (w *site) stop() {
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	w.child.stop()
}

// visitor is one client, with connections of its own.
type visitor struct {
	at      *site
	conn    net.Conn
	in      *bufio.Reader
	session string // of streamable HTTP, where the server gave one

	events *bufio.Reader // of /sse; nil over streamable HTTP
	stream net.Conn
	path   string
	call   []byte // a request for a token, head and body
	body   []byte // of the last answer
}

// visit connects client n and shakes hands.
func (w *site) visit(n int, sse bool) (*visitor, error) {
	v := &visitor{at: w, path: "/mcp"}
	var err error
	if v.conn, err = net.Dial("tcp", w.addr); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	v.in = bufio.NewReaderSize(v.conn, 8<<10)
	if sse {
		if err := v.listen(); err != nil {
			return v, err
		}
	}
	hello, initialized, _ := strings.Cut(strings.TrimSpace(handshake), "\n")
	if v.session, err = v.ask(v.request([]byte(hello))); err != nil {
		return v, fmt.Errorf("shaking hands: %w", err)
	}
	if _, err := v.conn.Write(v.request([]byte(initialized))); err != nil {
		return v, err
	}
	if _, _, err := v.answer(); err != nil {
		return v, err
	}
	v.call = v.request(bytes.TrimSpace(request(n, true)))
	return v, nil
}

func (v *visitor) leave() {
	_ = v.conn.Close()
	if v.stream != nil {
		_ = v.stream.Close()
	}
}

// head is what every request of v begins with.
func (v *visitor) head(method, path string) string {
	h := method + " " + path + " HTTP/1.1\r\nHost: " + v.at.addr + "\r\n"
	if v.at.token != "" {
		h += "Authorization: Bearer " + v.at.token + "\r\n"
	}
	return h
}

func (v *visitor) request(body []byte) []byte {
	h := v.head(http.MethodPost, v.path) + "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
	if v.session != "" {
		h += "Mcp-Session-Id: " + v.session + "\r\nMcp-Protocol-Version: 2025-11-25\r\n"
	}
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", h, len(body), body)
}

// listen opens the stream of the transport of 2024-11-05.
func (v *visitor) listen() (err error) {
	if v.stream, err = net.Dial("tcp", v.at.addr); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if _, err := io.WriteString(v.stream, v.head(http.MethodGet, "/sse")+"Accept: text/event-stream\r\n\r\n"); err != nil {
		return err
	}
	a, err := http.ReadResponse(bufio.NewReader(v.stream), nil)
	if err != nil || a.StatusCode != http.StatusOK {
		return fmt.Errorf("opening /sse: %w", errors.Join(errFailed, err))
	}
	v.events = bufio.NewReaderSize(a.Body, 8<<10)
	data, err := v.event()
	v.path = string(data)
	if _, rest, ok := strings.Cut(v.path, v.at.addr); ok {
		v.path = rest
	}
	return err
}

// event returns the next event's data.
func (v *visitor) event() ([]byte, error) {
	for {
		line, err := v.events.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("waiting for an event: %w; the server said: %s", err, v.at.err)
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			return bytes.TrimSpace(data), nil
		}
	}
}

// ask sends a request and waits for its result, wherever it comes.
func (v *visitor) ask(q []byte) (session string, err error) {
	if _, err := v.conn.Write(q); err != nil {
		return "", fmt.Errorf("sending: %w; the server said: %s", err, v.at.err)
	}
	session, body, err := v.answer()
	if err == nil && v.events != nil {
		body, err = v.event()
	}
	if err != nil {
		return "", err
	}
	if bytes.Contains(body, []byte(`"isError":true`)) || !bytes.Contains(body, []byte(`"result":`)) {
		return "", fmt.Errorf("%w: %.500s", errFailed, body)
	}
	return session, nil
}

// answer reads an answer by hand where it is one that a call has: net/http
// would take as much of the processors as the server does.
func (v *visitor) answer() (session string, body []byte, err error) {
	lost := func(err error) (string, []byte, error) {
		return "", nil, fmt.Errorf("waiting for an answer: %w; the server said: %s", err, v.at.err)
	}
	status, length := "", -1
	for {
		line, err := v.in.ReadSlice('\n')
		if err != nil {
			return lost(err)
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if status == "" {
			status = string(line)
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return lost(err)
			}
		case bytes.EqualFold(name, []byte("Mcp-Session-Id")):
			session = string(value)
		}
	}
	if length < 0 && !strings.Contains(status, " 204 ") {
		return lost(fmt.Errorf("%w: %s without a length", errFailed, status))
	}
	v.body = slices.Grow(v.body[:0], max(0, length))[:max(0, length)]
	if _, err := io.ReadFull(v.in, v.body); err != nil {
		return lost(err)
	}
	if !strings.HasPrefix(status, "HTTP/1.1 2") {
		return session, v.body, fmt.Errorf("%w: %s %.300s", errFailed, status, v.body)
	}
	return session, v.body, nil
}

// crowd is visitors who call at the same time.
type crowd []*visitor

func (w *site) crowd(clients int, sse bool) (crowd, error) {
	var c crowd
	for n := range clients {
		v, err := w.visit(n, sse)
		c = append(c, v)
		if err != nil {
			c.leave()
			return nil, err
		}
	}
	return c, nil
}

func (c crowd) leave() {
	for _, v := range c {
		if v != nil {
			v.leave()
		}
	}
}

// run has every visitor call again as soon as it is answered, for the time.
func (c crowd) run(during time.Duration) (load, error) {
	var mu sync.Mutex
	var l load
	var failed error
	var done sync.WaitGroup
	cpu := c[0].at.processor()
	start := time.Now()
	for _, v := range c {
		done.Go(func() {
			var waits []time.Duration
			var err error
			for err == nil && time.Since(start) < during {
				sent := time.Now()
				if _, err = v.ask(v.call); err == nil {
					waits = append(waits, time.Since(sent))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			l.waits = append(l.waits, waits...)
			failed = errors.Join(failed, err)
		})
	}
	done.Wait()
	l.calls, l.took, l.processor = len(l.waits), time.Since(start), c[0].at.processor()-cpu
	return l, failed
}
