package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"bankauth/internal/fault"
)

// Serving are the settings of the HTTP server. The command that serves embeds
// it beside Settings and Access.
type Serving struct {
	Listen  string   `name:"listen" env:"BANKAUTH_LISTEN" group:"HTTP" placeholder:"ADDRESS" default:"127.0.0.1:8707" help:"Address and port to serve HTTP on. Beyond loopback it takes clients or an issuer, and TLS or a declared proxy."`
	TLSCert string   `name:"tls-cert" env:"BANKAUTH_TLS_CERT" group:"HTTP" placeholder:"FILE" help:"Certificate chain to serve HTTPS with, PEM. Read again on SIGHUP."`
	TLSKey  string   `name:"tls-key" env:"BANKAUTH_TLS_KEY" group:"HTTP" placeholder:"FILE" help:"Key of the certificate, PEM."`
	Proxies []string `name:"proxy" env:"BANKAUTH_PROXY" group:"HTTP" placeholder:"NETWORK" sep:"," help:"Addresses or networks (10.0.0.0/8) of the proxies that end TLS before this server; it then serves nobody else but loopback."`

	AllowedHosts   []string `name:"allowed-host" env:"BANKAUTH_ALLOWED_HOSTS" group:"HTTP" placeholder:"NAME" sep:"," help:"Further names under which clients reach the server, as their Host header has them, without a port."`
	AllowedOrigins []string `name:"allowed-origin" env:"BANKAUTH_ALLOWED_ORIGINS" group:"HTTP" placeholder:"ORIGIN" sep:"," help:"Origins (https://app.example) whose pages may call the server from a browser."`

	MaxConnections    int           `name:"max-connections" env:"BANKAUTH_MAX_CONNECTIONS" group:"HTTP" placeholder:"N" default:"512" help:"Connections open at once; each takes about 20 KiB."`
	MaxCalls          int           `name:"max-calls" env:"BANKAUTH_MAX_CALLS" group:"HTTP" placeholder:"N" default:"256" help:"Calls of tools at work at once, over MCP and REST; a further one is answered busy."`
	MaxCallsPerCaller int           `name:"max-calls-per-caller" env:"BANKAUTH_MAX_CALLS_PER_CALLER" group:"HTTP" placeholder:"N" default:"0" help:"Of these, calls of one caller. 0: a quarter of them, or all on loopback without clients."`
	Drain             time.Duration `name:"drain" env:"BANKAUTH_DRAIN" group:"HTTP" placeholder:"TIME" default:"30s" help:"How long calls at work may take to finish once the server is told to end."`
	DrainDelay        time.Duration `name:"drain-delay" env:"BANKAUTH_DRAIN_DELAY" group:"HTTP" placeholder:"TIME" default:"0s" help:"Before that, how long to serve on while /health/ready says draining: longer than the balancer before the server takes to notice."`
}

// Check refuses what cannot be served with. It does not look at files.
func (s *Serving) Check() error {
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		return fault.New(fault.NotConfigured, "BANKAUTH_LISTEN (--listen) is not an address with a port", "set it to one such as 127.0.0.1:8707 or :8443")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		return fault.New(fault.NotConfigured, "of BANKAUTH_TLS_CERT and BANKAUTH_TLS_KEY only one is set", "set both, or neither")
	}
	if _, err := s.Networks(); err != nil {
		return err
	}
	for _, name := range s.AllowedHosts {
		if name == "" || strings.ContainsAny(name, "/:*@ ") {
			return fault.New(fault.NotConfigured, "BANKAUTH_ALLOWED_HOSTS has an entry that is no name", "list names such as bank.example, without scheme and port")
		}
	}
	for _, origin := range s.AllowedOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return fault.New(fault.NotConfigured, "BANKAUTH_ALLOWED_ORIGINS has an entry that is no origin", "list origins such as https://app.example, without a path")
		}
	}
	if s.MaxConnections < 8 || s.MaxCalls < 1 || s.MaxCallsPerCaller < 0 || s.Drain < 0 || s.DrainDelay < 0 {
		return fault.New(fault.NotConfigured, "a limit of the HTTP server is too small", "BANKAUTH_MAX_CONNECTIONS is at least 8, BANKAUTH_MAX_CALLS at least 1, and no limit is negative")
	}
	return nil
}

// Networks returns where the declared proxies are.
func (s *Serving) Networks() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range s.Proxies {
		p, err := netip.ParsePrefix(text)
		if a, aerr := netip.ParseAddr(text); aerr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fault.New(fault.NotConfigured, "BANKAUTH_PROXY (--proxy) has an entry that is neither an address nor a network", "list entries such as 10.0.0.7 or 10.0.0.0/8")
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
