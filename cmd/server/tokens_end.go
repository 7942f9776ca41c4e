package main

import (
	"context"
	"fmt"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
	"bankauth/tools"
)

type tokensRevokeCommand struct {
	config.Settings `embed:""`

	Force bool   `name:"force" help:"Erase it here whatever the provider says."`
	JSON  bool   `name:"json" help:"Print JSON."`
	Ref   string `arg:"" complete:"-" help:"The token_ref."`
}

// Help is what kong prints below the summary.
func (c *tokensRevokeCommand) Help() string {
	return "The provider is asked first, in its own way; only once it has said that the token is over is it erased here. " +
		"Fintecture has no way to end a token: there it is erased here, and the answer says so."
}

// Run ends the token.
func (c *tokensRevokeCommand) Run(ctx context.Context, p *process) error {
	return onToken(ctx, p, c.Settings, func(s *service) error {
		r, err := s.tools.Revoke(ctx, tools.Local, c.Ref, c.Force)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printJSON(p, r)
		}
		fmt.Fprintf(p.out, "%s of %s: %s.\n", r.TokenRef, r.Provider, r.Note)
		return nil
	})
}

type tokensRevealCommand struct {
	config.Settings `embed:""`

	Yes          bool   `name:"yes" help:"Print the secret also where nobody sits before it: into a pipe or a file."`
	RefreshToken bool   `name:"refresh-token" help:"Print the refresh token in place of the access token."`
	Ref          string `arg:"" complete:"-" help:"The token_ref."`
}

// Help is what kong prints below the summary.
func (c *tokensRevealCommand) Help() string {
	return "Prints a secret: the access token, refreshed first where it is due. What a model reads it may repeat, so this is for people and programs; " +
		"`bankauth exec` and `bankauth egress` put a token to use without showing it."
}

// Run prints the secret.
func (c *tokensRevealCommand) Run(ctx context.Context, p *process) error {
	if !c.Yes && !isTerminal(p.out) {
		return misuse("a secret is printed to a terminal alone; add --yes to print it elsewhere, or use `bankauth exec`")
	}
	return onToken(ctx, p, c.Settings, func(s *service) error {
		wanted, err := c.secret(ctx, s)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.out, wanted.Reveal())
		return err
	})
}

func (c *tokensRevealCommand) secret(ctx context.Context, s *service) (secret.Value, error) {
	if !c.RefreshToken {
		live, err := s.tools.Use(ctx, tools.Local, c.Ref, tools.Need{})
		return live.Access, err
	}
	v, err := s.openVault(ctx)
	if err != nil {
		return secret.Value{}, err
	}
	rec, err := v.Get(ctx, tools.Local, c.Ref)
	if err == nil && (rec.State == vault.Uncertain || rec.State == vault.Suspect) { // in doubt: settled, or refused, as for any use
		if _, err = s.tools.Use(ctx, tools.Local, c.Ref, tools.Need{}); err == nil {
			rec, err = v.Get(ctx, tools.Local, c.Ref)
		}
	}
	if err == nil && rec.Token.Refresh.IsZero() {
		err = fault.New(fault.InvalidArgument, "no refresh token is held for this token", "leave --refresh-token out for the access token")
	}
	return rec.Token.Refresh, err
}
