// Package consent keeps the consents that wait for a person, and receives what
// the person's browser brings back.
//
// A consent lies in the vault, sealed, for ten minutes: any process with that
// vault can show its page, take what the browser brings back, once, and answer
// whoever waits. What comes of it is kept by Finish, which has the vault keep
// the token before the page says that it is done. Whoever asks sees a
// consent_ref and the address of our own page; the state, the verifier of PKCE
// and the code are seen by the browser and by the provider alone.
package consent

import (
	"cmp"
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
	"bankauth/internal/vault"
)

const (
	life = 10 * time.Minute // of a consent that nobody answers; the vault remembers it for a while after that
	wait = 45 * time.Second // of a call; hosts give up after 60 s
	most = 32               // consents that wait for one principal

	// Path is what all of the pages are under.
	Path = "/consent/"

	pathCallback = Path + "callback"
)

// Options says where consents are kept and where browsers find us. Without a
// Listen it is any free loopback port.
type Options struct {
	// Vault returns the vault that keeps the consents, and shares them with
	// other processes.
	Vault func(context.Context) (*vault.Vault, error)
	// Listen is the loopback address that is listened on while a consent
	// waits: HOST:PORT. "" is 127.0.0.1 with any free port.
	Listen string

	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand
}

// Consents are a process's part in the consents of its vault. It is safe for
// concurrent use.
type Consents struct {
	o      Options
	base   string // where somebody else serves it; else ""
	who    func(*http.Request) (string, bool)
	finish Finish
	ends   chan struct{} // closed when nobody waits any more

	mu    sync.Mutex
	open  map[string]time.Time // those that the door is open for: when they end, by ref
	door  *door                // nil while nothing is listened on
	ended bool
}

// New returns Consents that were not asked for anything yet. FinishedBy must be
// called before a browser comes.
func New(o Options) *Consents {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Consents{o: o, ends: make(chan struct{}), open: map[string]time.Time{}}
}

// ServedAt says that somebody else serves the Consents, an http.Handler, at
// base (https://HOST without a slash at its end) and Path: nothing is listened
// on then. who tells whose browser it is, where that can be told; nil: it
// cannot. A consent is for the principal alone who asked for it. Call it before
// the first Open.
func (s *Consents) ServedAt(base string, who func(*http.Request) (string, bool)) {
	s.base, s.who = base, who
}

// Finish makes a token of what a browser brought back and returns its
// token_ref. request is the Opening's, which another process may have opened.
// It is called once for a consent, and not cancelled when the browser hangs up.
type Finish func(ctx context.Context, principal string, request []byte, t Trip, a Answer) (string, error)

// FinishedBy says what makes a token of an answer. Call it before the first
// Open.
func (s *Consents) FinishedBy(f Finish) { s.finish = f }

// RedirectURI returns the address that a provider must know where the Consents
// are served at base (https://HOST without a slash at its end).
func RedirectURI(base string) string { return base + pathCallback }

// Trip is what a browser carries to the provider and back.
type Trip struct {
	RedirectURI string
	State       secret.Value // zero once the browser is back
	Verifier    secret.Value // of PKCE, for a provider that has it
	Challenge   string       // of the Verifier; "" once the browser is back
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
	// Terms are what the person is asked for, as JSON, for whoever waits.
	Terms []byte
	// Request is what Finish needs to know, as JSON. It may hold secrets: it is
	// kept sealed.
	Request []byte
	// Address returns where the person consents.
	Address func(context.Context, Trip) (secret.Value, error)
}

// Open opens a consent and returns the fault consent_required with its
// consent_ref and the address that the person is to open, or what went wrong.
func (s *Consents) Open(ctx context.Context, o Opening) error {
	v, err := s.o.Vault(ctx)
	if err != nil {
		return err
	}
	state, verifier, until := s.draw(), s.draw()+s.draw(), s.o.Now().Add(life)
	ref := refOf(state)
	base, err := s.listen(ctx, ref, until)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(verifier))
	trip := Trip{RedirectURI: base + pathCallback, State: secret.New(state), Verifier: secret.New(verifier), Challenge: base64.RawURLEncoding.EncodeToString(sum[:])}
	c := &consent{vault: v, note: vault.Note{Kind: vault.NoteConsent, Name: ref, Principal: o.Principal, State: vault.NoteOpen, Until: until},
		ref: ref, url: base + Path + ref, provider: o.Provider, title: o.Title, terms: o.Terms, request: o.Request, trip: trip, browser: secret.New(s.draw())}
	// Its place comes first: where too many wait, nobody is asked for an address.
	if added, err := c.add(ctx); err != nil || !added {
		s.over(ref)
		return cmp.Or(err, tooMany())
	}
	if c.address, err = o.Address(ctx, trip); err == nil {
		_, err = c.change(ctx, vault.NoteOpen, until)
	}
	if err != nil {
		_, _ = c.change(context.WithoutCancel(ctx), vault.NoteSettled, time.Time{}) // nobody knows of it; else it ends by itself
		s.over(ref)
		return err
	}
	return c.required("the user has to consent at "+o.Title+" first",
		"ask the user to open consent_url in a browser"+s.where()+"; then call again with consent_ref, and it waits for the user")
}

// refOf names the consent of a state: who knows the name does not know the
// state, and who has the state finds the consent.
func refOf(state string) string {
	sum := sha256.Sum256([]byte("consent_ref " + state))
	return "con_" + letters(sum[:20])
}

func tooMany() error {
	f := fault.New(fault.Busy, "too many consents wait for a person already", "finish one of them with its consent_ref, or call again in ten minutes")
	f.RetryAfter = life
	return f
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
	f.Provider, f.ConsentURL, f.ConsentRef = c.provider, c.url, c.ref
	return f
}

// Terms returns what a consent was opened for, as its Opening has it.
func (s *Consents) Terms(ctx context.Context, principal, provider, ref string) ([]byte, error) {
	c, err := s.find(ctx, principal, provider, ref)
	if err != nil {
		return nil, err
	}
	return c.terms, nil
}

// Wait returns the token_ref that came of a consent. It waits 45 s at most,
// less where ctx ends, and then returns the fault consent_required, with which
// the call may be made again.
func (s *Consents) Wait(ctx context.Context, principal, provider, ref string) (string, error) {
	c, err := s.find(ctx, principal, provider, ref)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	go func() {
		select {
		case <-s.ends:
			cancel()
		case <-ctx.Done():
		}
	}()
	for first := true; ; first = false {
		switch {
		case c.note.State == vault.NoteSettled:
			return c.outcome()
		case c.note.Over(s.o.Now()):
			return "", c.expired()
		case ctx.Err() != nil && !first:
			f := c.required("the user has not consented yet", "call again with the same consent_ref; if the page was closed, consent_url opens it anew")
			f.Again = true
			return "", f
		}
		if c, err = c.next(ctx); err != nil {
			return "", err
		}
	}
}

// Withdraw ends a consent that the person does not want to give.
func (s *Consents) Withdraw(ctx context.Context, principal, ref string) {
	ctx = context.WithoutCancel(ctx)
	if c, err := s.find(ctx, principal, "", ref); err == nil && s.waits(c) {
		s.settle(ctx, c, "", &fault.Fault{Code: fault.ConsentRequired, Provider: c.provider, Message: "the user did not want to open the consent page",
			Hint: "ask the user before you call create_access_token again, without consent_ref"})
	}
}

// find returns the consent of a principal. That of another is as unknown as
// one that never was.
func (s *Consents) find(ctx context.Context, principal, provider, ref string) (*consent, error) {
	ctx = context.WithoutCancel(ctx) // whoever comes late is told the same
	v, err := s.o.Vault(ctx)
	if err != nil {
		return nil, err
	}
	n, found, err := v.Note(ctx, vault.NoteConsent, principal, strings.TrimSpace(ref))
	if err != nil {
		return nil, err
	}
	if c := read(v, n); found && (provider == "" || c.provider == provider) {
		return c, nil
	}
	return nil, unknown()
}

func unknown() error {
	return fault.New(fault.InvalidArgument, "there is no such consent: it is over, or another server or provider opened it",
		"leave consent_ref out, so that a new consent is opened")
}

// expired is the answer where no outcome comes any more.
func (c *consent) expired() error {
	f := &fault.Fault{Code: fault.ConsentRequired, Provider: c.provider, Message: "nobody consented within ten minutes",
		Hint: "call create_access_token again without consent_ref, and have the user open the new address"}
	if c.note.State == vault.NoteTaken {
		f.Message = "the user came back, and the server that was to finish the consent ended meanwhile"
		f.Hint = "look whether bankauth://tokens lists its token; if not, " + f.Hint
	}
	return f
}

// waits reports whether a browser may still bring an answer.
func (s *Consents) waits(c *consent) bool {
	return c.note.State == vault.NoteOpen && !c.note.Over(s.o.Now())
}

// take makes one of all who call it, in whatever process, the one who settles c.
func (s *Consents) take(ctx context.Context, c *consent) (bool, error) {
	return c.change(ctx, vault.NoteTaken, s.o.Now().Add(finishing+10*time.Second))
}

// settle gives c its outcome, unless somebody else has. Where the store does
// not take it, whoever waits hears that nothing came of it.
func (s *Consents) settle(ctx context.Context, c *consent, token string, err error) {
	c.token, c.fault = token, fault.From(err)
	_, _ = c.change(ctx, vault.NoteSettled, s.o.Now().Add(life))
	s.over(c.ref)
}

// draw returns 160 random bits in letters and digits.
func (s *Consents) draw() string {
	var b [20]byte
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.ReadFull(s.o.Rand, b[:]); err != nil {
		panic("consent: reading randomness") // a state that can be guessed is none
	}
	return letters(b[:])
}

func letters(b []byte) string { return strings.ToLower(base32.StdEncoding.EncodeToString(b)) }

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
