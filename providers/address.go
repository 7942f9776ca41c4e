package providers

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// address is a base URL that has been checked.
type address struct {
	text string // no trailing slash
	url  *url.URL
}

// locate finds the address that the two options ask for.
func locate(p *schema.Provider, environment, base string) (string, address, error) {
	valid := make([]string, 0, len(p.Environments)+1)
	for _, e := range p.Environments {
		valid = append(valid, e.Name)
	}
	if len(valid) == 0 {
		return "", address{}, broken(p, "the provider has no environment")
	}
	valid = append(valid, Simulated)
	if environment == "" {
		environment = valid[0]
	}
	e, ok := p.Environment(environment)
	if !ok && environment != Simulated {
		return "", address{}, unset(p, variable(p, "ENVIRONMENT")+" names an environment that "+p.Title+" does not have",
			"set it to one of: "+strings.Join(valid, ", "))
	}
	if base == "" && e.URL == "" {
		return "", address{}, unset(p, "the "+environment+" environment of "+p.Title+" has no address of its own",
			"set "+variable(p, "BASE_URL"))
	}
	where := variable(p, "BASE_URL")
	if base == "" {
		base, where = e.URL, "the address of the "+environment+" environment"
	}
	a, wrong := parseAddress(base)
	if wrong != "" {
		return "", address{}, unset(p, where+" cannot be used: "+wrong,
			"give an address such as https://api.example.com; http is for this machine only")
	}
	return environment, a, nil
}

// parseAddress returns the address in text, or what is wrong with it.
func parseAddress(text string) (address, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return address{}, "it is not a URL with a host"
	case u.Scheme != "https" && u.Scheme != "http":
		return address{}, "it must begin with https://"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return address{}, "http would send the credentials in the clear"
	case u.User != nil:
		return address{}, "it holds a user name or password"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return address{}, "it holds a query or a fragment"
	case !plain(u.Host) || !plain(u.Path):
		return address{}, "it holds a character that does not belong in an address"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return address{}, "its port is out of range"
		}
	}
	u.Host = strings.ToLower(u.Host)
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return address{text: u.String(), url: u}, ""
}

// hostPort returns what to dial.
func (a address) hostPort() string {
	port := a.url.Port()
	if port == "" {
		port = "443"
		if a.url.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(a.url.Hostname(), port)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// unset is a fault for a setting that the operator has to mend.
func unset(p *schema.Provider, message, hint string) *fault.Fault {
	f := fault.New(fault.NotConfigured, message, hint)
	f.Provider = p.Name
	return f
}

// broken is a fault for a provider description that contradicts itself, or a
// call that does not belong to it.
func broken(p *schema.Provider, message string) *fault.Fault {
	f := fault.New(fault.Internal, message, "report it: the provider's overlay or bankauth itself needs mending")
	f.Provider = p.Name
	return f
}
