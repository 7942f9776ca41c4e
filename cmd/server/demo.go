package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/journey"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
)

// demoTime bounds the whole demo. It takes a second or two.
const demoTime = 60 * time.Second

type demoCommand struct {
	JSON bool `name:"json" help:"Print one JSON object a step."`
}

// Help is what kong prints below the summary.
func (c *demoCommand) Help() string {
	return "Starts this program as an MCP server (bankauth stdio --egress) with a throw-away vault, and speaks to it as an MCP client would. " +
		"The providers are the built-in simulator: nothing leaves this machine. Ends with 0 only if every step worked."
}

// Run plays the demo.
func (c *demoCommand) Run(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	sim, err := simulator.Start(ctx, simulator.Options{})
	if err != nil {
		return fault.New(fault.Internal, "the simulator cannot listen on this machine's loopback address",
			"allow the program to listen on 127.0.0.1").Because(err)
	}
	dir, err := os.MkdirTemp("", "bankauth-demo-")
	if err != nil {
		return errors.Join(fault.New(fault.Internal, "a folder for the throw-away vault cannot be made",
			"make sure that the system's folder for temporary files can be written").Because(err), sim.Close())
	}
	err = c.play(ctx, p, sim, filepath.Join(dir, "vault"))
	_, _ = os.RemoveAll(dir), sim.Close() // nothing of it is wanted any more
	return err
}

func (c *demoCommand) play(ctx context.Context, p *process, sim *simulator.Simulator, dir string) error {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	vaultKey := base64.StdEncoding.EncodeToString(key[:])
	started := time.Now()
	settings := append(variables(sim), "BANKAUTH_DATA_DIR="+dir, "BANKAUTH_VAULT_KEY="+vaultKey, "BANKAUTH_EXPOSE=handle", "BANKAUTH_CONSENT_LISTEN=127.0.0.1:0")
	a, err := startAgent(ctx, p, settings)
	if err != nil {
		return err
	}
	screen := &screen{p: p, json: c.JSON, colours: coloured(p)}
	tools, err := a.tools(ctx)
	if err != nil {
		return errors.Join(silent(err), a.close())
	}
	screen.opened(tools, time.Since(started))
	play := &journey.Play{Agent: a.call, Simulator: sim, Tell: screen.step, Vault: func(ctx context.Context) (*vault.Vault, error) {
		return vault.Open(ctx, vault.Options{Dir: dir, Key: vault.Key{Value: secret.New(vaultKey)}})
	}}
	steps, failed, err := play.Run(ctx)
	if err = errors.Join(err, a.close()); err != nil {
		return fault.From(err)
	}
	transcript := append(a.transcript(), play.Used()...)
	leaked := play.Leaked(transcript)
	screen.closed(steps+1, failed, len(transcript), play.Secrets(), leaked)
	if failed > 0 || leaked > 0 {
		return exit(exitFailed)
	}
	return nil
}

func silent(err error) error {
	return fault.New(fault.Internal, "the server that the demo started did not answer", "look at what it wrote above; `bankauth doctor` looks further").Because(err)
}

// screen prints what happens: two lines a step, or a JSON object.
type screen struct {
	p       *process
	json    bool
	colours bool
	steps   int
}

func (s *screen) opened(tools []string, took time.Duration) {
	if !s.json {
		fmt.Fprintln(s.p.out, "An MCP client starts `bankauth stdio --egress`. The providers are simulated on this machine; the vault is a throw-away one.")
		fmt.Fprintln(s.p.out)
	}
	s.step(journey.Step{Number: 0, Asked: "tools/list", Answered: fmt.Sprintf("%d tools: %s", len(tools), joined(tools)), Worked: true, Took: took})
}

func (s *screen) step(t journey.Step) {
	t.Number++ // the list was the first
	if s.json {
		_ = json.NewEncoder(s.p.out).Encode(struct {
			journey.Step
			Milliseconds float64 `json:"ms"`
		}{t, milliseconds(t.Took)})
		return
	}
	mark := s.paint("\x1b[32m", "ok    ")
	if !t.Worked {
		mark = s.paint("\x1b[31m", "FAILED")
	}
	provider := t.Provider
	if provider == "" {
		provider = "mcp"
	}
	fmt.Fprintf(s.p.out, "%2d  %-10s  %s\n    %s      %s  (%.1f ms)\n", t.Number, provider, t.Asked, mark, t.Answered, milliseconds(t.Took))
}

func (s *screen) closed(steps, failed, bytes, secrets, leaked int) {
	if s.json {
		_ = json.NewEncoder(s.p.out).Encode(map[string]int{"steps": steps, "failed": failed, "transcript_bytes": bytes, "secrets": secrets, "leaked": leaked})
		return
	}
	fmt.Fprintln(s.p.out)
	if failed == 0 {
		fmt.Fprintf(s.p.out, "%d steps, all worked.\n", steps)
	} else {
		fmt.Fprintf(s.p.out, "%d steps, %d of them did not work.\n", steps, failed)
	}
	if leaked == 0 {
		fmt.Fprintf(s.p.out, "The transcript of %d bytes held none of the %d secrets that the simulator and the vault issued.\n", bytes, secrets)
	} else {
		fmt.Fprintf(s.p.out, "The transcript of %d bytes held %d of the %d secrets. This is a defect: please report it.\n", bytes, leaked, secrets)
	}
	fmt.Fprintln(s.p.out, "Next: `bankauth config CLIENT` prints what your MCP host needs, and `bankauth doctor` what is still missing.")
}

func (s *screen) paint(colour, text string) string {
	if !s.colours {
		return text
	}
	return colour + text + "\x1b[0m"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
