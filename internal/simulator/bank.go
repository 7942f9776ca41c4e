package simulator

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"bankauth/internal/secret"
)

// Bank is one provider on its own port.
type Bank struct {
	Name string

	client    Credentials
	redirects []string
	clock     func() time.Time // nil: the real time
	random    *random
	ledger    *ledger
	consents  *consents
	signing   signing
	faults    faults
	tally     tally
	api       api

	listener net.Listener
	server   *http.Server
	ended    chan struct{}
	open     sync.WaitGroup // connections that net/http or a fault still has
	served   sync.WaitGroup
}

// api is what differs from provider to provider.
type api interface {
	// routes returns the handlers by http.ServeMux pattern.
	routes() map[string]func(*request) answer
	// failure returns the provider's error body.
	failure(q *request, status int, code string) answer
	// finish adds the headers that every answer carries.
	finish(q *request, a *answer)
	// authorize returns the address at which a browser starts, or an error.
	authorize(ctx context.Context, v visit) (string, error)
}

func openBank(ctx context.Context, name string, o Options, clock func() time.Time, r *random) (*Bank, error) {
	b := &Bank{Name: name, client: o.Clients[name], redirects: o.Redirects, clock: clock, random: r, ended: make(chan struct{})}
	b.consents = newConsents(o.Now)
	b.tally.posts, b.tally.grants = map[string]int64{}, map[string]int64{}
	var err error
	switch name {
	case NameFintecture:
		b.api = newFintecture(b, o)
	case NameFlinks:
		b.api, err = newFlinks(b, o)
	default:
		b.api = newFinAPI(b, o)
	}
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, o.Host, o.Ports[name])
	if err != nil {
		return nil, err
	}
	b.listener = &listener{Listener: l, bank: b, wire: o.Wire}
	b.server = &http.Server{
		Handler:           b.mux(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState:         b.watch,
	}
	return b, nil
}

// made returns the bank's credentials: the given ones, or new ones.
func (b *Bank) made(id string) {
	if b.client.ID == "" {
		b.client.ID = id
	}
	if b.client.Secret.IsZero() {
		b.client.Secret = secret.New(b.random.hex(20))
	}
}

func (b *Bank) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range b.api.routes() {
		mux.HandleFunc(pattern, b.handle(h))
	}
	mux.HandleFunc("/", b.handle(func(q *request) answer { return b.api.failure(q, http.StatusNotFound, "not_found") }))
	b.control(mux)
	return mux
}

// handle carries one request through: count, mishap, commit, mishap, answer.
func (b *Bank) handle(h func(*request) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := read(r)
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		b.tally.count(q)
		var line *generation
		if q.Method == http.MethodPost && q.grant() == "refresh_token" {
			line = b.ledger.enter(q.params["refresh_token"])
		}
		defer b.ledger.leave(line)

		f := b.faults.take(q)
		b.hold(f.DelayBefore + time.Duration(b.faults.before.Load()))
		if f.DropBefore {
			b.hijack(w, func(net.Conn) {}, f.Reset)
			return
		}
		a := b.answer(q, f, h)
		b.hold(f.DelayAfter + time.Duration(b.faults.after.Load()))
		b.deliver(w, a, f)
	}
}

func (b *Bank) answer(q *request, f *Fault, h func(*request) answer) answer {
	if !f.replaces() {
		a := h(q)
		b.api.finish(q, &a)
		return a
	}
	if f.Commit {
		own := h(q)
		if f.Status == 0 && f.Code == "" {
			own.body = []byte(f.Body)
			b.api.finish(q, &own)
			return own
		}
	}
	a := f.instead(b, q)
	b.api.finish(q, &a)
	return a
}

func (b *Bank) serve() {
	b.served.Go(func() { _ = b.server.Serve(b.listener) })
}

func (b *Bank) close() error {
	if b.server == nil {
		return nil
	}
	close(b.ended)
	err := b.server.Close()
	// The server knows its listener only once Serve has begun.
	if e := b.listener.Close(); err == nil && !errors.Is(e, net.ErrClosed) {
		err = e
	}
	b.served.Wait()
	// What was accepted between the two is closed here.
	if e := b.server.Close(); err == nil && !errors.Is(e, net.ErrClosed) {
		err = e
	}
	b.open.Wait()
	return err
}

// watch counts the connections that are open.
func (b *Bank) watch(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		b.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		b.open.Done()
	}
}

// listener counts connections, and tees what comes in on them.
type listener struct {
	net.Listener
	bank *Bank
	wire func(string, int64) io.Writer
	n    atomic.Int64
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := l.n.Add(1)
	if l.wire == nil {
		return c, nil
	}
	return &wired{Conn: c, tee: l.wire(l.bank.Name, n)}, nil
}

type wired struct {
	net.Conn
	tee io.Writer
}

func (w *wired) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 && w.tee != nil {
		_, _ = w.tee.Write(p[:n])
	}
	return n, err
}
