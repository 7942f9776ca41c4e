package consent

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// finishing bounds what is done with an answer; one exchange takes 20 s.
const finishing = 30 * time.Second

// longest is the longest parameter that a browser may bring back, in bytes.
const longest = 4096

// ServeHTTP serves the person's browser: the page that sends it to the
// provider, and the one to which the provider sends it back.
func (s *Consents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		show(w, http.StatusMethodNotAllowed, "This cannot be sent here", "Nothing was done.")
		return
	}
	switch ref, under := strings.CutPrefix(r.URL.Path, Path); {
	case r.URL.Path == pathCallback:
		s.back(w, r)
	case under && strings.HasPrefix(ref, "con_"):
		s.start(w, r, ref)
	default:
		show(w, http.StatusNotFound, "There is nothing here", "Nothing was done.")
	}
}

// start sends a browser to the provider, and gives it the cookie by which it
// is known again.
func (s *Consents) start(w http.ResponseWriter, r *http.Request, ref string) {
	c, found, err := s.look(r.Context(), ref)
	switch {
	case err != nil:
		notNow(w)
		return
	case !found || !s.waits(c) || c.address.IsZero():
		show(w, http.StatusGone, "This consent is over", "It was finished, or ten minutes have passed. Ask your agent for a new one.")
		return
	case !s.theirs(r, c):
		show(w, http.StatusForbidden, "This consent is somebody else's", "Ask your own agent for one. Nothing was done.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: c.cookie(), Value: c.browser.Reveal(), Path: Path, MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(c.url, "https:")})
	head(w.Header())
	w.Header().Set("Location", c.address.Reveal())
	w.WriteHeader(http.StatusFound)
}

// look finds a consent for a browser, whoever's it is.
func (s *Consents) look(ctx context.Context, ref string) (*consent, bool, error) {
	v, err := s.o.Vault(ctx)
	if err != nil {
		return nil, false, err
	}
	n, found, err := v.AnyNote(ctx, vault.NoteConsent, ref)
	return read(v, n), found, err
}

// notNow answers while the vault cannot be used.
func notNow(w http.ResponseWriter) {
	show(w, http.StatusServiceUnavailable, "This does not work just now", "Nothing was done. Load this page again in a moment.")
}

// cookie names the cookie of a consent: several may be open in one browser.
func (c *consent) cookie() string { return "bankauth-" + c.ref[len(c.ref)-8:] }

// theirs reports whether the browser may be that of the principal who asked.
func (s *Consents) theirs(r *http.Request, c *consent) bool {
	if s.who == nil {
		return true
	}
	who, known := s.who(r)
	return !known || who == c.note.Principal
}

// back takes what a browser brings back, once.
func (s *Consents) back(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	a := Answer{Code: secret.New(query.Get("code")), Error: query.Get("error"), Issuer: query.Get("iss"), Further: map[string]string{}}
	for name := range query {
		if !slices.Contains([]string{"code", "state", "error", "iss"}, name) {
			a.Further[name] = query.Get(name)
		}
	}
	if err != nil || !once(query) || a.Code.IsZero() == (a.Error == "") {
		show(w, http.StatusBadRequest, "This answer cannot be read", "Nothing was done. Open the address that your agent gave you again.")
		return
	}
	c, found, err := s.look(r.Context(), refOf(query.Get("state")))
	if err != nil {
		notNow(w)
		return
	}
	switch {
	case !found:
		show(w, http.StatusBadRequest, "Nobody asked for this", "This server knows of no such consent. Nothing was done. Ask your agent for a new one.")
		return
	case !s.waits(c):
		show(w, http.StatusGone, "This consent is over", "It was finished, or ten minutes have passed. Go back to your agent.")
		return
	case !c.knows(r) || !s.theirs(r, c):
		show(w, http.StatusForbidden, "Another browser began this", "Nothing was done. Open the address that your agent gave you in this browser.")
		return
	}
	switch taken, err := s.take(r.Context(), c); {
	case err != nil:
		notNow(w)
	case !taken:
		show(w, http.StatusGone, "This consent is over", "It was finished a moment ago. Go back to your agent.")
	default:
		s.finished(w, r, c, a)
	}
}

// once refuses what RFC 6749 §3.1 does: a parameter that stands there twice;
// and what is too long for any.
func once(query url.Values) bool {
	for name, values := range query {
		if len(values) > 1 || len(name)+len(values[0]) > longest {
			return false
		}
	}
	return true
}

// knows reports whether the browser is the one that opened the consent.
func (c *consent) knows(r *http.Request) bool {
	cookie, err := r.Cookie(c.cookie())
	return err == nil && !c.browser.IsZero() && c.browser.Equal(secret.New(cookie.Value))
}

// finished makes a token of the answer, and only then says so. A browser that
// hangs up must not burn the code.
func (s *Consents) finished(w http.ResponseWriter, r *http.Request, c *consent, a Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), finishing)
	defer cancel()
	var token string
	err := error(fault.New(fault.Internal, "something went wrong inside bankauth", "call create_access_token again without consent_ref"))
	// Deferred, because Finish may panic; and it may have used up ctx.
	defer func() { s.settle(context.WithoutCancel(ctx), c, token, err) }()
	token, err = s.finish(ctx, c.note.Principal, c.request, c.trip, a)
	http.SetCookie(w, &http.Cookie{Name: c.cookie(), Path: Path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if err != nil {
		show(w, http.StatusOK, "It did not work", sentence(fault.From(err).Message)+" Go back to your agent; it knows what can be done.")
		return
	}
	show(w, http.StatusOK, "Done", sentence("the consent of "+c.title+" is in the vault")+" You can close this page and go back to your agent.")
}

// sentence makes one of a fault's message.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

const style = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;color:#1b1f24}h1{font-size:1.5rem}"

// head sets what holds for every answer: nobody keeps it, frames it, or sends
// its address on.
func head(h http.Header) {
	sum := sha256.Sum256([]byte(style))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// show answers with a page. Its texts are ours.
func show(w http.ResponseWriter, status int, title, text string) {
	head(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	title, text = html.EscapeString(title), html.EscapeString(text)
	_, _ = w.Write([]byte("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>" +
		title + " - bankauth</title><style>" + style + "</style></head>\n<body><main><h1>" + title + "</h1><p>" + text + "</p></main></body></html>\n"))
}
