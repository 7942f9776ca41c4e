package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"bankauth/internal/config"
	"bankauth/internal/egress"
	"bankauth/tools"
)

// Variables under which the proxy's address is printed.
const (
	egressURL    = "BANKAUTH_EGRESS_URL"
	egressSocket = "BANKAUTH_EGRESS_SOCKET"
)

type egressCommand struct {
	config.Settings `embed:""`

	Port     int    `default:"0" placeholder:"PORT" help:"Port on 127.0.0.1; 0: any free one."`
	Socket   string `placeholder:"PATH" help:"Listen on a Unix socket with mode 0600 in place of a port; no key is needed then."`
	ReadOnly bool   `name:"read-only" help:"Send on GET and HEAD alone."`
}

// Help is what kong prints below the summary.
func (c *egressCommand) Help() string {
	return "A request for URL/{provider}/{path} with Authorization: Bearer TOKEN_REF goes to that provider's own address with the live token; " +
		"whoever sends it never sees the token. URL is on stdout as " + egressURL + "=… and holds a key of this start, " +
		"so that only programs that were told it can use the proxy. docs/egress.md says what is sent on and what is refused.\n\n" +
		"Example:\n\n  curl -H \"Authorization: Bearer tok_…\" \"$" + egressURL + "/flinks/api/v1/accounts\""
}

// Run serves until a signal comes.
func (c *egressCommand) Run(ctx context.Context, p *process) error {
	if c.Simulate {
		return misuse("a simulator of this process knows no token yet; run `bankauth simulate`, set the variables that it prints, and start again")
	}
	if c.Socket != "" && c.Port != 0 {
		return misuse("--socket listens in place of --port; name one of them")
	}
	s, err := newService(ctx, p, c.Settings)
	if err != nil {
		return err
	}
	return errors.Join(c.serve(ctx, p, s), s.close())
}

func (c *egressCommand) serve(ctx context.Context, p *process, s *service) error {
	o := egress.Options{Tokens: s.tools, ReadOnly: c.ReadOnly, Log: s.log}
	var l net.Listener
	var line string
	if c.Socket != "" {
		path, err := p.env.Path(c.Socket)
		if err != nil {
			return err
		}
		if l, err = egress.ListenSocket(ctx, path); err != nil {
			return err
		}
		line = egressSocket + "=" + path
	} else {
		var err error
		if l, err = egress.Listen(ctx, c.Port); err != nil {
			return err
		}
		o.Keys, o.Hosts = &egress.Keys{}, egress.Hosts(l)
		line = egressURL + "=" + egressAddress(l, o.Keys, tools.Local)
	}
	if _, err := fmt.Fprintln(p.out, line); err != nil {
		return errors.Join(exit(exitFailed), l.Close()) // nobody can learn where it listens
	}
	return egress.Serve(ctx, l, egress.New(o))
}

// egressAddress is where principal's programs reach the proxy that listens on l.
func egressAddress(l net.Listener, keys *egress.Keys, principal string) string {
	return "http://" + l.Addr().String() + "/" + keys.Of(principal)
}
