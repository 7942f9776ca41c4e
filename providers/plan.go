package providers

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"sort"
	"strings"

	"bankauth/schema"
)

// plan is what can be said of an operation's requests and answers before a
// call is made.
type plan struct {
	op        *schema.Operation
	request   *http.Request // never sent itself; copied for each call
	header    http.Header   // shared by all calls; never written to
	requestID string        // canonical header name; "" for none
	grants    map[string]*grantPlan

	// Places in a successful answer.
	access, tokenType, refresh, scope, lifetime, user, password []string
}

// grantPlan is what one grant adds.
type grantPlan struct {
	extra    []string // wire names of fixed texts that no field has, sorted
	required map[string]bool
}

// What only we may say in a request. An Idempotency-Key is among them because
// net/http takes it for leave to repeat a POST.
var ours = []string{"Accept-Encoding", "Authorization", "Connection", "Content-Length", "Content-Type", "Cookie",
	"Expect", "Host", "Idempotency-Key", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Idempotency-Key"}

func newPlan(p *schema.Provider, op *schema.Operation, base address, agent string) (*plan, error) {
	if op.Method != http.MethodPost && op.Method != http.MethodPut {
		return nil, broken(p, "operation "+op.ID+" is neither a POST nor a PUT")
	}
	if op.Media != schema.MediaForm && op.Media != schema.MediaJSON {
		return nil, broken(p, "operation "+op.ID+" has a body of a kind that is not known")
	}
	if !slices.Contains([]string{schema.AuthBasic, schema.AuthBody, schema.AuthHeader, schema.AuthBearer, schema.AuthToken, schema.AuthNone}, op.Auth.Style) {
		return nil, broken(p, "operation "+op.ID+" has an auth style that is not known")
	}
	target := *base.url
	target.Path += "/" + strings.TrimLeft(op.Path, "/")
	pl := &plan{op: op, grants: map[string]*grantPlan{}}
	pl.header = http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
		"Content-Type":    {op.Media},
		"User-Agent":      {agent},
	}
	for name, value := range op.Headers {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if slices.Contains(ours, name) || !plainHeader(value) {
			return nil, broken(p, "operation "+op.ID+" sets a header that it may not set")
		}
		pl.header[name] = []string{value}
	}
	if p.RequestID != "" {
		pl.requestID = textproto.CanonicalMIMEHeaderKey(p.RequestID)
	}
	pl.request = &http.Request{Method: op.Method, URL: (*url.URL)(&target), Host: target.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for i := range op.Grants {
		pl.grants[op.Grants[i].Name] = newGrantPlan(op, &op.Grants[i])
	}
	return pl, pl.findPlaces(p)
}

func newGrantPlan(op *schema.Operation, g *schema.Grant) *grantPlan {
	gp := &grantPlan{required: map[string]bool{}}
	for _, a := range g.Required {
		gp.required[a] = true
	}
	for name := range g.Fixed {
		if !slices.ContainsFunc(op.Fields, func(f schema.Field) bool { return f.Name == name }) {
			gp.extra = append(gp.extra, name)
		}
	}
	sort.Strings(gp.extra)
	return gp
}

func (pl *plan) findPlaces(p *schema.Provider) error {
	a := pl.op.Answer
	for _, at := range []struct {
		pointer string
		place   *[]string
	}{{a.AccessToken, &pl.access}, {a.TokenType, &pl.tokenType}, {a.RefreshToken, &pl.refresh}, {a.Scope, &pl.scope},
		{a.Lifetime.At, &pl.lifetime}, {a.User, &pl.user}, {a.Password, &pl.password}} {
		place, ok := parsePointer(at.pointer)
		if !ok {
			return broken(p, "operation "+pl.op.ID+" has a place in its answer that is not a JSON pointer")
		}
		*at.place = place
	}
	return nil
}

func places(pointers []string) ([][]string, error) {
	var all [][]string
	for _, p := range pointers {
		place, ok := parsePointer(p)
		if !ok {
			return nil, broken(&schema.Provider{}, "a place of an error code is not a JSON pointer")
		}
		all = append(all, place)
	}
	return all, nil
}

// plainHeader reports whether s may be the value of a header.
func plainHeader(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
