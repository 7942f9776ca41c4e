package consent

import (
	"context"
	"encoding/json"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// consent is one that was opened, here or in another process.
type consent struct {
	vault    *vault.Vault
	note     vault.Note // the version that it was read from
	ref      string
	url      string // of our own page
	provider string
	title    string
	terms    []byte
	request  []byte
	trip     Trip
	address  secret.Value
	browser  secret.Value // what the cookie of the person's browser says
	token    string       // the outcome: a token_ref …
	fault    *fault.Fault // … or why there is none
}

// kept is a consent as it lies sealed in the vault. The state is not in it, but
// for the address that the browser is sent to; once there is an outcome only the
// terms are, beside it.
type kept struct {
	URL      string          `json:"url"`
	Provider string          `json:"provider"`
	Title    string          `json:"title"`
	Terms    json.RawMessage `json:"terms,omitempty"`
	Request  json.RawMessage `json:"request,omitempty"`
	Redirect string          `json:"redirect_uri,omitempty"`
	Verifier string          `json:"verifier,omitempty"`
	Address  string          `json:"address,omitempty"`
	Browser  string          `json:"browser,omitempty"`
	Token    string          `json:"token_ref,omitempty"`
	Fault    *fault.Fault    `json:"fault,omitempty"`
}

// write puts c into its note.
func (c *consent) write() error {
	k := kept{URL: c.url, Provider: c.provider, Title: c.title, Terms: c.terms}
	if c.note.State == vault.NoteSettled {
		k.Token = c.token
		if c.fault != nil {
			f := *c.fault
			f.Cause = nil // it is for this process's log alone
			k.Fault = &f
		}
	} else {
		k.Request, k.Redirect, k.Verifier, k.Address, k.Browser = c.request, c.trip.RedirectURI, c.trip.Verifier.Reveal(), c.address.Reveal(), c.browser.Reveal()
	}
	b, err := json.Marshal(k)
	c.note.Text = secret.New(string(b))
	return err
}

// read is write's way back. A note that cannot be read is a consent that nobody
// asked for.
func read(v *vault.Vault, n vault.Note) *consent {
	var k kept
	_ = json.Unmarshal([]byte(n.Text.Reveal()), &k)
	return &consent{vault: v, note: n, ref: n.Name, url: k.URL, provider: k.Provider, title: k.Title, terms: k.Terms, request: k.Request,
		trip: Trip{RedirectURI: k.Redirect, Verifier: secret.New(k.Verifier)}, address: secret.New(k.Address), browser: secret.New(k.Browser),
		token: k.Token, fault: k.Fault}
}

// outcome is what a settled consent came to.
func (c *consent) outcome() (string, error) {
	if c.fault != nil {
		return "", c.fault
	}
	return c.token, nil
}

// add keeps c, unless its principal has too many that wait.
func (c *consent) add(ctx context.Context) (bool, error) {
	if err := c.write(); err != nil {
		return false, err
	}
	return c.vault.AddNote(ctx, &c.note, most)
}

// change keeps c as it now is, in a new state until a time. It reports false
// where another, in whatever process, has changed it first.
func (c *consent) change(ctx context.Context, state vault.NoteState, until time.Time) (bool, error) {
	c.note.State, c.note.Until = state, until
	if err := c.write(); err != nil {
		return false, err
	}
	return c.vault.ChangeNote(ctx, &c.note)
}

// next returns c once something has become of it, or as it is when ctx ends.
func (c *consent) next(ctx context.Context) (*consent, error) {
	n, found, err := c.vault.AwaitNote(ctx, c.note)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, unknown()
	}
	return read(c.vault, n), nil
}
