package egress

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"bankauth/internal/fault"
)

// Headers that belong to one connection (RFC 9110 §7.6.1).
var hop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// Headers of the program that are not for the provider: its credentials, what
// tells of this machine, and what our own request says anew.
var ours = []string{"Authorization", "Cookie", "Cookie2", KeyHeader, "Referer", "Forwarded", "Via", "X-Real-Ip", "Accept-Encoding",
	"Content-Length", "Expect", "Host"}

// Headers of an answer that would keep something at the program, or lead it
// past us the next time.
var theirs = []string{"Set-Cookie", "Set-Cookie2", "Alt-Svc", "Refresh", "Clear-Site-Data", "Strict-Transport-Security",
	"Authentication-Info", "Proxy-Authentication-Info", "Content-Length"}

func without(from http.Header, names ...[]string) http.Header {
	h := from.Clone()
	for _, v := range from["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			delete(h, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	for _, list := range names {
		for _, name := range list {
			delete(h, name)
		}
	}
	return h
}

// onward returns the headers that go to the provider.
func onward(from http.Header) http.Header {
	h := without(from, hop, ours)
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Sec-") {
			delete(h, name)
		}
	}
	if h["User-Agent"] == nil {
		h["User-Agent"] = []string{"bankauth"}
	}
	return h
}

// body is a request's body on its way, counted and timed.
type body struct {
	from    io.ReadCloser
	control *http.ResponseController
	left    atomic.Int64
}

var errTooLarge = errors.New("the body is too large")

func newBody(w http.ResponseWriter, r *http.Request) *body {
	b := &body{from: r.Body, control: http.NewResponseController(w)}
	b.left.Store(mostBody)
	return b
}

func (b *body) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(stalled)) // a server without deadlines has none to miss
	n, err := b.from.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	if b.left.Add(-int64(n)) < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// over reports that the body was longer than it may be.
func (b *body) over() bool { return b.left.Load() < 0 }

// relay passes an answer on and returns the status that was sent, and an
// error where what follows it is not whole.
func relay(w http.ResponseWriter, resp *http.Response, t target) (int, error) {
	h := without(resp.Header, hop, theirs)
	if to, wrong := t.onward(resp); wrong != nil {
		return answerFault(w, wrong, http.StatusBadGateway), nil
	} else if to != "" {
		h["Location"] = []string{to}
	}
	if resp.ContentLength >= 0 && resp.ContentLength <= mostAnswer {
		h["Content-Length"] = resp.Header["Content-Length"]
	}
	for name, values := range h {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	return resp.StatusCode, pour(w, resp.Body)
}

// pour writes each piece as it comes.
func pour(w http.ResponseWriter, from io.Reader) error {
	control := http.NewResponseController(w)
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may serve another request
	buf := make([]byte, 32<<10)
	for left := int64(mostAnswer); ; {
		n, err := from.Read(buf)
		if left -= int64(n); left < 0 {
			return errTooLarge
		}
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(stalled))
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := control.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// onward returns an answer's Location as it is called through us; "" where
// there is none to change. A redirect that leads away is a fault.
func (t target) onward(resp *http.Response) (string, *fault.Fault) {
	redirects := resp.StatusCode/100 == 3
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return "", away(t.provider, "the provider wants to speak something other than HTTP on this connection")
	}
	said := resp.Header["Location"]
	if len(said) == 0 {
		return "", nil
	}
	base, err := url.Parse(t.base)
	if err != nil {
		return "", away(t.provider, "the provider's address cannot be read")
	}
	at, err := base.Parse(strings.TrimSuffix(base.Path, "/") + t.path)
	if err != nil || len(said) > 1 {
		return "", away(t.provider, "the provider redirects to more than one place")
	}
	to, err := at.Parse(said[0])
	path, below := "", false
	if err == nil {
		path, below = strings.CutPrefix(to.EscapedPath(), strings.TrimSuffix(base.Path, "/"))
	}
	here := below && to.Scheme == base.Scheme && strings.EqualFold(to.Host, base.Host) && to.User == nil && strings.HasPrefix(path, "/")
	switch {
	case !here && redirects:
		return "", away(t.provider, "the provider redirects to another address, where the token does not go")
	case !here:
		return "", nil
	}
	moved := t.own + "/" + t.provider + path
	if to.RawQuery != "" {
		moved += "?" + to.RawQuery
	}
	return moved, nil
}

func away(provider, message string) *fault.Fault {
	f := fault.New(fault.Unavailable, message, "look in the provider's documentation for the address that answers itself")
	f.Provider, f.Final = provider, true
	return f
}
