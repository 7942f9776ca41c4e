package providers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// maxBody is the most that an answer may hold, in bytes.
const maxBody = 64 << 10

// longest bounds an exchange whose context has no deadline.
const longest = 30 * time.Second

// reply is a provider's whole answer, or as much as came of it.
type reply struct {
	status int
	header http.Header
	body   []byte // nil where the encoding is not identity
	cut    error  // why the body is not whole; nil when it is
	buf    *bytes.Buffer
}

// buffers are shared by all clients; one holds secrets and is wiped before it
// goes back.
var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 2048)) }}

func (r *reply) release() {
	if r.buf == nil {
		return
	}
	whole := r.buf.Bytes()
	clear(whole[:cap(whole)])
	r.buf.Reset()
	buffers.Put(r.buf)
	r.buf, r.body = nil, nil
}

// sendError is an exchange that brought no answer.
type sendError struct {
	err  error
	sent bool // some of the request may have reached the provider
}

func (e *sendError) Error() string { return "sending: " + e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// attempt is one try to send a message. Its body is a bare bytes.Reader:
// net/http writes header and body of such a request in one piece.
type attempt struct {
	body   bytes.Reader
	conn   *conn
	before int64
	other  bool // the connection is not one of ours and counts nothing
	reused bool
	trace  httptrace.ClientTrace
}

func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	a.reused = info.Reused
	if c, ok := info.Conn.(*conn); ok {
		a.conn, a.before = c, c.written.Load()
		return
	}
	a.other = true
}

// sent reports whether a byte of the request may have left. On a connection
// of another make the answer is yes.
func (a *attempt) sent() bool {
	if a.conn != nil {
		return a.conn.written.Load() != a.before
	}
	return a.other || a.body.Len() != int(a.body.Size())
}

// send sends m once and reads the whole answer. The caller releases the
// reply. It sends m a second time in one case: a kept connection turned out
// to be closed and not one byte of m was written to it.
func (c *Client) send(ctx context.Context, m message) (r reply, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, longest)
		defer cancel()
	}
	if c.observe != nil {
		began := c.now()
		defer func() { c.observe(ctx, r.status, c.now().Sub(began)) }()
	}
	var reused bool
	r, reused, err = c.try(ctx, m, c.transport)
	var failed *sendError
	if reused && errors.As(err, &failed) && !failed.sent && ctx.Err() == nil {
		r, _, err = c.try(ctx, m, c.fresh())
	}
	return r, err
}

func (c *Client) try(ctx context.Context, m message, via http.RoundTripper) (reply, bool, error) {
	a := &attempt{}
	a.body.Reset(m.body)
	a.trace.GotConn = a.gotConn
	req := m.plan.request.WithContext(httptrace.WithClientTrace(ctx, &a.trace))
	req.Header = m.header
	req.ContentLength = int64(len(m.body))
	req.Body = io.NopCloser(&a.body)
	if len(m.body) == 0 {
		req.Body = http.NoBody
	}
	// GetBody stays nil and no Idempotency-Key is set: net/http then never
	// repeats a POST by itself. RoundTrip, unlike Client.Do, follows no
	// redirect and keeps no cookie.
	resp, err := via.RoundTrip(req)
	if err != nil {
		return reply{}, a.reused, &sendError{err: err, sent: a.sent()}
	}
	return read(resp), a.reused, nil
}

var (
	errEncoded  = errors.New("the answer is encoded")
	errTooLarge = errors.New("the answer is too large")
)

// read reads the answer to its end, so that the connection can be used again,
// or gives both up.
func read(resp *http.Response) reply {
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, header: resp.Header}
	if e := resp.Header["Content-Encoding"]; len(e) > 1 || len(e) == 1 && e[0] != "" && e[0] != "identity" {
		r.cut = errEncoded
		return r
	}
	r.buf = buffers.Get().(*bytes.Buffer)
	limited := io.LimitedReader{R: resp.Body, N: maxBody + 1}
	_, err := r.buf.ReadFrom(&limited)
	r.body = r.buf.Bytes()
	if limited.N <= 0 {
		err = errTooLarge
		r.body = r.body[:maxBody]
	}
	r.cut = err
	return r
}
