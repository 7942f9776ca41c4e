package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/auth"
	"bankauth/internal/config"
	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/httpd"
	"bankauth/internal/rest"
	"bankauth/internal/trace"
)

type serveCommand struct {
	config.Settings `embed:""`
	config.Access   `embed:""`
	config.Serving  `embed:""`
	besideFlags     `embed:""`

	Capability string `placeholder:"FILE" help:"Serve what this capability file exposes, where it says, and nothing else (docs/capability.md)."`
}

// Run serves until a signal comes. Where clients find it is on stdout before
// the first request is served.
func (c *serveCommand) Run(ctx context.Context, p *process) error {
	if err := errors.Join(c.Access.Check(), c.Serving.Check()); err != nil {
		return err
	}
	deployment, err := c.deployment(p)
	if err != nil {
		return err
	}
	m := newMemory(p.env, collectBusy, serverMemory(c.MaxCalls))
	defer m.start(ctx)()
	tracing, err := p.env.Tracing()
	if err != nil {
		return err
	}
	beside, err := c.besideFlags.listen(ctx)
	if err != nil {
		return err
	}
	version := thisRelease().Version
	o := &observer{metrics: httpd.NewMetrics(version), tracer: trace.New(ctx, tracing, version, newLog(c.Settings, p.err))}
	defer o.close()
	s, err := newServiceWith(ctx, p, c.Settings, extras{egress: forUsers(beside.address()), observer: o, unasked: deployment != nil})
	if err != nil {
		return errors.Join(err, beside.close())
	}
	(&census{open: s.openVault}).watch(o.metrics)
	if deployment != nil {
		err = c.deploy(ctx, p, s, m, deployment, beside)
	} else {
		err = c.serve(ctx, p, s, m, beside)
	}
	return errors.Join(err, beside.close(), s.close())
}

// forUsers keeps the proxy's address from callers who may not use tokens.
func forUsers(address func(context.Context, string) string) func(context.Context, string) string {
	if address == nil {
		return nil
	}
	return func(ctx context.Context, principal string) string {
		if caller, ok := auth.FromContext(ctx); !ok || !caller.May(auth.TokensUse) {
			return ""
		}
		return address(ctx, principal)
	}
}

// serverMemory is where the heap of a crowded server is collected at every
// chance, in bytes. A call at work holds some 90 KiB, two thirds of it in
// stacks; a server that let in fewer calls than it has memory for would spend
// its time collecting. With the calls that are allowed by default it keeps
// 5,000 at once within 32 MiB of an idle server.
func serverMemory(calls int) int64 { return 16<<20 + int64(calls)*96<<10 }

func (c *serveCommand) serve(ctx context.Context, p *process, s *service, m *memory, beside *besideProxy) error {
	certificate, err := loadCertificate(p.env, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	door, err := c.open(ctx, p.env, s.log, c.Listen, "BANKAUTH_LISTEN (--listen)", certificate != nil)
	if err != nil {
		return err
	}
	defer door.listener.Close()
	o, err := c.options(ctx, s, m, door)
	if err != nil {
		return err
	}
	o.Handle = m.during(o.Handle)
	o.TLS = certificate.config()
	ctx, end := delayed(ctx, c.DrainDelay)
	defer end()
	beside.start(ctx, s, door.keepsUsing)
	defer rereadOnHangup(ctx, s.log, certificate, door.gate)()
	defer context.AfterFunc(ctx, s.consents.End)() // who waits for a person does not hold up the end
	server := httpd.New(o)
	fmt.Fprintf(p.out, "bankauth serves MCP at %s/mcp\n", door.url)
	if door.public != door.url {
		fmt.Fprintf(p.out, "clients reach it at %s/mcp\n", door.public)
	}
	return over(server.Serve(ctx, door.listener))
}

// over is why a server ended; nil where it was told to.
func over(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Internal, "the HTTP server has ended by itself", "start it again; if it stays, look at the system's log").Because(err)
}

// door is a listener, and who may come in by it.
type door struct {
	listener net.Listener
	gate     *auth.Gate
	url      string // for whoever is on this machine
	public   string // for clients
}

// keepsUsing reports whether principal may still use tokens.
func (d *door) keepsUsing(principal string) bool { return d.gate.Keeps(principal, auth.TokensUse) }

// open listens, if anybody may call there who then does. what names the
// address in errors.
func (c *serveCommand) open(ctx context.Context, env config.Environment, log zerolog.Logger, address, what string, secured bool) (*door, error) {
	listener, err := listen(ctx, address, what)
	if err != nil {
		return nil, err
	}
	d := &door{listener: listener, url: addressOf(listener.Addr(), secured)}
	d.public = cmp.Or(c.PublicURL, d.url)
	local := listener.Addr().(*net.TCPAddr).IP.IsLoopback()
	if d.gate, err = c.gate(env, log, d.public, local); err == nil {
		err = c.mayServe(what, local, secured, d.gate.Open())
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return d, nil
}

// delayed returns a context that ends d after ctx has ended, or by end.
func delayed(ctx context.Context, d time.Duration) (late context.Context, end context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(d):
			cancel()
		case <-late.Done():
		}
	})
	return late, func() { stop(); cancel() }
}

// options joins the edge and the tools.
func (c *serveCommand) options(ctx context.Context, s *service, m *memory, d *door) (httpd.Options, error) {
	gate, o := d.gate, c.edge(ctx, s, d, 1)
	behind, front, err := rest.Routes(rest.Options{Tools: s.tools, Vault: s.openVault, Gate: gate, Version: thisRelease().Version, Enter: m.place(o.Calls.Enter)})
	if err != nil {
		return httpd.Options{}, err
	}
	s.consents.ServedAt(d.public, gate.Whose)
	front[consent.Path] = s.consents
	front[auth.MetadataPath], front[auth.MetadataPath+"/"] = gate.Metadata(), gate.Metadata()
	if err := describe(front, d.public, s.tools); err != nil {
		return httpd.Options{}, err
	}
	o.Handle, o.Routes, o.Open = newConversation(ctx, s, callerOf).exchange, behind, front
	o.Allow = func(w http.ResponseWriter, r *http.Request, method, name string) bool {
		scope, needed := scopeOf(method, name)
		return !needed || gate.Require(w, r, scope)
	}
	return o, nil
}

// edge is what stands before everything that is served at one of so many
// listeners, which share what the process may do. ctx ends when the server is
// to end, before the delay of that.
func (c *serveCommand) edge(ctx context.Context, s *service, d *door, listeners int) httpd.Options {
	each := c.MaxCallsPerCaller
	if each == 0 && !d.gate.Open() {
		each = max(1, c.MaxCalls/4)
	}
	share := func(of int) int { return (of + listeners - 1) / listeners }
	limits := httpd.Limits{Connections: share(c.MaxConnections), Calls: share(c.MaxCalls), CallsEach: share(each), Drain: c.Drain}
	networks, _ := c.Networks() // checked before
	return httpd.Options{
		Gate:    d.gate.Handler,
		Keeps:   d.gate.KeepsAny,
		Leaving: ctx.Done(),
		Ready:   s.ready,
		Metrics: s.observer.metrics,
		Trace:   s.observer.tracer.Request,
		Peers:   networks,
		Origins: httpd.Origins{Hosts: c.AllowedHosts, Pages: c.AllowedOrigins, PublicURL: d.public},
		Limits:  limits,
		Calls:   httpd.NewCalls(limits),
		Log:     s.log,
	}
}

// gate says who may call. A file of clients that was named must be there: its
// name is a wish that not everybody may.
func (c *serveCommand) gate(env config.Environment, log zerolog.Logger, public string, local bool) (*auth.Gate, error) {
	path, named, err := env.ClientsFile(c.Settings, c.Access)
	if err != nil {
		return nil, err
	}
	clients := auth.NewClients(path)
	switch there, err := clients.There(); {
	case err != nil:
		return nil, err
	case named && !there:
		return nil, fault.New(fault.NotConfigured, "BANKAUTH_CLIENTS_FILE (--clients-file) names a file that is not there, and anybody could call",
			"make it with bankauth clients add NAME under the same setting, or unset it")
	}
	o := auth.Options{Clients: clients, PublicURL: public, Log: log}
	if c.Issuer != "" {
		audiences := c.Audiences
		if len(audiences) == 0 {
			audiences = auth.Audiences(public)
		}
		o.Issuer = auth.NewIssuer(auth.IssuerOptions{URL: c.Issuer, Audiences: audiences})
	}
	// A file of clients that goes away must not open the gate.
	o.Required = named || !local && !auth.New(o).Open()
	return auth.New(o), nil
}

// mayServe refuses to be found beyond this machine by whoever comes, or in
// clear text.
func (c *serveCommand) mayServe(what string, local, secured, open bool) error {
	switch {
	case local:
		return nil
	case open:
		return fault.New(fault.NotConfigured, what+" is beyond loopback, and anybody could call",
			"add a client with "+adding(c.Settings, c.Access)+", or name the issuer of your tokens with BANKAUTH_ISSUER")
	case !secured && len(c.Proxies) == 0:
		return fault.New(fault.NotConfigured, what+" is beyond loopback, and tokens would travel in clear text",
			"set BANKAUTH_TLS_CERT and BANKAUTH_TLS_KEY, or name the proxy that ends TLS before this server with BANKAUTH_PROXY")
	}
	return nil
}

func listen(ctx context.Context, address, what string) (net.Listener, error) {
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fault.New(fault.NotConfigured, "the server cannot listen on the address of "+what,
			"set it to an address of this machine with a port that nobody uses").Because(err)
	}
	return listener, nil
}

// addressOf is the URL of a listener, for whoever is on this machine.
func addressOf(a net.Addr, secured bool) string {
	to, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	ip := to.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	scheme := "http://"
	if secured {
		scheme = "https://"
	}
	return scheme + netip.AddrPortFrom(ip, to.Port()).String()
}
