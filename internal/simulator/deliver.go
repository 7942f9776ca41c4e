package simulator

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// wait pauses, and reports whether the bank is still open after it.
func (b *Bank) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.ended:
		return false
	}
}

// hold pauses a request, and ends it unanswered where the bank closes meanwhile.
func (b *Bank) hold(d time.Duration) {
	if !b.wait(d) {
		panic(http.ErrAbortHandler) // net/http's way to leave without an answer
	}
}

// deliver writes an answer as the fault lets it through.
func (b *Bank) deliver(w http.ResponseWriter, a answer, f *Fault) {
	h := w.Header()
	for name, values := range a.header {
		h[name] = values
	}
	for name, value := range f.Headers {
		h.Set(name, value)
	}
	if b.clock != nil {
		h.Set("Date", b.clock().UTC().Format(http.TimeFormat))
	}
	if f.raw() {
		b.hijack(w, func(c net.Conn) { b.cut(c, h, a, f) }, f.Reset)
		return
	}
	if h.Get("Content-Length") == "" && f.Drip == 0 {
		h.Set("Content-Length", strconv.FormatInt(int64(len(a.body))+f.Pad, 10))
	}
	w.WriteHeader(a.status)
	if f.Drip > 0 {
		b.drip(w, a.body, f.Drip)
	} else {
		_, _ = w.Write(a.body)
	}
	pad(w, f.Pad)
}

func (b *Bank) drip(w http.ResponseWriter, body []byte, apart time.Duration) {
	flush := http.NewResponseController(w)
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil || flush.Flush() != nil || !b.wait(apart) {
			return
		}
	}
}

func pad(w io.Writer, n int64) {
	if n <= 0 {
		return
	}
	spaces := bytes.Repeat([]byte{' '}, 32<<10)
	for n > 0 {
		m, err := w.Write(spaces[:min(n, int64(len(spaces)))])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

// cut sends as much of the answer as the fault allows.
func (b *Bank) cut(c net.Conn, h http.Header, a answer, f *Fault) {
	switch {
	case f.DropAfter:
	case f.Raw != "":
		_, _ = io.WriteString(c, f.Raw)
	default:
		var out bytes.Buffer
		out.WriteString("HTTP/1.1 " + strconv.Itoa(a.status) + " " + http.StatusText(a.status) + "\r\n")
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
		_ = h.Write(&out)
		out.WriteString("\r\n")
		out.Write(a.body[:min(f.Truncate, len(a.body))])
		_, _ = c.Write(out.Bytes())
	}
}

// hijack takes the connection from net/http, uses it and closes it.
func (b *Bank) hijack(w http.ResponseWriter, use func(net.Conn), reset bool) {
	b.open.Add(1) // net/http counts the connection as gone from here on
	defer b.open.Done()
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	use(c)
	if reset {
		linger(c)
	}
	_ = c.Close()
}

// linger makes closing send RST.
func linger(c net.Conn) {
	if w, ok := c.(*wired); ok {
		c = w.Conn
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}
