package journey

import (
	"context"
	"fmt"
	"time"

	"bankauth/internal/simulator"
)

// callback is where the bank sends the user's browser back to. Nobody listens:
// the simulator's browser reads the code out of the address.
const callback = "http://127.0.0.1:7777/callback"

func (p *Play) fintecture(ctx context.Context) error {
	b := p.Simulator.Bank(simulator.NameFintecture)
	if err := p.client(ctx, b); err != nil {
		return err
	}
	ref, err := p.consent(ctx, b, "")
	if err != nil {
		return err
	}
	return p.use(ctx, b, ref, fintectureAccounts)
}

func (p *Play) flinks(ctx context.Context) error {
	b := p.Simulator.Bank(simulator.NameFlinks)
	if err := p.client(ctx, b); err != nil {
		return err
	}
	ref, err := p.consent(ctx, b, "ACCOUNT_BASIC")
	if err != nil {
		return err
	}
	return p.use(ctx, b, ref, flinksAccounts)
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
	user, err := p.corrected(ctx, b.Name, args, "redirect_uri", callback)
	if err != nil {
		return err
	}
	if err := p.refresh(ctx, b, user.TokenRef); err != nil {
		return err
	}
	return p.use(ctx, b, user.TokenRef, finapiAccounts)
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

// consent plays the user who agrees at the bank, and gets and renews the
// token that this allows.
func (p *Play) consent(ctx context.Context, b *simulator.Bank, scope string) (ref string, err error) {
	start := time.Now()
	code, err := b.Code(ctx, callback, scope)
	if err != nil {
		return "", p.tell(b.Name, "a person consents in a browser (played)", "", "no code came back", start)
	}
	if err := p.tell(b.Name, "a person consents in a browser (played)", "the bank sends an authorization code", "", start); err != nil {
		return "", err
	}
	args := map[string]any{"provider": b.Name, "grant_type": "authorization_code", "code": code, "redirect_uri": callback}
	got, err := p.corrected(ctx, b.Name, args, "username", "ada")
	if err != nil {
		return "", err
	}
	return got.TokenRef, p.refresh(ctx, b, got.TokenRef)
}

// corrected makes a call with an argument too many, which must be refused, and then, as an agent
// would after reading the error, without the arguments that it names.
func (p *Play) corrected(ctx context.Context, provider string, args map[string]any, wrong string, value any) (result, error) {
	args = with(args, wrong, value)
	refused, err := p.do(ctx, call{provider, "create_access_token", args, func(r result) string {
		return unless(r.Error != nil && r.Error.Code == "invalid_argument" && len(r.Error.NotAllowed) > 0, "a refusal that names the argument was expected")
	}})
	if err != nil {
		return result{}, err
	}
	for _, name := range refused.Error.NotAllowed {
		delete(args, name)
	}
	return p.do(ctx, call{provider, "create_access_token", args, func(r result) string {
		return unless(r.TokenRef != "" && r.Refreshable, "a token that can be renewed was expected")
	}})
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
func (p *Play) use(ctx context.Context, b *simulator.Bank, ref string, accounts func(*simulator.Bank) source) error {
	start := time.Now()
	names, err := p.read(ctx, b.Name, ref, accounts(b))
	asked := "GET the accounts through `bankauth egress`, with the token_ref as bearer"
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
