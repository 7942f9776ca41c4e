package egress

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"bankauth/internal/fault"
	"bankauth/schema"
	"bankauth/tools"
)

// target is where a request that may pass goes.
type target struct {
	principal string // whose token it is
	provider  string
	ref       string // token_ref
	path      string // escaped, with its slash, as the program gave it
	query     string
	own       string // what of our own path stands before the provider's: "" or /KEY
	base      string // the provider's address, once it is known
}

// refusal is the answer to a request that is not sent on.
type refusal struct {
	status int
	fault  *fault.Fault
}

func no(status int, message, hint string) *refusal {
	return &refusal{status, fault.New(fault.InvalidArgument, message, hint)}
}

// methods are those that may pass. CONNECT and TRACE lead elsewhere or show
// headers; OPTIONS is a browser's question, and no page is served here.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// disguises make a server take a request for another than its first line says.
var disguises = []string{"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url",
	"X-Original-Uri", "X-Original-Host", "X-Override-Url", "Http2-Settings", "Upgrade", "Trailer"}

const usage = "send /{provider}/{path} with Authorization: Bearer TOKEN_REF; docs/egress.md says more"

// look checks everything that can be known before anybody is asked.
func (h *Handler) look(r *http.Request) (target, *refusal) {
	var t target
	if refused := h.manners(r); refused != nil {
		return t, refused
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if !plain(path) || !plain(query) || !strings.HasPrefix(path, "/") {
		return t, no(http.StatusBadRequest, "the address holds a character that must not stand in one as it is", "percent-encode it")
	}
	segments := strings.Split(path[1:], "/")
	segments, known := h.known(&t, r, segments)
	if !known || h.o.May != nil && !h.o.May(t.principal) {
		return t, &refusal{http.StatusForbidden, fault.New(fault.CredentialsRejected, "this proxy serves only programs that know its key",
			"use the address that bankauth gave: it ends with the key")}
	}
	if len(segments) < 2 {
		return t, no(http.StatusNotFound, "the address names no path of a provider", usage)
	}
	p := h.provider(segments[0])
	if p == nil {
		return t, no(http.StatusNotFound, "there is no such provider here", usage)
	}
	t.provider, t.path, t.query = p.Name, "/"+strings.Join(segments[1:], "/"), query
	for i, s := range segments[1:] {
		if s == "" && i < len(segments)-2 || s != "" && !straight(s) {
			return t, no(http.StatusBadRequest, "the path does not lead straight to its end", "leave out . and .., empty segments, encoded slashes, backslashes and control characters")
		}
	}
	if !quiet(query) {
		return t, no(http.StatusBadRequest, "the query holds a control character, or an escape that is none", "encode texts of several lines in the body")
	}
	if tool := servedBy(p, r.Method, t.path); tool != "" {
		return t, &refusal{http.StatusForbidden, &fault.Fault{Code: fault.Unsupported, Provider: p.Name,
			Message: "this operation opens a consent, or gives or takes secrets in the clear, and has its own way here", Hint: tool}}
	}
	return t, t.bearer(r)
}

// known finds out whose request it is, and takes the key off the path.
func (h *Handler) known(t *target, r *http.Request, segments []string) (rest []string, ok bool) {
	if h.o.Keys == nil {
		t.principal = tools.Local
		return segments, true
	}
	switch given := r.Header.Values(KeyHeader); len(given) {
	case 1:
		t.principal, ok = h.o.Keys.principal(given[0])
	case 0:
		if t.principal, ok = h.o.Keys.principal(segments[0]); ok {
			t.own, segments = "/"+segments[0], segments[1:]
		}
	}
	return segments, ok
}

// manners checks what is not the path.
func (h *Handler) manners(r *http.Request) *refusal {
	host := strings.ToLower(r.Host)
	switch {
	case r.ProtoMajor != 1:
		return no(http.StatusHTTPVersionNotSupported, "only HTTP/1.1 is spoken here", usage)
	case !slices.Contains(methods, r.Method):
		return no(http.StatusMethodNotAllowed, "this method is not sent on", "use "+strings.Join(methods, ", "))
	case h.o.ReadOnly && !safe(r.Method):
		return no(http.StatusMethodNotAllowed, "this proxy was started to read only", "use GET or HEAD")
	case r.URL.IsAbs() || r.URL.Host != "" || r.URL.User != nil:
		return no(http.StatusBadRequest, "the address must be a path: this is no proxy for whole URLs", usage)
	case h.o.Hosts != nil && !slices.Contains(h.o.Hosts, host):
		return no(http.StatusForbidden, "the Host header names somebody else", "use the address that bankauth gave")
	case len(r.Header["Origin"]) > 0:
		return no(http.StatusForbidden, "a page in a browser may not use this proxy", "call it from a program")
	case len(r.Trailer) > 0 || slices.ContainsFunc(r.Header["Connection"], func(v string) bool { return strings.Contains(strings.ToLower(v), "upgrade") }):
		return no(http.StatusBadRequest, "a connection is not handed over, nor are trailers", "send a plain request")
	case r.ContentLength > mostBody:
		return tooLarge()
	}
	for name := range r.Header {
		// Many a server reads an underscore as a hyphen (CGI, RFC 3875 §4.1.18).
		if name := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-")); slices.Contains(disguises, name) {
			return no(http.StatusBadRequest, "a header would make this request another than it says it is", "leave out "+name)
		}
	}
	return nil
}

func tooLarge() *refusal {
	return no(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d MiB", mostBody>>20), "send less at once")
}

var tokenRef = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^tok_[a-z2-7]{32}$`) })

// bearer reads the token_ref. An access token is no token_ref: it is refused
// like any other text.
func (t *target) bearer(r *http.Request) *refusal {
	given := r.Header["Authorization"]
	if len(given) == 1 {
		scheme, ref, _ := strings.Cut(given[0], " ")
		if strings.EqualFold(scheme, "Bearer") && tokenRef().MatchString(ref) {
			t.ref = ref
			return nil
		}
	}
	return no(http.StatusUnauthorized, "the request has no token_ref as its bearer", "send one header Authorization: Bearer TOKEN_REF, with the token_ref that create_access_token returned")
}

// plain reports whether s is made of what may stand in a request's first line.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\#\"<>^`{|}", r) })
}

// mostLayers is how often a segment may be escaped over.
const mostLayers = 4

// straight reports whether a segment is one segment to whoever reads it,
// however often they unescape it.
func straight(segment string) bool {
	for layer := range mostLayers {
		name, _, _ := strings.Cut(segment, ";") // some servers cut parameters off before they look for dots
		name = strings.Trim(name, " ")
		if name == "." || name == ".." || !utf8.ValidString(segment) || strings.ContainsFunc(segment, crooked) {
			return false
		}
		next, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return layer > 0 // an escape that is none is read by each server in its own way; a percent sign that was escaped is one
		case next == segment:
			return true
		}
		segment = next
	}
	return false
}

// crooked reports whether a character parts segments somewhere, or is made
// into one that does.
func crooked(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("/\\／＼．‥", r)
}

// quiet reports whether a query holds no control character.
func quiet(query string) bool {
	text, err := url.QueryUnescape(query)
	return err == nil && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// servedBy says what to call in place of an operation that the provider's
// overlay binds; "" for any other.
func servedBy(p *schema.Provider, method, path string) string {
	asked := bare(path)
	for _, op := range p.Operations {
		// A token endpoint is nothing else, whatever the method.
		if (op.Method == method || op.Tool == schema.CreateAccessToken || op.Tool == schema.RefreshToken) && strings.EqualFold(bare(op.Path), asked) {
			if op.Tool == schema.Revoke {
				return "run `bankauth tokens revoke`"
			}
			return "call the tool " + op.Tool
		}
		for i := range op.Grants {
			if c := op.Grants[i].Consent; c != nil && safe(method) && strings.EqualFold(bare(c.Path), asked) {
				return "call the tool " + op.Tool
			}
		}
	}
	return ""
}

// bare is a path as a lenient server may read it.
func bare(path string) string {
	for range mostLayers {
		if next, err := url.PathUnescape(path); err == nil {
			path = next
		}
	}
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split(strings.TrimRight(path, "/"), "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		segments[i] = strings.Trim(s, " ")
	}
	return strings.TrimRight(strings.Join(segments, "/"), "/")
}
