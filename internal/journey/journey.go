// Package journey plays what an agent does at each provider, from the first
// token to the use of one, against the simulator.
//
// It knows nothing of how calls travel: an Agent carries them, and a Play
// tells each step and whether it worked. It also gathers every secret that the
// simulator gave out meanwhile, so that whoever kept a transcript can look for
// them in it.
package journey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
)

// Answer is a tool's result.
type Answer struct {
	JSON    json.RawMessage
	IsError bool
}

// Agent makes one call of a tool. Its error means that the call got no answer.
type Agent func(ctx context.Context, tool string, args map[string]any) (Answer, error)

// Step is one thing that was done.
type Step struct {
	Number   int           `json:"step"`
	Provider string        `json:"provider"`
	Asked    string        `json:"asked"`
	Answered string        `json:"answered"`
	Worked   bool          `json:"worked"`
	Took     time.Duration `json:"-"`
}

// Play is all journeys, once. Its fields are set before Run.
type Play struct {
	Agent     Agent
	Simulator *simulator.Simulator
	// Vault opens the vault of the agent's server anew, from outside.
	Vault func(context.Context) (*vault.Vault, error)
	// Principal is the agent in that vault; "": that of a server over stdio.
	Principal string
	Tell      func(Step)
	// Browser is told the page on which a person's consent ended; nil: nobody is.
	Browser func(simulator.Visited)
	// Egress is the address of a proxy over the same vault, its key included;
	// "": the agent's server runs one beside itself and names it in its answers.
	Egress string

	steps, failed int
	used          bytes.Buffer // what went to the proxy, and what came back
	secrets       []secret.Value
}

// errFailed ends a provider's journey after a step that did not work: the
// next ones stand on it. The step has been told.
var errFailed = errors.New("a step did not work")

// Run plays the journeys at the named providers, or all three where none is
// named, and returns how many steps there were and how many of them did not
// work. A journey ends with its first step that fails. The error is of
// something other than a step.
func (p *Play) Run(ctx context.Context, providers ...string) (steps, failed int, err error) {
	for _, b := range p.Simulator.Banks() {
		p.secrets = append(p.secrets, b.ClientSecret())
	}
	if len(providers) == 0 {
		providers = []string{simulator.NameFintecture, simulator.NameFlinks, simulator.NameFinAPI}
	}
	plays := map[string]func(context.Context) error{simulator.NameFintecture: p.fintecture, simulator.NameFlinks: p.flinks, simulator.NameFinAPI: p.finapi}
	for _, name := range providers {
		if err := plays[name](ctx); err != nil && !errors.Is(err, errFailed) {
			return p.steps, p.failed, err
		}
	}
	return p.steps, p.failed, nil
}

// tell closes a step; why is "" when it worked.
func (p *Play) tell(provider, asked, answered, why string, start time.Time) error {
	p.steps++
	s := Step{Number: p.steps, Provider: provider, Asked: asked, Answered: answered, Worked: why == "", Took: time.Since(start)}
	if why != "" {
		p.failed++
		s.Answered = strings.TrimSpace(answered + " (" + why + ")")
	}
	p.Tell(s)
	if why != "" {
		return errFailed
	}
	return nil
}

// result is what any of the tools answers.
type result struct {
	TokenRef       string `json:"token_ref"`
	Scope          string `json:"scope"`
	ExpiresIn      *int64 `json:"expires_in"`
	Refreshable    bool   `json:"refreshable"`
	Reused         bool   `json:"reused"`
	Subject        string `json:"subject"`
	ID             string `json:"id"`
	PasswordStored bool   `json:"password_stored"`
	EgressURL      string `json:"egress_url"`
	Error          *struct {
		Code       string   `json:"code"`
		Message    string   `json:"message"`
		Hint       string   `json:"hint"`
		NotAllowed []string `json:"not_allowed"`
		ConsentURL string   `json:"consent_url"`
		ConsentRef string   `json:"consent_ref"`
	} `json:"error"`
}

func (r result) words() string {
	var parts []string
	switch {
	case r.Error != nil && r.Error.ConsentURL != "":
		return r.Error.Code + ": " + r.Error.Message + "; " + r.Error.Hint
	case r.Error != nil:
		return "refused: " + r.Error.Code + ": " + r.Error.Message + "; " + r.Error.Hint
	case r.TokenRef != "":
		parts = append(parts, r.TokenRef)
	case r.ID != "":
		parts = append(parts, "user "+r.ID)
	}
	if r.ExpiresIn != nil {
		parts = append(parts, fmt.Sprintf("expires in %d s", *r.ExpiresIn))
	}
	if r.Refreshable {
		parts = append(parts, "refreshable")
	}
	if r.Reused {
		parts = append(parts, "reused")
	}
	if r.PasswordStored {
		parts = append(parts, "its password is in the vault")
	}
	return strings.Join(parts, ", ")
}

// call is one call and what is expected of its answer: "" or what is wrong.
type call struct {
	provider, tool string
	args           map[string]any
	expect         func(result) string
}

// do makes a call as a step of its own.
func (p *Play) do(ctx context.Context, c call) (result, error) {
	start := time.Now()
	a, err := p.Agent(ctx, c.tool, c.args)
	if err != nil {
		return result{}, p.tell(c.provider, c.words(), "", "no answer came", start)
	}
	var r result
	if err := json.Unmarshal(a.JSON, &r); err != nil {
		return r, p.tell(c.provider, c.words(), "", "the answer is not JSON", start)
	}
	why := ""
	switch {
	case a.IsError != (r.Error != nil):
		why = "isError and the answer disagree"
	case c.expect != nil:
		why = c.expect(r)
	case a.IsError:
		why = "an error was not expected"
	}
	if err := p.tell(c.provider, c.words(), r.words(), why, start); err != nil {
		return r, err
	}
	return r, p.gather(ctx)
}

// words leaves the provider out, which stands before them.
func (c call) words() string {
	parts := []string{c.tool}
	for _, name := range []string{"grant_type", "username", "token_ref", "id", "redirect_uri", "scope", "consent_ref", "force"} {
		if v, there := c.args[name]; there {
			parts = append(parts, name+"="+short(name, fmt.Sprint(v)))
		}
	}
	return strings.Join(parts, " ")
}

// short cuts what nobody reads to its end.
func short(name, value string) string {
	if len(value) > 12 && name != "token_ref" && name != "consent_ref" && name != "grant_type" {
		return value[:8] + "…"
	}
	return value
}

// with returns args with one more.
func with(args map[string]any, name string, value any) map[string]any {
	more := maps.Clone(args)
	more[name] = value
	return more
}
