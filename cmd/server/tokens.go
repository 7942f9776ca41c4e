package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/vault"
	"bankauth/tools"
)

type tokensCommand struct {
	List tokensListCommand `cmd:"" help:"List the tokens; no secret is shown."`
	Show tokensShowCommand `cmd:"" help:"Show what is known of one token; no secret is shown."`

	Revoke tokensRevokeCommand `cmd:"" help:"End a token at its provider, then erase it here."`
	Reveal tokensRevealCommand `cmd:"" help:"Print a token, to a terminal or with --yes."`
}

type tokensListCommand struct {
	config.Settings `embed:""`

	JSON bool `name:"json" help:"Print JSON."`
}

type tokensShowCommand struct {
	config.Settings `embed:""`

	JSON bool   `name:"json" help:"Print JSON."`
	Ref  string `arg:"" complete:"-" help:"The token_ref."`
}

// Help is what kong prints below the summary.
func (c *tokensListCommand) Help() string {
	return "STATE is that of the connection, and EXPIRES that of its access token: one that has expired is refreshed, or obtained anew, when it is next used. " +
		"`bankauth tokens show` has the reason of a state that is not live."
}

// expires says when a token ends, for people.
func expires(a tools.TokenAbout, now time.Time) string {
	at, err := time.Parse(time.RFC3339, a.ExpiresAt)
	if err != nil {
		return a.Expires
	}
	left := at.Sub(now).Round(time.Second)
	if left > 0 {
		return "in " + left.String()
	}
	return (-left).String() + " ago"
}

// Run lists the tokens of whoever uses this machine's vault.
func (c *tokensListCommand) Run(ctx context.Context, p *process) error {
	var all []tools.TokenAbout
	made, err := withVault(ctx, p, c.Settings, func(v *vault.Vault) error {
		records, err := v.List(ctx, tools.Local)
		for _, r := range records {
			all = append(all, tools.About(r))
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case c.JSON && all == nil:
		return printJSON(p, []tools.TokenAbout{})
	case c.JSON:
		return printJSON(p, all)
	case !made:
		fmt.Fprintln(p.out, noVault)
	case len(all) == 0:
		fmt.Fprintln(p.out, "The vault holds no token. "+firstToken)
	default:
		return printTable(p, all)
	}
	return nil
}

const firstToken = "Try `bankauth call create_access_token provider=NAME grant_type=client_credentials`."

func printTable(p *process, all []tools.TokenAbout) error {
	now := time.Now()
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOKEN_REF\tPROVIDER\tENVIRONMENT\tGRANT\tSCOPE OR ACCOUNT\tSTATE\tEXPIRES\tREFRESHABLE")
	for _, a := range all {
		about, can := a.Scope, "no"
		if a.Account != "" {
			about = a.Account
		}
		if about == "" {
			about = "-"
		}
		if a.Refreshable {
			can = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.TokenRef, a.Provider, a.Environment, a.GrantType, plain(about), a.State, expires(a, now), can)
	}
	return w.Flush()
}

// Run shows one token.
func (c *tokensShowCommand) Run(ctx context.Context, p *process) error {
	var a tools.TokenAbout
	made, err := withVault(ctx, p, c.Settings, func(v *vault.Vault) error {
		r, err := v.Get(ctx, tools.Local, c.Ref)
		a = tools.About(r)
		return err
	})
	switch {
	case err != nil:
		return err
	case !made:
		return fault.New(fault.InvalidArgument, "there is no vault yet, so no token has this token_ref", firstToken)
	case c.JSON:
		return printJSON(p, a)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{{"token_ref", a.TokenRef}, {"provider", a.Provider}, {"environment", a.Environment},
		{"grant_type", a.GrantType}, {"scope", a.Scope}, {"account", a.Account}, {"subject", a.Subject}, {"state", a.State},
		{"reason", a.Reason}, {"expires", expires(a, time.Now())}, {"expires_at", a.ExpiresAt}, {"refreshable", fmt.Sprint(a.Refreshable)},
		{"generation", fmt.Sprint(a.Generation)}, {"created", a.Created}, {"updated", a.Updated}} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], plain(row[1]))
		}
	}
	return w.Flush()
}

// withVault runs use on the vault, and reports whether there is one. A look
// must not make one.
func withVault(ctx context.Context, p *process, settings config.Settings, use func(*vault.Vault) error) (made bool, err error) {
	o, err := lastingVault(p.env, settings)
	if err != nil {
		return false, err
	}
	s, err := vault.Inspect(ctx, o)
	if err != nil || !s.Made {
		return false, err
	}
	v, err := vault.Open(ctx, o)
	if err != nil {
		return false, err
	}
	return true, errors.Join(use(v), v.Close(ctx))
}

func printJSON(p *process, v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// plain keeps what a provider wrote, such as a scope, from moving the cursor.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}
