package simulator

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// consent is a question that waits for a user's answer.
type consent struct {
	session     string
	redirectURI string
	scope       string
	state       string
	user        string // the name in the form's field
	denied      url.Values
	granted     func(user string) url.Values // issues the code
	expires     time.Time
}

// consents are the open questions of a bank, ten minutes each.
type consents struct {
	now   func() time.Time
	mu    sync.Mutex
	open  map[string]*consent
	order []*consent
}

func newConsents(now func() time.Time) *consents {
	return &consents{now: now, open: map[string]*consent{}}
}

func (s *consents) ask(c *consent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.expires = s.now().Add(10 * time.Minute)
	s.open[c.session] = c
	s.order = append(s.order, c)
	for len(s.order) > 0 && (len(s.order) > 10_000 || s.now().After(s.order[0].expires)) {
		delete(s.open, s.order[0].session)
		s.order = s.order[1:]
	}
}

// find returns an open question, and with take closes it.
func (s *consents) find(session string, take bool) *consent {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.open[session]
	if c == nil || s.now().After(c.expires) {
		return nil
	}
	if take {
		delete(s.open, session)
	}
	return c
}

// redirectable reports whether a browser may be sent to uri with a code.
func (b *Bank) redirectable(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.Fragment != "" || strings.ContainsAny(u.Host, ";, '\"") {
		return false
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		if u.Host == "" {
			return false
		}
	}
	if b.redirects == nil {
		return u.Scheme != "javascript" && u.Scheme != "data"
	}
	for _, known := range b.redirects {
		if known == uri {
			return true
		}
	}
	return false
}

// subject names a user for good: the same name is the same person.
func subject(bank, user string) []byte {
	sum := sha256.Sum256([]byte(bank + "\x00" + user))
	return sum[:16]
}

func (b *Bank) showConsent(w http.ResponseWriter, r *http.Request) {
	c := b.consents.find(r.URL.Query().Get("session"), false)
	if c == nil {
		b.deliver(w, page(http.StatusGone, "'none'", "<p>This page has expired.</p>"), none)
		return
	}
	b.deliver(w, b.ask(c), none)
}

func (b *Bank) takeConsent(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c := b.consents.find(r.PostFormValue("session"), true)
	if c == nil {
		b.deliver(w, page(http.StatusGone, "'none'", "<p>This page has expired.</p>"), none)
		return
	}
	answer := c.denied
	if r.PostFormValue("decision") == "grant" {
		answer = c.granted(cmp.Or(r.PostFormValue("user"), c.user))
	}
	b.deliver(w, redirect(c.redirectURI, c.state, answer), none)
}

// ask returns the page with the two buttons.
func (b *Bank) ask(c *consent) answer {
	body := fmt.Sprintf(`<p>A client asks for access to your accounts at this simulated bank.</p>
<dl><dt>Client</dt><dd>%s</dd><dt>Scope</dt><dd>%s</dd><dt>You return to</dt><dd>%s</dd></dl>
<form method="post" action="/_simulator/consent">
<input type="hidden" name="session" value="%s"/>
<p><label>User <input name="user" value="%s" autocomplete="off"/></label></p>
<button name="decision" value="grant">Grant</button>
<button name="decision" value="deny">Deny</button>
</form>`, html.EscapeString(b.client.ID), html.EscapeString(c.scope), html.EscapeString(c.redirectURI),
		html.EscapeString(c.session), html.EscapeString(c.user))
	return page(http.StatusOK, "'self' "+origin(c.redirectURI), body)
}

// origin returns what form-action must allow, since browsers hold a form's
// redirects to it as well.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

func page(status int, formAction, body string) answer {
	return answer{status: status, body: []byte("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>" +
		"<title>Simulated bank</title></head><body><main>\n<h1>Simulated bank</h1>\n" + body + "\n</main></body></html>\n"),
		header: http.Header{
			"Content-Type":            {"text/html; charset=utf-8"},
			"Cache-Control":           {"no-store"},
			"Content-Security-Policy": {"default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action " + formAction},
			"Referrer-Policy":         {"no-referrer"},
			"X-Content-Type-Options":  {"nosniff"},
			"X-Frame-Options":         {"DENY"},
		}}
}

// redirect sends the browser back with the given parameters and the state.
func redirect(uri, state string, with url.Values) answer {
	u, err := url.Parse(uri)
	if err != nil {
		return page(http.StatusBadRequest, "'none'", "<p>The redirect_uri cannot be read.</p>")
	}
	query := u.Query()
	for name, values := range with {
		query[name] = values
	}
	if state != "" {
		query.Set("state", state)
	}
	u.RawQuery = query.Encode()
	return answer{status: http.StatusFound, header: http.Header{
		"Location": {u.String()}, "Cache-Control": {"no-store"}, "Referrer-Policy": {"no-referrer"},
	}}
}
