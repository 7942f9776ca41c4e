package main

import (
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
}

// Run serves until a signal comes. Where clients find it is on stdout before
// the first request is served.
func (c *serveCommand) Run(ctx context.Context, p *process) error {
	if err := errors.Join(c.Access.Check(), c.Serving.Check()); err != nil {
		return err
	}
	m := newMemory(p.env, collectBusy, serverMemory)
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
	s, err := newServiceWith(ctx, p, c.Settings, extras{egress: forUsers(beside.address()), observer: o})
	if err != nil {
		return errors.Join(err, beside.close())
	}
	(&census{open: s.openVault}).watch(o.metrics)
	return errors.Join(c.serve(ctx, p, s, m, beside), beside.close(), s.close())
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
// chance, in bytes: as much as keeps 5,000 calls at once within 32 MiB of an
// idle server. Beyond some 300 calls at work it costs more time than the calls
// do, so a server that has the memory is given more by GOMEMLIMIT.
const serverMemory = 36 << 20

func (c *serveCommand) serve(ctx context.Context, p *process, s *service, m *memory, beside *besideProxy) error {
	certificate, err := loadCertificate(p.env, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	local := listener.Addr().(*net.TCPAddr).IP.IsLoopback()
	if c.PublicURL == "" {
		c.PublicURL = addressOf(listener.Addr(), certificate != nil)
	}
	gate, err := c.gate(p.env, s.log, local)
	if err != nil {
		return err
	}
	if err := c.mayServe(local, certificate != nil, gate.Open()); err != nil {
		return err
	}
	o, err := c.options(ctx, s, gate)
	if err != nil {
		return err
	}
	o.Handle = m.during(o.Handle)
	o.TLS = certificate.config()
	o.Leaving = ctx.Done()
	ctx, end := delayed(ctx, c.DrainDelay)
	defer end()
	beside.start(ctx, s, func(principal string) bool { return gate.Keeps(principal, auth.TokensUse) })
	defer rereadOnHangup(ctx, s.log, certificate, gate)()
	defer context.AfterFunc(ctx, s.consents.End)() // who waits for a person does not hold up the end
	server := httpd.New(o)
	fmt.Fprintf(p.out, "bankauth serves MCP at %s/mcp\n", addressOf(listener.Addr(), certificate != nil))
	if err := server.Serve(ctx, listener); err != nil {
		return fault.New(fault.Internal, "the HTTP server has ended by itself", "start it again; if it stays, look at the system's log").Because(err)
	}
	return nil
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
func (c *serveCommand) options(ctx context.Context, s *service, gate *auth.Gate) (httpd.Options, error) {
	behind, front, err := rest.Routes(rest.Options{Tools: s.tools, Vault: s.openVault, Gate: gate, Version: thisRelease().Version})
	if err != nil {
		return httpd.Options{}, err
	}
	s.consents.ServedAt(c.PublicURL, gate.Whose)
	front[consent.Path] = s.consents
	front[auth.MetadataPath], front[auth.MetadataPath+"/"] = gate.Metadata(), gate.Metadata()
	each := c.MaxCallsPerCaller
	if each == 0 && !gate.Open() {
		each = max(1, c.MaxCalls/4)
	}
	networks, _ := c.Networks() // checked before
	return httpd.Options{
		Handle: newConversation(ctx, s, callerOf).exchange,
		Allow: func(w http.ResponseWriter, r *http.Request, method, name string) bool {
			scope, needed := scopeOf(method, name)
			return !needed || gate.Require(w, r, scope)
		},
		Gate:    gate.Handler,
		Routes:  behind,
		Open:    front,
		Ready:   s.ready,
		Metrics: s.observer.metrics,
		Trace:   s.observer.tracer.Request,
		Peers:   networks,
		Origins: httpd.Origins{Hosts: c.AllowedHosts, Pages: c.AllowedOrigins, PublicURL: c.PublicURL},
		Limits:  httpd.Limits{Connections: c.MaxConnections, Calls: c.MaxCalls, CallsEach: each, Drain: c.Drain},
		Log:     s.log,
	}, nil
}

// gate says who may call. A file of clients that was named must be there: its
// name is a wish that not everybody may.
func (c *serveCommand) gate(env config.Environment, log zerolog.Logger, local bool) (*auth.Gate, error) {
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
	o := auth.Options{Clients: clients, PublicURL: c.PublicURL, Log: log}
	if c.Issuer != "" {
		audiences := c.Audiences
		if len(audiences) == 0 {
			audiences = auth.Audiences(c.PublicURL)
		}
		o.Issuer = auth.NewIssuer(auth.IssuerOptions{URL: c.Issuer, Audiences: audiences})
	}
	// A file of clients that goes away must not open the gate.
	o.Required = named || !local && !auth.New(o).Open()
	return auth.New(o), nil
}

// mayServe refuses to be found beyond this machine by whoever comes, or in
// clear text.
func (c *serveCommand) mayServe(local, secured, open bool) error {
	switch {
	case local:
		return nil
	case open:
		return fault.New(fault.NotConfigured, "BANKAUTH_LISTEN (--listen) is beyond loopback, and anybody could call",
			"add a client with bankauth clients add NAME, or name the issuer of your tokens with BANKAUTH_ISSUER")
	case !secured && len(c.Proxies) == 0:
		return fault.New(fault.NotConfigured, "BANKAUTH_LISTEN (--listen) is beyond loopback, and tokens would travel in clear text",
			"set BANKAUTH_TLS_CERT and BANKAUTH_TLS_KEY, or name the proxy that ends TLS before this server with BANKAUTH_PROXY")
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fault.New(fault.NotConfigured, "the server cannot listen on the address of BANKAUTH_LISTEN (--listen)",
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
