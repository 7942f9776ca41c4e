package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"bankauth/internal/config"
	"bankauth/internal/vault"
)

type auditCommand struct {
	List   auditListCommand   `cmd:"" help:"List what has happened to the vault's credentials, the newest last."`
	Verify auditVerifyCommand `cmd:"" help:"Find out whether the audit is what was written."`
}

type auditListCommand struct {
	config.Settings `embed:""`

	Ref   string        `placeholder:"TOKEN_REF" help:"Only what has happened to this token."`
	Since time.Duration `placeholder:"TIME" help:"Only the last while, such as 24h."`
	Last  int           `placeholder:"N" help:"Only so many of the newest."`
	JSON  bool          `name:"json" help:"Print JSON."`
}

type auditVerifyCommand struct {
	config.Settings `embed:""`

	JSON bool `name:"json" help:"Print JSON."`
}

// Help is what kong prints below the summary.
func (c *auditVerifyCommand) Help() string {
	return "Ends with 0 when nothing was deleted, changed or put in, else with 1."
}

// auditEntry is an entry as JSON.
type auditEntry struct {
	Seq        int64  `json:"seq"`
	At         string `json:"at"`
	Event      string `json:"event"`
	TokenRef   string `json:"token_ref,omitempty"`
	Generation int    `json:"generation,omitempty"`
	Code       string `json:"code,omitempty"`
	Attempt    string `json:"attempt,omitempty"`
}

// Run prints the entries that were asked for.
func (c *auditListCommand) Run(ctx context.Context, p *process) error {
	o, err := lastingVault(p.env, c.Settings)
	if err != nil {
		return err
	}
	choice := vault.Choice{Ref: c.Ref, Last: c.Last}
	if c.Since > 0 {
		choice.Since = time.Now().Add(-c.Since)
	}
	found, made, err := vault.Audit(ctx, o, choice)
	if err != nil {
		return err
	}
	entries := make([]auditEntry, 0, len(found))
	for _, e := range found {
		entries = append(entries, auditEntry{e.Seq, e.At.UTC().Format(time.RFC3339Nano), e.Event, e.Ref, e.Generation, string(e.Code), e.Attempt})
	}
	switch {
	case c.JSON:
		return printJSON(p, entries)
	case !made:
		fmt.Fprintln(p.out, noVault)
	case len(entries) == 0:
		fmt.Fprintln(p.out, "The audit has no such entry.")
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for i, e := range entries {
		if i == 0 {
			fmt.Fprintln(w, "SEQ\tAT\tEVENT\tTOKEN_REF\tGENERATION\tCODE")
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", e.Seq, e.At, plain(e.Event), plain(dash(e.TokenRef)), e.Generation, plain(dash(e.Code)))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Run checks the whole chain.
func (c *auditVerifyCommand) Run(ctx context.Context, p *process) error {
	o, err := lastingVault(p.env, c.Settings)
	if err != nil {
		return err
	}
	r, err := vault.VerifyAudit(ctx, o)
	if err != nil {
		return err
	}
	if !r.Made {
		return reportChecks(p, []check{ok("audit", "there is no vault yet")}, c.JSON)
	}
	return reportChecks(p, auditChecks(r), c.JSON)
}

func auditChecks(r vault.AuditReport) []check {
	const name = "audit"
	if len(r.Findings) == 0 {
		text := fmt.Sprintf("entries %d, each vouched for by the next", r.Entries)
		if r.Pruned > 0 {
			text += fmt.Sprintf("; the %d before them were taken away in time", r.Pruned)
		}
		return []check{ok(name, text)}
	}
	var checks []check
	for _, f := range r.Findings {
		checks = append(checks, needs(name, f.Words, "somebody, or a failing disk, has written to the vault past bankauth: find out who can, and compare with a backup"))
	}
	return checks
}
