package journey

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
)

func (p *Play) fintecture(ctx context.Context) error {
	b := p.Simulator.Bank(simulator.NameFintecture)
	if err := p.client(ctx, b); err != nil {
		return err
	}
	user, err := p.consent(ctx, b)
	if err != nil {
		return err
	}
	return p.use(ctx, b, user, fintectureAccounts(user.Subject))
}

func (p *Play) flinks(ctx context.Context) error {
	b := p.Simulator.Bank(simulator.NameFlinks)
	if err := p.client(ctx, b); err != nil {
		return err
	}
	user, err := p.consent(ctx, b)
	if err != nil {
		return err
	}
	return p.use(ctx, b, user, flinksAccounts())
}

func (p *Play) finapi(ctx context.Context) error {
	b := p.Simulator.Bank(simulator.NameFinAPI)
	if err := p.client(ctx, b); err != nil {
		return err
	}
	made, err := p.do(ctx, call{b.Name, "create_user", map[string]any{"provider": b.Name, "email": "ada@example.com"}, func(r result) string {
		return unless(r.ID != "" && r.PasswordStored, "a user and a stored password were expected")
	}})
	if err != nil {
		return err
	}
	if err := p.gatherPassword(ctx, b.Name, made.ID); err != nil {
		return err
	}
	args := map[string]any{"provider": b.Name, "grant_type": "password", "username": made.ID}
	if args, err = p.corrected(ctx, b.Name, args, "redirect_uri", "https://app.example/callback"); err != nil {
		return err
	}
	user, err := p.do(ctx, call{b.Name, "create_access_token", args, renewable})
	if err != nil {
		return err
	}
	if err := p.refresh(ctx, b, user.TokenRef); err != nil {
		return err
	}
	return p.use(ctx, b, user, finapiAccounts())
}

// client obtains the client's own token, twice: the second time from the vault.
func (p *Play) client(ctx context.Context, b *simulator.Bank) error {
	args := map[string]any{"provider": b.Name, "grant_type": "client_credentials"}
	first, err := p.do(ctx, call{b.Name, "create_access_token", args, func(r result) string {
		return unless(r.TokenRef != "" && !r.Reused, "a new token was expected")
	}})
	if err != nil {
		return err
	}
	before := posts(b)
	_, err = p.do(ctx, call{b.Name, "create_access_token", args, func(r result) string {
		if posts(b) != before {
			return "the provider was asked again"
		}
		return unless(r.TokenRef == first.TokenRef && r.Reused, "the stored token was expected")
	}})
	return err
}

// consent asks for a user's token without a code, plays the person who then
// agrees at the bank, and gets and renews the token that this allows.
func (p *Play) consent(ctx context.Context, b *simulator.Bank) (got result, err error) {
	args, err := p.corrected(ctx, b.Name, map[string]any{"provider": b.Name, "grant_type": "authorization_code"}, "username", "ada")
	if err != nil {
		return result{}, err
	}
	asked, err := p.do(ctx, call{b.Name, "create_access_token", args, func(r result) string {
		return unless(r.Error != nil && r.Error.Code == "consent_required" && r.Error.ConsentURL != "", "an address for the person was expected")
	}})
	if err != nil {
		return result{}, err
	}
	if err := p.person(ctx, b.Name, asked.Error.ConsentURL); err != nil {
		return result{}, err
	}
	got, err = p.do(ctx, call{b.Name, "create_access_token", with(args, "consent_ref", asked.Error.ConsentRef), renewable})
	if err != nil {
		return result{}, err
	}
	return got, p.refresh(ctx, b, got.TokenRef)
}

// person opens the address that the agent was given, in a browser of their
// own, and agrees at the bank. What the browser carries is nothing for the agent.
func (p *Play) person(ctx context.Context, provider, address string) error {
	start := time.Now()
	const asked = "a person opens consent_url in a browser and agrees at the bank (played)"
	page, err := simulator.Consent(ctx, address, true)
	if err != nil {
		return p.tell(provider, asked, "", "the browser did not come back", start)
	}
	for _, name := range []string{"code", "state"} {
		p.keep(secret.New(page.URL.Query().Get(name)))
	}
	if p.Browser != nil {
		p.Browser(page)
	}
	return p.tell(provider, asked, "the browser shows: Done", unless(page.Status == http.StatusOK && strings.Contains(page.Body, "Done"), "another page was shown"), start)
}

// corrected makes a call with an argument too many, which must be refused, and
// returns the arguments that are left once those that the error names are gone.
func (p *Play) corrected(ctx context.Context, provider string, args map[string]any, wrong string, value any) (map[string]any, error) {
	args = with(args, wrong, value)
	refused, err := p.do(ctx, call{provider, "create_access_token", args, func(r result) string {
		return unless(r.Error != nil && r.Error.Code == "invalid_argument" && len(r.Error.NotAllowed) > 0, "a refusal that names the argument was expected")
	}})
	if err != nil {
		return nil, err
	}
	for _, name := range refused.Error.NotAllowed {
		delete(args, name)
	}
	return args, nil
}

func renewable(r result) string {
	return unless(r.TokenRef != "" && r.Refreshable, "a token that can be renewed was expected")
}

func (p *Play) refresh(ctx context.Context, b *simulator.Bank, ref string) error {
	before := posts(b)
	_, err := p.do(ctx, call{b.Name, "refresh_token", map[string]any{"token_ref": ref, "force": true}, func(r result) string {
		if n := posts(b) - before; n != 1 {
			return fmt.Sprintf("the provider was asked %d times", n)
		}
		return unless(r.TokenRef == ref && !r.Reused, "the same token_ref with a new token was expected")
	}})
	return err
}

// posts counts what the bank was asked.
func posts(b *simulator.Bank) (n int64) {
	for _, times := range b.Truth().Posts {
		n += times
	}
	return n
}

func unless(worked bool, why string) string {
	if worked {
		return ""
	}
	return why
}

// use reads accounts as a program would that the agent hands the token_ref to,
// or the agent itself with curl: it sees the accounts and never the token.
func (p *Play) use(ctx context.Context, b *simulator.Bank, user result, from source) error {
	start := time.Now()
	const asked = "GET the accounts through the proxy (egress_url), with the token_ref as bearer"
	base := user.EgressURL
	if p.Egress != "" {
		base = p.Egress + "/" + b.Name
	}
	names, err := p.read(ctx, base, user.TokenRef, from)
	if err != nil || len(names) == 0 {
		return p.tell(b.Name, asked, "", "no accounts came", start)
	}
	return p.tell(b.Name, asked, fmt.Sprintf("accounts: %s", names), "", start)
}

// source is where a provider shows accounts and what it calls their names.
type source struct {
	path  string
	names func(body []byte) []string
}
