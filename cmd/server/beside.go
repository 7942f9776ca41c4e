package main

import (
	"context"
	"net"

	"bankauth/internal/egress"
)

// besideFlags are those of a server that runs the proxy beside itself.
type besideFlags struct {
	Egress         bool `help:"Run the proxy of bankauth egress beside the server, and name its address in each result (egress_url)."`
	EgressPort     int  `default:"0" placeholder:"PORT" help:"With --egress: its port on 127.0.0.1; 0: any free one."`
	EgressReadOnly bool `name:"egress-read-only" help:"With --egress: send on GET and HEAD alone."`
}

// besideProxy is a proxy in the process of a server, from before the server's
// parts are put together until they end. A nil *besideProxy is none.
type besideProxy struct {
	listener net.Listener
	keys     egress.Keys
	readOnly bool

	stop  context.CancelFunc // nil until it is started
	ended chan error
}

// listen takes the port of the proxy; nil where none is wanted. The rest of
// the server is made with its address, and start then serves.
func (f besideFlags) listen(ctx context.Context) (*besideProxy, error) {
	if !f.Egress {
		return nil, nil
	}
	l, err := egress.Listen(ctx, f.EgressPort)
	if err != nil {
		return nil, err
	}
	return &besideProxy{listener: l, readOnly: f.EgressReadOnly, ended: make(chan error, 1)}, nil
}

// address returns what extras.egress is: where a principal's programs reach
// the proxy, with a key that is the principal's alone.
func (b *besideProxy) address() func(ctx context.Context, principal string) string {
	if b == nil {
		return nil
	}
	return func(_ context.Context, principal string) string { return egressAddress(b.listener, &b.keys, principal) }
}

// start serves the proxy with the tokens of s until ctx or close ends it. may
// is egress.Options.May.
func (b *besideProxy) start(ctx context.Context, s *service, may func(principal string) bool) {
	if b == nil {
		return
	}
	ctx, b.stop = context.WithCancel(ctx)
	h := egress.New(egress.Options{Tokens: s.tools, Keys: &b.keys, May: may, Hosts: egress.Hosts(b.listener), ReadOnly: b.readOnly, Log: s.log})
	go func() { b.ended <- egress.Serve(ctx, b.listener, h) }()
}

// close ends the proxy, after the requests under way, and frees its port. It
// comes before the service's close, whose vault the requests use.
func (b *besideProxy) close() error {
	switch {
	case b == nil:
		return nil
	case b.stop == nil:
		return b.listener.Close()
	}
	b.stop()
	return <-b.ended
}
