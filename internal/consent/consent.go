// Package consent keeps the consents that wait for a person, and receives what
// the person's browser brings back.
//
// A consent lives in the memory of the process that opened it, ten minutes: no
// other process can finish it, and none survives a restart. What comes of one
// does: the code goes to Opening.Finish, which has the vault keep the token,
// before the page says that it is done. Whoever asks sees a consent_ref and the
// address of our own page; the state, the verifier of PKCE and the code are
// seen by the browser and by the provider alone.
package consent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

const (
	life = 10 * time.Minute // of a consent that nobody answers
	keep = 10 * time.Minute // of its outcome after that, so that a late call still learns of it
	wait = 45 * time.Second // of a call; hosts give up after 60 s
	most = 32               // consents that wait for one principal

	// Path is what all of the pages are under.
	Path = "/consent/"

	pathCallback = Path + "callback"
)

// Options says where browsers find us. The zero value listens on any free
// loopback port.
type Options struct {
	// Listen is the loopback address that is listened on while a consent
	// waits: HOST:PORT. "" is 127.0.0.1 with any free port.
	Listen string

	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand
}

// Consents are the consents of a process. It is safe for concurrent use.
type Consents struct {
	o    Options
	base string // where somebody else serves it; else ""
	who  func(*http.Request) (string, bool)
	ends chan struct{} // closed when nobody waits any more

	mu      sync.Mutex
	open    map[string]*consent // by ref
	byState map[string]*consent
	order   []*consent // by age
	door    *door      // nil while nothing is listened on
	ended   bool
}

// New returns Consents with nothing open.
func New(o Options) *Consents {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Consents{o: o, ends: make(chan struct{}), open: map[string]*consent{}, byState: map[string]*consent{}}
}

// ServedAt says that somebody else serves the Consents, an http.Handler, at
// base (https://HOST without a slash at its end) and Path: nothing is listened
// on then. who tells whose browser it is, where that can be told; nil: it
// cannot. A consent is for the principal alone who asked for it. Call it before
// the first Open.
func (s *Consents) ServedAt(base string, who func(*http.Request) (string, bool)) {
	s.base, s.who = base, who
}

// RedirectURI returns the address that a provider must know where browsers
// come back to listen, which is HOST:PORT.
func RedirectURI(listen string) string { return "http://" + listen + pathCallback }

// Trip is what a browser carries to the provider and back.
type Trip struct {
	RedirectURI string
	State       secret.Value
	Verifier    secret.Value // of PKCE, for a provider that has it
	Challenge   string
}

// Answer is what came back. Either Code or Error is set.
type Answer struct {
	Code   secret.Value
	Error  string
	Issuer string // RFC 9207; "" where it was not sent
	// Further are the other parameters that came along, by name.
	Further map[string]string
}

// Opening is a consent that is to be opened.
type Opening struct {
	Principal string
	Provider  string // its name
	Title     string // its name for people
	// Address returns where the person consents.
	Address func(context.Context, Trip) (secret.Value, error)
	// Finish makes a token of the answer and returns its token_ref. It is
	// called once, and not cancelled when the browser hangs up.
	Finish func(context.Context, Trip, Answer) (string, error)
}

// consent is one that was opened.
type consent struct {
	Opening
	ref     string
	url     string // of our own page
	state   string
	trip    Trip
	address secret.Value
	browser string // what the cookie of the person's browser says
	expires time.Time
	used    bool          // the browser came back
	done    chan struct{} // closed once there is an outcome
	token   string        // the outcome: a token_ref …
	err     error         // … or a fault
}

// Open opens a consent and returns the fault consent_required with its
// consent_ref and the address that the person is to open, or what went wrong.
func (s *Consents) Open(ctx context.Context, o Opening) error {
	base, err := s.listen(ctx)
	if err != nil {
		return err
	}
	state, verifier, ref, browser := s.draw(), s.draw()+s.draw(), "con_"+s.draw(), s.draw()
	sum := sha256.Sum256([]byte(verifier))
	c := &consent{Opening: o, ref: ref, url: base + Path + ref, state: state, browser: browser, expires: s.o.Now().Add(life), done: make(chan struct{}),
		trip: Trip{RedirectURI: base + pathCallback, State: secret.New(state), Verifier: secret.New(verifier), Challenge: base64.RawURLEncoding.EncodeToString(sum[:])}}
	if err := s.add(c); err != nil {
		return err
	}
	if c.address, err = o.Address(ctx, c.trip); err != nil {
		s.drop(c)
		return err
	}
	return c.required("the user has to consent at "+o.Title+" first",
		"ask the user to open consent_url in a browser"+s.where()+"; then call again with consent_ref, and it waits for the user")
}

// where is which browser can open our page.
func (s *Consents) where() string {
	if s.base == "" {
		return " on this machine"
	}
	return ""
}

// required is the fault that sends a person to the consent.
func (c *consent) required(message, hint string) *fault.Fault {
	f := fault.New(fault.ConsentRequired, message, hint)
	f.Provider, f.ConsentURL, f.ConsentRef = c.Provider, c.url, c.ref
	return f
}

// Wait returns the token_ref that came of a consent. It waits 45 s at most,
// less where ctx ends, and then returns the fault consent_required, with which
// the call may be made again.
func (s *Consents) Wait(ctx context.Context, principal, provider, ref string) (string, error) {
	c, err := s.find(principal, provider, ref)
	if err != nil {
		return "", err
	}
	if s.over(c) {
		return "", expired(c)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.token, c.err
	case <-ctx.Done():
	case <-s.ends:
	case <-timer.C:
	}
	select { // both may have come
	case <-c.done:
		return c.token, c.err
	default:
	}
	if s.over(c) {
		return "", expired(c)
	}
	f := c.required("the user has not consented yet", "call again with the same consent_ref; if the page was closed, consent_url opens it anew")
	f.Again = true
	return "", f
}

// Withdraw ends a consent that the person does not want to give.
func (s *Consents) Withdraw(principal, ref string) {
	if c, err := s.find(principal, "", ref); err == nil && s.take(c) {
		s.settle(c, "", &fault.Fault{Code: fault.ConsentRequired, Provider: c.Provider, Message: "the user did not want to open the consent page",
			Hint: "ask the user before you call create_access_token again, without consent_ref"})
	}
}

// find returns the consent of a principal. That of another is as unknown as
// one that never was.
func (s *Consents) find(principal, provider, ref string) (*consent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	c := s.open[strings.TrimSpace(ref)]
	if c == nil || c.Principal != principal || provider != "" && c.Provider != provider {
		return nil, fault.New(fault.InvalidArgument, "there is no such consent: it is over, or another server or provider opened it",
			"leave consent_ref out, so that a new consent is opened")
	}
	return c, nil
}

func expired(c *consent) error {
	return &fault.Fault{Code: fault.ConsentRequired, Provider: c.Provider, Message: "nobody consented within ten minutes",
		Hint: "call create_access_token again without consent_ref, and have the user open the new address"}
}

func (s *Consents) late(c *consent) bool { return !s.o.Now().Before(c.expires) }

// over reports whether nobody has answered, and nobody can any more.
func (s *Consents) over(c *consent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !c.used && s.late(c)
}

// take makes the one who calls it first the one who settles c. One
// that nobody answered in time is nobody's.
func (s *Consents) take(c *consent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.used || s.late(c) {
		return false
	}
	c.used = true
	return true
}

// settle gives c its outcome.
func (s *Consents) settle(c *consent, token string, err error) {
	c.token, c.err = token, err
	close(c.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest()
}

func (s *Consents) add(c *consent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	waiting := 0
	for _, other := range s.order {
		if other.Principal == c.Principal && !other.used && !s.late(other) {
			waiting++
		}
	}
	if waiting >= most || s.ended {
		f := fault.New(fault.Busy, "too many consents wait for a person already", "finish one of them with its consent_ref, or call again in ten minutes")
		f.RetryAfter = life
		return f
	}
	s.open[c.ref], s.byState[c.state] = c, c
	s.order = append(s.order, c)
	return nil
}

// drop forgets a consent that could not be opened.
func (s *Consents) drop(c *consent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.expires = time.Time{}
	s.forget(c)
	s.rest()
}

// sweep forgets what nobody can ask for any more. The lock is held.
func (s *Consents) sweep() {
	for len(s.order) > 0 && !s.o.Now().Before(s.order[0].expires.Add(keep)) {
		s.forget(s.order[0])
		s.order = s.order[1:]
	}
}

func (s *Consents) forget(c *consent) {
	delete(s.open, c.ref)
	delete(s.byState, c.state)
}

// draw returns 160 random bits in letters and digits.
func (s *Consents) draw() string {
	var b [20]byte
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.ReadFull(s.o.Rand, b[:]); err != nil {
		panic("consent: reading randomness") // a state that can be guessed is none
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// End lets nobody wait any longer and opens no further consent; what a browser
// brings back is still taken, until Close.
func (s *Consents) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.ends)
	}
}

// Close ends the Consents and, once the browsers have their pages, the
// listener.
func (s *Consents) Close(ctx context.Context) error {
	s.End()
	s.mu.Lock()
	d := s.door
	s.door = nil
	s.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.close(ctx)
}
