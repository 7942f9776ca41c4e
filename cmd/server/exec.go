package main

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
	"bankauth/tools"
)

type execCommand struct {
	config.Settings `embed:""`

	Env    string        `name:"env" default:"BANKAUTH_ACCESS_TOKEN" placeholder:"NAME" help:"Variable that holds the access token (${default})."`
	MinTTL time.Duration `name:"min-ttl" default:"2m" placeholder:"TIME" help:"Refresh the token first when it has less than this to live (${default})."`

	Ref     string   `arg:"" complete:"-" help:"The token_ref."`
	Command []string `arg:"" passthrough:"" name:"command" help:"The command and its arguments, after --."`
}

// Help is what kong prints below the summary.
func (c *execCommand) Help() string {
	return "The command takes this program's place: its exit code, its output and the signals that it gets are its own, and nothing else is printed. " +
		"It gets the environment of this program without what opens more than one token: client secrets, the vault's key and the store's address " +
		"(and the variables that name their files). A provider whose tokens live shorter than --min-ttl gives what it gives.\n\n" +
		"Ends with 127 where there is no such command, 126 where it cannot be run.\n\n" +
		"Example:\n\n  bankauth exec tok_… -- sh -c 'curl -H \"Authorization: Bearer $BANKAUTH_ACCESS_TOKEN\" https://…'"
}

// What a shell says of a command that it cannot run.
const (
	exitNotRun   = 126
	exitNotFound = 127
)

var variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`) })

// Run runs the command with the token.
func (c *execCommand) Run(ctx context.Context, p *process) error {
	if len(c.Command) > 0 && c.Command[0] == "--" {
		c.Command = c.Command[1:]
	}
	if len(c.Command) == 0 {
		return misuse("there is no command to run; `bankauth exec REF -- CMD ARGUMENTS`")
	}
	if !variableName().MatchString(c.Env) {
		return misuse("the value of --env is no name of a variable")
	}
	// Looked for first: a token that nobody uses need not be fetched.
	program, err := exec.LookPath(c.Command[0])
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return p.cannotRun(exitNotFound, "there is no such command")
	case err != nil && !errors.Is(err, exec.ErrDot):
		return p.cannotRun(exitNotRun, "the command cannot be run")
	}
	access, err := c.token(ctx, p)
	if err != nil {
		return err
	}
	return replace(p, program, c.Command, p.handOn(c.Env, access))
}

func (p *process) cannotRun(code int, why string) error {
	_ = p.report(misuse(why))
	return exit(code)
}

func (c *execCommand) token(ctx context.Context, p *process) (access secret.Value, err error) {
	err = onToken(ctx, p, c.Settings, func(s *service) error {
		live, err := s.tools.Use(ctx, tools.Local, c.Ref, tools.Need{MinTTL: c.MinTTL})
		access = live.Access
		return err
	})
	return access, err
}

// onToken runs use with the tools put together, on a vault that is there.
func onToken(ctx context.Context, p *process, settings config.Settings, use func(*service) error) error {
	if err := vaultIsThere(ctx, p, settings); err != nil {
		return err
	}
	s, err := newService(ctx, p, settings)
	if err != nil {
		return err
	}
	return errors.Join(use(s), s.close())
}

// vaultIsThere refuses a command about a token where there can be none; it
// makes no vault.
func vaultIsThere(ctx context.Context, p *process, settings config.Settings) error {
	o, err := lastingVault(p.env, settings)
	if err != nil {
		return err
	}
	if s, err := vault.Inspect(ctx, o); err != nil || s.Made {
		return err
	}
	return fault.New(fault.InvalidArgument, "there is no vault yet, so no token has this token_ref", firstToken)
}

// handOn returns the environment for a command that gets one token: without
// what opens more than that.
func (p *process) handOn(name string, access secret.Value) []string {
	kept := []string{name + "=" + access.Reveal()}
	for _, entry := range p.environ() {
		variable, _, _ := strings.Cut(entry, "=")
		if variable == name || variable == "CREDENTIALS_DIRECTORY" || config.IsSecret(strings.TrimSuffix(variable, "_FILE")) {
			continue
		}
		kept = append(kept, entry)
	}
	return kept
}
