package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/providers"
	"bankauth/schema"
)

type doctorCommand struct {
	config.Settings `embed:""`

	JSON    bool `name:"json" help:"Print JSON."`
	Offline bool `help:"Do not connect to the providers."`
}

// Help is what kong prints below the summary.
func (c *doctorCommand) Help() string {
	return "Ends with 0 when nothing needs you, else with 1. Nothing is made or changed."
}

// What a check can come to.
const (
	checkOK    = "ok"
	checkNeeds = "needs_you"
	checkNote  = "note"
)

// check is one thing that was looked at.
type check struct {
	Name    string `json:"name"`
	State   string `json:"state"` // ok, needs_you or note
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"` // the next step
}

func ok(name, message string) check         { return check{name, checkOK, message, ""} }
func needs(name, message, fix string) check { return check{name, checkNeeds, message, fix} }
func note(name, message, fix string) check  { return check{name, checkNote, message, fix} }

func broken(name string, err error) check {
	f := fault.From(err)
	return needs(name, f.Message, f.Hint)
}

// reachTime bounds the connecting to one provider.
const reachTime = 3 * time.Second

// Run makes every check and prints them.
func (c *doctorCommand) Run(ctx context.Context, p *process) error {
	described, checks := c.documents(p.env)
	checks = append(checks, settingChecks(p.env, described)...)
	clients, found := c.providers(p.env, described)
	checks = append(checks, found...)
	checks = append(checks, vaultChecks(ctx, p.env, c.Settings)...)
	if !c.Offline {
		checks = append(checks, reach(ctx, clients)...)
	}
	return reportChecks(p, checks, c.JSON)
}

// reportChecks prints checks; its error is the exit where one of them needs the user.
func reportChecks(p *process, checks []check, asJSON bool) error {
	waiting := 0
	for _, k := range checks {
		if k.State == checkNeeds {
			waiting++
		}
	}
	if asJSON {
		if err := printJSON(p, struct {
			OK     bool    `json:"ok"`
			Checks []check `json:"checks"`
		}{waiting == 0, checks}); err != nil {
			return err
		}
	} else {
		printChecks(p.out, checks, waiting, coloured(p))
	}
	if waiting > 0 {
		return exit(exitFailed)
	}
	return nil
}

func printChecks(w io.Writer, checks []check, waiting int, colours bool) {
	widest := 0
	for _, k := range checks {
		widest = max(widest, len(k.Name))
	}
	paint := map[string]string{checkOK: "\x1b[32m", checkNeeds: "\x1b[31m", checkNote: "\x1b[33m"}
	for _, k := range checks {
		label := fmt.Sprintf("%-9s", strings.ReplaceAll(k.State, "_", " "))
		if colours {
			label = paint[k.State] + label + "\x1b[0m"
		}
		fmt.Fprintf(w, "%s  %-*s  %s\n", label, widest, k.Name, k.Message)
		for line := range strings.SplitSeq(k.Fix, "\n") {
			if line != "" {
				fmt.Fprintf(w, "%s  %s\n", strings.Repeat(" ", 9+2+widest), line)
			}
		}
	}
	switch waiting {
	case 0:
		fmt.Fprintln(w, "\nNothing needs you.")
	case 1:
		fmt.Fprintln(w, "\nOne thing needs you.")
	default:
		fmt.Fprintf(w, "\n%d things need you.\n", waiting)
	}
}

// coloured reports whether colours may be printed to stdout.
func coloured(p *process) bool { return isTerminal(p.out) && !p.env.Has("NO_COLOR") }

// documents reads what describes the providers. With a mistake in the user's
// folder the bundled ones are still looked at.
func (c *doctorCommand) documents(env config.Environment) ([]*schema.Provider, []check) {
	all, err := offered(env, c.Settings)
	if err == nil {
		return all, append([]check{ok("documents", strings.Join(namesOf(all), ", "))}, c.leftOut(env)...)
	}
	var checks []check
	if lines := mistakes(err); len(lines) > 0 {
		fix := "mend the file and run doctor again; openapi/README.md says what an overlay holds"
		if dir, err := env.Path(c.ProviderDir); err == nil && !readable(dir) {
			fix = "set BANKAUTH_PROVIDER_DIR to a folder that is there and that you may read, or unset it"
		}
		for _, line := range lines {
			checks = append(checks, needs("documents", line, fix))
		}
	} else {
		checks = append(checks, broken("documents", err))
	}
	all, err = schema.Bundled()
	if err != nil {
		checks = append(checks, broken("documents", err))
	}
	return all, checks
}

func readable(dir string) bool {
	_, err := os.ReadDir(dir)
	return err == nil
}

// leftOut says which described providers a simulated server does not offer,
// and whether a folder that was named holds none.
func (c *doctorCommand) leftOut(env config.Environment) []check {
	if c.ProviderDir == "" {
		return nil
	}
	described, err := documents(env, c.Settings)
	bundled, errBundled := schema.Bundled()
	if err != nil || errBundled != nil {
		return nil // documents has said it
	}
	if len(described) == len(bundled) {
		return []check{needs("documents", "the folder that BANKAUTH_PROVIDER_DIR names holds no provider",
			"put NAME.yaml and NAME.overlay.yaml into it; openapi/README.md says what they hold")}
	}
	if names := unsimulated(described); c.Simulate && len(c.Providers) == 0 {
		return []check{note("documents", "left out: "+strings.Join(names, ", "), "--simulate sends nothing to a bank, and the simulator plays fintecture, flinks and finapi only")}
	}
	return nil
}

// reach connects to every provider at the same time.
func reach(ctx context.Context, clients []*providers.Client) []check {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	checks := make([]check, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			name := c.Provider().Name
			if err := c.Reachable(ctx); err != nil {
				checks[i] = broken(name, err)
				return
			}
			checks[i] = ok(name, "can be reached at "+c.BaseURL())
		})
	}
	all.Wait()
	return checks
}
