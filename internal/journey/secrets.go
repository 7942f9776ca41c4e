package journey

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/url"

	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// stdioPrincipal is whose tokens a server over stdio keeps.
const stdioPrincipal = "local"

// gather keeps every token that the vault holds now. It is asked after each
// call, because a refresh replaces what it renews.
func (p *Play) gather(ctx context.Context) error {
	return p.look(ctx, func(v *vault.Vault, records []vault.Record) error {
		for _, r := range records {
			p.keep(r.Token.Access)
			p.keep(r.Token.Refresh)
		}
		return nil
	})
}

// gatherPassword keeps the password that was made for a user. It needs a
// record of the same provider, which says under which client it is stored.
func (p *Play) gatherPassword(ctx context.Context, provider, user string) error {
	return p.look(ctx, func(v *vault.Vault, records []vault.Record) error {
		for _, r := range records {
			if r.Identity.Provider != provider {
				continue
			}
			password, held, err := v.Password(ctx, vault.Account{Principal: p.principal(), Provider: provider,
				Environment: r.Identity.Environment, Client: r.Identity.Client, User: user})
			if err == nil && !held {
				err = errors.New("looking for the user's password: the vault holds none")
			}
			p.keep(password)
			return err
		}
		return errors.New("looking for the user's password: the vault holds no token of the provider")
	})
}

func (p *Play) principal() string { return cmp.Or(p.Principal, stdioPrincipal) }

func (p *Play) look(ctx context.Context, at func(*vault.Vault, []vault.Record) error) error {
	v, err := p.Vault(ctx)
	if err != nil {
		return err
	}
	records, err := v.List(ctx, p.principal())
	if err == nil {
		err = at(v, records)
	}
	return errors.Join(err, v.Close(ctx))
}

func (p *Play) keep(s secret.Value) {
	if s.IsZero() {
		return
	}
	for _, have := range p.secrets {
		if have.Equal(s) {
			return
		}
	}
	p.secrets = append(p.secrets, s)
}

// Secrets returns how many different secrets were given out: client secrets,
// access and refresh tokens and passwords.
func (p *Play) Secrets() int { return len(p.secrets) }

// Used returns what was sent to the proxy and what came back, which belongs to
// the transcript: it is what an agent with a shell would see.
func (p *Play) Used() []byte { return p.used.Bytes() }

// Leaked returns how many of the secrets stand in the transcript: as they are,
// in base64, or as a URL writes them.
func (p *Play) Leaked(transcript []byte) int {
	n := 0
	for _, s := range p.secrets {
		text := s.Reveal()
		for _, form := range []string{text, base64.StdEncoding.EncodeToString([]byte(text)), url.QueryEscape(text)} {
			if bytes.Contains(transcript, []byte(form)) {
				n++
				break
			}
		}
	}
	return n
}
