// Package tools joins provider, vault and answer for one call.
//
// It owns what a caller sees: the three tools, their words, the one path that
// every call takes, and the only exit of an access token.
package tools

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// Exposure says how much of a secret may pass through the tools.
type Exposure string

// The exposures; each lets through what the one before does, and more.
const (
	Handle Exposure = "handle" // no secret in either direction
	Token  Exposure = "token"  // results also carry access_token
	Full   Exposure = "full"   // the documents' secret arguments and answers too: for programs, never for models
)

// Bank is a provider as the operator set it up.
type Bank struct {
	Client *providers.Client
	// Missing names the variables that a call needs and nobody set. Such a
	// bank is listed all the same, and its calls say which variables to set.
	Missing []string
	// Fault is why the bank cannot be called at all: a setting of its own that
	// is wrong. It answers every call, and the other banks go on.
	Fault *fault.Fault
	// Simulated says that Client talks to the built-in simulator.
	Simulated bool
}

// policy says how the vault gets the bank's tokens.
func (b *Bank) policy() vault.Policy {
	rotation := b.Client.Provider().Rotation
	return vault.Policy{Margin: margin, Deadline: upstreamDeadline, Rotation: rotation.Mode, Grace: time.Duration(rotation.Grace) * time.Second}
}

// Options says what a Set works with.
type Options struct {
	Banks []Bank // in the order in which the tools list them
	Vault func(context.Context) (*vault.Vault, error)
	// Consents keeps the consents that wait for a person; nil: nobody is asked.
	// The Set finishes them.
	Consents *consent.Consents
	// Egress returns the address of a proxy that takes principal's token_refs,
	// without a slash at its end; results name it then. "": not for this
	// principal. nil: there is none.
	Egress   func(ctx context.Context, principal string) string
	Exposure Exposure       // Handle when empty
	Limit    int            // calls at work at once; 0: DefaultLimit
	Log      zerolog.Logger // the zero Logger is silent
	// Observe is told of every call when it has ended, under the call's
	// context; nil: nobody is.
	Observe func(context.Context, Event)
	// Sent is told of every request for a token before it is sent: refresh
	// says that it renews one, again that nobody knows what became of the
	// request before it. nil: nobody is.
	Sent func(provider string, refresh, again bool)
	Now  func() time.Time
	Rand io.Reader
}

// Event is a call that has ended, in words of ours.
type Event struct {
	Tool          string
	Provider      string // "" where none is known
	Code          string // ok, or the fault's
	CorrelationID string
	Took          time.Duration
}

// DefaultLimit bounds the calls at work at once. A further one is answered
// with the code busy.
const DefaultLimit = 4096

// A call ends within 50 s, because hosts give up after about 60: the vault
// waits at most 45 s for a token, and a user takes a client token and then
// these.
const (
	upstreamDeadline = 20 * time.Second // one exchange with a provider
	makingDeadline   = 28 * time.Second // a user, with a second try and a log-in where the answer was lost
)

// Set is the tools over a choice of providers. It is safe for concurrent use.
type Set struct {
	o      Options
	banks  map[string]*Bank
	names  []string
	all    []*schema.Provider
	tools  []Tool
	flight atomic.Int64

	vaultMu sync.Mutex
	opened  *vault.Vault
}

// New returns the tools over o.Banks. It fails when two providers cannot be
// merged into one schema; the error names the document.
func New(o Options) (*Set, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Exposure == "" {
		o.Exposure = Handle
	}
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	s := &Set{o: o, banks: map[string]*Bank{}}
	if o.Consents != nil {
		o.Consents.FinishedBy(s.finish)
	}
	for i := range o.Banks {
		b := &o.Banks[i]
		p := b.Client.Provider()
		if _, twice := s.banks[p.Name]; twice {
			return nil, fmt.Errorf("two documents describe the provider %q; the second is %s", p.Name, p.Document)
		}
		s.banks[p.Name] = b
		s.names = append(s.names, p.Name)
		s.all = append(s.all, p)
	}
	if s.asCompiled() {
		s.tools = compiled
		return s, nil
	}
	var err error
	s.tools, err = s.describe()
	return s, err
}

// asCompiled reports whether these are the bundled providers in the default
// exposure and without a proxy, whose tools were described by go generate.
func (s *Set) asCompiled() bool {
	bundled, err := schema.Bundled()
	return err == nil && s.o.Exposure == Handle && s.o.Egress == nil && slices.Equal(s.all, bundled)
}

// Tools returns the tools as a client lists them.
func (s *Set) Tools() []Tool { return s.tools }

// Providers returns the providers on offer, in order; they are shared, and
// nobody may change them.
func (s *Set) Providers() []*schema.Provider { return slices.Clone(s.all) }

func (s *Set) full() bool { return s.o.Exposure == Full }

// vault opens the store when it is first needed. A failure is not kept: the
// operator may mend it while the server runs.
func (s *Set) vault(ctx context.Context) (*vault.Vault, error) {
	s.vaultMu.Lock()
	defer s.vaultMu.Unlock()
	if s.opened != nil {
		return s.opened, nil
	}
	v, err := s.o.Vault(ctx)
	if err != nil {
		return nil, err
	}
	s.opened = v
	return v, nil
}

// bank returns the bank that the argument names.
func (s *Set) bank(tool string, args arguments) (*Bank, *fault.Fault) {
	name, ok := args.text("provider")
	var serving []string
	for _, p := range s.all {
		if len(p.Grants(tool)) > 0 {
			serving = append(serving, p.Name)
		}
	}
	if len(serving) == 0 {
		return nil, &fault.Fault{Code: fault.Unsupported, Message: "no provider that this server offers has " + tool,
			Hint: "tell the user to offer one that has it: BANKAUTH_PROVIDERS lists those that are offered"}
	}
	if !ok {
		return nil, s.unread(tool, "provider", args, "give provider: "+list(serving), s.example(tool))
	}
	b := s.banks[name]
	if b == nil {
		return nil, &fault.Fault{Code: fault.InvalidArgument, Message: "there is no such provider here",
			Hint: "provider is one of " + list(serving), Example: s.example(tool)}
	}
	if len(b.Client.Provider().Grants(tool)) == 0 {
		return nil, &fault.Fault{Code: fault.Unsupported, Provider: name, Message: fmt.Sprintf("%s does not offer %s", name, tool),
			Hint: tool + " works with " + list(serving), Example: s.example(tool)}
	}
	return b, nil
}

// Example returns the arguments of a call of tool that works, nil where no
// provider serves it.
func (s *Set) Example(tool string) map[string]any {
	if tool == schema.RefreshToken {
		return exampleRef()
	}
	return s.example(tool)
}

// exampleRef is how refresh_token is called.
func exampleRef() map[string]any { return map[string]any{"token_ref": "tok_…"} }

// exampleBrought is how refresh_token is called, in full exposure, with a
// refresh token that is not the vault's.
func exampleBrought(provider string) map[string]any {
	return map[string]any{"provider": provider, schema.HeldRefreshToken: "example-refresh-token"}
}

// example is a call of tool that works, with the first provider that serves it.
func (s *Set) example(tool string) map[string]any {
	for _, p := range s.all {
		for _, g := range p.Grants(tool) {
			if tool == schema.RefreshToken {
				return exampleBrought(p.Name)
			}
			if op, grant, ok := p.Operation(tool, g); ok {
				return p.Example(op, grant)
			}
		}
	}
	return nil
}

// configured says which variables are missing, unless the caller brings its
// own credentials.
func (s *Set) configured(b *Bank, call providers.Call) *fault.Fault {
	if b.Fault != nil {
		return b.Fault
	}
	if len(b.Missing) == 0 || (!call.ClientID.IsZero() && !call.ClientSecret.IsZero()) {
		return nil
	}
	name, missing, are := b.Client.Provider().Name, strings.Join(b.Missing, " and "), "is"
	if len(b.Missing) > 1 {
		are = "are"
	}
	return &fault.Fault{Code: fault.NotConfigured, Provider: name,
		Message: fmt.Sprintf("%s is not configured: %s %s not set", name, missing, are),
		Hint:    fmt.Sprintf("set %s in the server's environment and start it again; bankauth doctor shows what is set", missing)}
}
