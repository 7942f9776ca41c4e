package providers

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// How long the steps before a request may take, and how much a provider may
// send in front of a body.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	headerTimeout    = 25 * time.Second
	maxHeader        = 64 << 10
	connBuffer       = 2 << 10 // of a connection, each way: a request and most answers fit

	// A connection that has been idle for longer than the shortest keep-alive
	// in common use (5 s, Node.js) may be closed by the provider in the very
	// moment in which we write to it. A handshake costs less than a grant.
	idleTimeout = 4 * time.Second
)

// NewTransport returns the transport that a process shares among its clients.
// It speaks HTTP/1.1 over TLS 1.2 or later, uses no proxy of the environment,
// and keeps enough connections for a thousand callers at one provider. Its
// TLSClientConfig may be changed before the first request.
func NewTransport() *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,
		DisableCompression:     true,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    1024,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         connBuffer,
		WriteBufferSize:        connBuffer,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(64),
		},
	}
	t.DialContext = dialPlain
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialTLS(ctx, network, addr, t.TLSClientConfig)
	}
	return t
}

// withoutReuse returns a transport like t that dials for every request.
func withoutReuse(t http.RoundTripper) http.RoundTripper {
	tuned, ok := t.(*http.Transport)
	if !ok {
		return t
	}
	fresh := tuned.Clone()
	fresh.DisableKeepAlives = true
	return fresh
}

// dialError is a connection that did not come about. Nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return "connecting: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

var errNotLoopback = errors.New("the address is not of this machine")

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	return c, nil
}

// dialPlain serves http, which is for this machine only, whatever a name
// such as localhost is made to resolve to.
func dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		_ = c.Close()
		return nil, &dialError{errNotLoopback}
	}
	return &conn{Conn: c}, nil
}

func dialTLS(ctx context.Context, network, addr string, config *tls.Config) (net.Conn, error) {
	c, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secured := tls.Client(c, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, &dialError{&handshakeError{err}}
	}
	return &conn{Conn: secured}, nil
}

// handshakeError is a connection that could not be made secure.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "securing: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// conn counts what was written, so that a request of which nothing left can
// be told from one that may have arrived. On TLS it counts what was
// encrypted: a record of which a part is missing cannot be read.
type conn struct {
	net.Conn
	written atomic.Int64
}

func (c *conn) Write(b []byte) (int, error) {
	// Counted before it leaves: net/http may give a request up while another
	// goroutine is still in here, and what is on its way is not unsent.
	c.written.Add(int64(len(b)))
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n - len(b)))
	return n, err
}
