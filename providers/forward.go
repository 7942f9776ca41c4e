package providers

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Forwarded is a request to the provider's API that somebody else composed.
type Forwarded struct {
	Method string
	Path   string      // escaped, below the base URL, beginning with a slash; the caller has checked it
	Query  string      // as it stands after the question mark
	Header http.Header // without credentials and without what belongs to one connection
	Body   io.Reader   // nil: none
	Length int64       // of Body; -1: not known
}

// Forward sends f to the client's own address with access as bearer, and
// returns the answer, whose Body the caller closes. It follows no redirect.
//
// What comes back does not hold the token: a header that has it is dropped, and
// in the body it is overwritten with asterisks. So that it can be found, an
// answer that is compressed is refused. Its error is a fault.
func (c *Client) Forward(ctx context.Context, f Forwarded, access secret.Value) (*http.Response, error) {
	if access.IsZero() || !printable(access) {
		return nil, broken(c.provider, "a request was to be forwarded without a token that can be sent")
	}
	path, err := url.PathUnescape(f.Path)
	if err != nil {
		return nil, broken(c.provider, "a request was to be forwarded to a path that nobody has checked")
	}
	target := *c.base.url
	target.RawPath, target.Path, target.RawQuery = target.EscapedPath()+f.Path, target.Path+path, f.Query
	req := &http.Request{Method: f.Method, URL: &target, Host: target.Host, Header: f.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: f.Length}
	if f.Body != nil {
		req.Body = io.NopCloser(f.Body)
	}
	req.Header["Accept-Encoding"] = []string{"identity"}
	req.Header["Authorization"] = []string{"Bearer " + reveal(access)}
	resp, err := c.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		var undialled *dialError
		return nil, c.unsent(&sendError{err: err, sent: !errors.As(err, &undialled)})
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		_ = resp.Body.Close()
		return nil, c.encoded()
	}
	mask(resp, reveal(access))
	return resp, nil
}

func (c *Client) encoded() *fault.Fault {
	f := fault.New(fault.Uncertain, c.provider.Title+" compressed its answer though it was asked not to, so that the token could not be looked for in it",
		"the request may have been carried out; ask the provider for answers without compression")
	f.Provider = c.provider.Name
	return f
}

// mask takes the token out of an answer.
func mask(resp *http.Response, token string) {
	for name, values := range resp.Header {
		for _, v := range values {
			if strings.Contains(v, token) || strings.Contains(unescaped(v), token) || strings.Contains(name, token) {
				delete(resp.Header, name)
			}
		}
	}
	resp.Body = &masked{ReadCloser: resp.Body, token: []byte(token)}
}

// unescaped is text without its percent signs' escapes; what is no escape
// stays as it is.
func unescaped(text string) string {
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if b, err := hex.DecodeString(text[i+1 : i+3]); err == nil {
				out, i = append(out, b[0]), i+2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// masked is a body in which the token is overwritten, wherever the reads cut
// it. It keeps back no more than what may be the token's beginning.
type masked struct {
	io.ReadCloser
	token []byte
	held  []byte // read and not yet handed out
	ready int    // so much of held may be
	err   error  // of the last read; told when all is handed out
}

func (m *masked) Read(p []byte) (int, error) {
	for m.ready == 0 && m.err == nil {
		var chunk [16 << 10]byte
		n, err := m.ReadCloser.Read(chunk[:])
		m.held, m.err = append(m.held, chunk[:n]...), err
		m.cover()
	}
	n := copy(p, m.held[:m.ready])
	m.held, m.ready = m.held[:copy(m.held, m.held[n:])], m.ready-n
	if n == 0 && m.err != nil {
		return 0, m.err
	}
	return n, nil
}

// cover overwrites the token in what is held, and finds how much of it is ready.
func (m *masked) cover() {
	for from := 0; ; {
		i := bytes.Index(m.held[from:], m.token)
		if i < 0 {
			break
		}
		for j := range m.token {
			m.held[from+i+j] = '*'
		}
		from += i + len(m.token)
	}
	m.ready = len(m.held)
	if m.err != nil {
		return
	}
	for n := min(len(m.token)-1, len(m.held)); n > 0; n-- {
		if bytes.HasSuffix(m.held, m.token[:n]) {
			m.ready -= n
			return
		}
	}
}
