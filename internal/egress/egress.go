// Package egress sends a program's requests on to its provider's API, with the
// token that the program knows by its token_ref alone.
//
// A request for /{provider}/{path} whose bearer is a token_ref goes to that
// provider's own address, method and path as they are, with the live token in
// the place of the token_ref. The program never holds the token: it is taken
// out of whatever comes back. Everything that could lead elsewhere, or to
// another place than the path says, is refused before anything is sent.
package egress

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/fault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// KeyHeader carries the key of a Handler that wants one, where it is not the
// first segment of the path.
const KeyHeader = "Bankauth-Key"

// Options says what a Handler works with.
type Options struct {
	Tokens *tools.Set
	// Keys says whose tokens may be used: a key must come with each request, as
	// the first segment of the path or in KeyHeader. nil: whoever reaches the
	// handler may use those of tools.Local.
	Keys *Keys
	// May reports whether a principal who was given a key may use tokens still:
	// it is asked with each request. nil: as long as the process lives.
	May func(principal string) bool
	// Hosts are what a Host header may say, lower case, port included; nil:
	// anything. A page in a browser that had its own name point here would say
	// that name.
	Hosts []string
	// ReadOnly refuses every method but GET and HEAD.
	ReadOnly bool
	Log      zerolog.Logger
	Now      func() time.Time // nil: time.Now
}

// Bounds of one request. A transfer may take as long as it moves.
const (
	atWork     = 256       // requests at once; a further one is answered busy
	mostBody   = 16 << 20  // bytes of a request's body
	mostAnswer = 256 << 20 // bytes of an answer's body
	longest    = 10 * time.Minute
	stalled    = 30 * time.Second // without a byte, in either direction
)

// Handler is the proxy. It is safe for concurrent use.
type Handler struct {
	o     Options
	slots chan struct{}

	mu      sync.Mutex
	refused map[string]time.Time // token_ref → when a provider's 401 last had it refreshed
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{o: o, slots: make(chan struct{}, atWork), refused: map[string]time.Time{}}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.o.Now()
	status, provider, cut := h.serve(w, r)
	h.o.Log.Info().Str("provider", provider).Int("status", status).Int64("ms", h.o.Now().Sub(start).Milliseconds()).Bool("cut", cut != nil).Msg("egress")
	if cut != nil {
		// The program must not take for whole what is not: the connection ends.
		panic(http.ErrAbortHandler)
	}
}

// serve returns the status that was sent, and why the answer is not whole.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (status int, provider string, cut error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		f := fault.New(fault.Busy, "too many requests are at work here", "call again in a moment")
		f.RetryAfter = time.Second
		return answerFault(w, f, http.StatusServiceUnavailable), "", nil
	}
	t, no := h.look(r)
	if no != nil {
		return answerFault(w, no.fault, no.status), "", nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), longest)
	defer cancel()
	body := newBody(w, r)
	resp, err := h.send(ctx, r, &t, body)
	if err != nil {
		if body.over() {
			no = tooLarge()
			return answerFault(w, no.fault, no.status), t.provider, nil
		}
		f := fault.From(err)
		return answerFault(w, f, statusOf(f.Code)), t.provider, nil
	}
	defer resp.Body.Close()
	status, cut = relay(w, resp, t)
	return status, t.provider, cut
}

// send sends the request on. Where the provider refuses the token it is
// refreshed, once a minute at most: a 401 may mean something else. The request
// is repeated where that can do no harm.
func (h *Handler) send(ctx context.Context, r *http.Request, t *target, body *body) (*http.Response, error) {
	live, err := h.o.Tokens.Use(ctx, t.principal, t.ref, tools.Need{Provider: t.provider})
	if err != nil {
		return nil, err
	}
	t.base = live.Client.BaseURL()
	f := providers.Forwarded{Method: r.Method, Path: t.path, Query: t.query, Header: onward(r.Header), Length: r.ContentLength}
	if r.ContentLength != 0 {
		f.Body = body
	}
	resp, err := live.Client.Forward(ctx, f, live.Access)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !h.mayRefresh(t.ref) {
		return resp, err
	}
	again, err := h.o.Tokens.Use(ctx, t.principal, t.ref, tools.Need{Provider: t.provider, Refused: live.Generation})
	if err != nil || !safe(r.Method) || f.Body != nil {
		return resp, nil // the provider's own word
	}
	_ = resp.Body.Close()
	return again.Client.Forward(ctx, f, again.Access)
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

const (
	patience = time.Minute
	mostRefs = 1024
)

// mayRefresh reports whether a 401 may have the token refreshed.
func (h *Handler) mayRefresh(ref string) bool {
	now := h.o.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, ok := h.refused[ref]; ok && now.Sub(last) < patience {
		return false
	}
	if len(h.refused) >= mostRefs {
		clear(h.refused)
	}
	h.refused[ref] = now
	return true
}

// provider returns the provider called name, or nil.
func (h *Handler) provider(name string) *schema.Provider {
	for _, p := range h.o.Tokens.Providers() {
		if p.Name == name {
			return p
		}
	}
	return nil
}
