package config

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Environments that every provider is asked for by name.
const (
	Sandbox    = "sandbox" // the default
	Production = "production"
	Simulated  = "simulated" // the built-in simulator: no credentials, no network
)

// Provider is what is set for one provider.
type Provider struct {
	ClientID     string
	ClientSecret secret.Value
	PrivateKey   secret.Value
	Environment  string // Sandbox, Production, Simulated or one of the provider's own
	BaseURL      string // "" for the document's server; no trailing slash
	// Missing names the variables that a call needs and that are not set;
	// empty when the environment is Simulated.
	Missing []string
}

// Prefix returns what the names of a provider's variables begin with, without
// the underscore between.
func Prefix(provider string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, provider)
}

// Provider returns what is set for the provider called name. Its environment
// must be one of environments or Simulated; without any, Sandbox or Production.
// Missing credentials are no fault, because tools are listed without any.
func (e Environment) Provider(name string, environments ...string) (Provider, error) {
	var p Provider
	var err error
	prefix := Prefix(name) + "_"
	if p.ClientID, err = e.text(prefix+"CLIENT_ID", false); err != nil {
		return Provider{}, of(name, err)
	}
	if p.ClientSecret, err = e.Secret(prefix + "CLIENT_SECRET"); err != nil {
		return Provider{}, of(name, err)
	}
	if p.PrivateKey, err = e.Secret(prefix + "PRIVATE_KEY"); err != nil {
		return Provider{}, of(name, err)
	}
	if p.Environment, err = e.choice(prefix+"ENVIRONMENT", environments); err != nil {
		return Provider{}, of(name, err)
	}
	if p.BaseURL, err = e.baseURL(prefix + "BASE_URL"); err != nil {
		return Provider{}, of(name, err)
	}
	if p.Environment == Simulated {
		return p, nil
	}
	if p.ClientID == "" {
		p.Missing = append(p.Missing, prefix+"CLIENT_ID")
	}
	if p.ClientSecret.IsZero() {
		p.Missing = append(p.Missing, prefix+"CLIENT_SECRET")
	}
	return p, nil
}

func of(provider string, err error) error {
	f := fault.From(err)
	f.Provider = provider
	return f
}

func (e Environment) choice(variable string, environments []string) (string, error) {
	if len(environments) == 0 {
		environments = []string{Sandbox, Production}
	}
	value, ok := e.Lookup(variable)
	if !ok {
		return Sandbox, nil
	}
	value = strings.ToLower(value)
	if value != Simulated && !slices.Contains(environments, value) {
		return "", fault.New(fault.NotConfigured, variable+" is not one of the provider's environments",
			"set it to "+oneOf(append(slices.Clone(environments), Simulated)))
	}
	return value, nil
}

func (e Environment) baseURL(variable string) (string, error) {
	value, ok := e.Lookup(variable)
	if !ok {
		return "", nil
	}
	if err := CheckURL(value); err != nil {
		return "", badURL(variable, err)
	}
	return strings.TrimRight(value, "/"), nil
}

func badURL(variable string, err error) *fault.Fault {
	return fault.New(fault.NotConfigured, variable+" "+err.Error(), "set it to https://HOST or https://HOST/PATH, or to http on a loopback address; or unset it")
}

// CheckURL returns what is wrong with a server's address, in words that follow
// its name and quote nothing of it: it must be https, or http on loopback, and
// carry no user, query or fragment.
func CheckURL(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("is not a URL with a host")
	case u.User != nil:
		return errors.New("must not carry a user name or a password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("must not carry a query or a fragment")
	case u.Scheme == "http" && !loopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be https; http is for loopback addresses only")
	}
	return nil
}

// ConsentAddress returns the address to listen on for the browser's way back;
// "" is any free port.
func (s Settings) ConsentAddress() (string, error) {
	if s.ConsentListen == "" && s.Simulate {
		return "", nil
	}
	address := cmp.Or(s.ConsentListen, "127.0.0.1:8721")
	host, port, err := net.SplitHostPort(address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || !loopback(host) || bad != nil || strconv.FormatUint(n, 10) != port {
		return "", fault.New(fault.NotConfigured, "BANKAUTH_CONSENT_LISTEN (--consent-listen) is no loopback address with a port",
			"set it to 127.0.0.1:PORT or localhost:PORT, or unset it")
	}
	return address, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// checkPrefixes refuses two providers that would read the same variables, and
// one that would read bankauth's own.
func checkPrefixes(providers []string) error {
	owner := map[string]string{"BANKAUTH": "bankauth itself"}
	for _, name := range providers {
		prefix := Prefix(name)
		if other, taken := owner[prefix]; taken {
			return fault.New(fault.NotConfigured, "the provider "+name+" and "+other+" would both read "+prefix+"_CLIENT_ID",
				"rename one of them in its overlay, or leave it out with BANKAUTH_PROVIDERS")
		}
		owner[prefix] = "the provider " + name
	}
	return nil
}

func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
