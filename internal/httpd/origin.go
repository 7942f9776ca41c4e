package httpd

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
)

// Origins says under which names the server is reached, and which web pages
// may call it. A page that a user opens can make the browser send requests to
// this machine, and by DNS it can give this machine's address a name of its
// own: so both are checked on every request.
type Origins struct {
	// Hosts are further names of the server, as the Host header has them,
	// without a port. Loopback's names count where the connection is to a
	// loopback address, and so does the address that it is to.
	Hosts []string
	// Pages are the origins (https://app.example) whose pages may call. Pages
	// of the server itself always may.
	Pages []string
	// PublicURL is where clients reach the server; "" when that is where it
	// listens.
	PublicURL string
}

// normal returns o in lower case, with the public name among the hosts.
func (o Origins) normal() Origins {
	n := Origins{PublicURL: o.PublicURL}
	for _, h := range o.Hosts {
		n.Hosts = append(n.Hosts, strings.TrimSuffix(strings.ToLower(h), "."))
	}
	for _, p := range o.Pages {
		n.Pages = append(n.Pages, strings.ToLower(strings.TrimSuffix(p, "/")))
	}
	if u, err := url.Parse(o.PublicURL); err == nil && u.Host != "" {
		n.Hosts = append(n.Hosts, strings.ToLower(u.Hostname()))
		n.Pages = append(n.Pages, strings.ToLower(u.Scheme+"://"+u.Host))
	}
	return n
}

// refuse returns why the request may not be served, or nil.
func (o Origins) refuse(r *http.Request) *fault.Fault {
	if !o.host(r) {
		return fault.New(fault.InvalidArgument, "this server is not known by the name in the Host header",
			"use the address that it listens on, or have its operator add the name to BANKAUTH_ALLOWED_HOSTS")
	}
	if !o.page(r) {
		return fault.New(fault.InvalidArgument, "pages of another origin may not call this server",
			"have its operator add the page's origin to BANKAUTH_ALLOWED_ORIGINS, if it is to be trusted")
	}
	return nil
}

func (o Origins) host(r *http.Request) bool {
	name := hostname(r.Host)
	if name == "" {
		return false
	}
	if slices.Contains(o.Hosts, name) {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	to, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return false
	}
	addr := to.Addr().Unmap().WithZone("")
	if given, err := netip.ParseAddr(name); err == nil {
		// A name that a page makes up is never an address.
		given = given.Unmap()
		return given == addr || given.IsLoopback() && addr.IsLoopback()
	}
	return name == "localhost" && addr.IsLoopback()
}

// hostname returns the name in a Host header, in lower case; "" where there is
// none or more than one could be meant.
func hostname(host string) string {
	name := host
	switch {
	case strings.HasPrefix(host, "["):
		end := strings.IndexByte(host, ']')
		if end < 0 || !port(host[end+1:]) {
			return ""
		}
		name = host[1:end]
		if _, err := netip.ParseAddr(name); err != nil || !strings.Contains(name, ":") {
			return ""
		}
	default:
		if i := strings.IndexByte(host, ':'); i >= 0 {
			if !port(host[i:]) {
				return ""
			}
			name = host[:i]
		}
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// port reports whether s is nothing or a colon and digits.
func port(s string) bool {
	if s == "" {
		return true
	}
	return len(s) > 1 && len(s) <= 6 && s[0] == ':' && strings.Trim(s[1:], "0123456789") == ""
}

// page reports whether no page sent the request, or one that may.
func (o Origins) page(r *http.Request) bool {
	given := r.Header["Origin"]
	switch {
	case len(given) > 1:
		return false
	case len(given) == 1:
		return o.allowed(given[0]) || own(r, given[0])
	}
	// Some requests of pages carry no Origin; browsers mark them all the same.
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	// A link to us that a person followed.
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// allowed reports whether the operator named the origin.
func (o Origins) allowed(origin string) bool {
	return slices.Contains(o.Pages, strings.ToLower(origin))
}

// own reports whether the origin is the address that the request went to.
func own(r *http.Request, origin string) bool {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return strings.EqualFold(origin, scheme+r.Host)
}

// shared lets pages of the named origins read the answers (CORS). It reports
// whether it has answered the request, a preflight.
func (o Origins) shared(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || !o.allowed(origin) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After, "+problem.HeaderCorrelation+", Idempotency-Replayed")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Idempotency-Key, Last-Event-ID, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
