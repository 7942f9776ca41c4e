package main

import (
	"context"
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"bankauth/internal/capability"
	"bankauth/internal/config"
)

// What a process ends with.
const (
	exitOK      = 0
	exitFailed  = 1 // a tool's error, a check that needs the user, a failure
	exitMisused = 2 // the command line or a setting
)

const about = "Working open-banking credentials for AI agents, without showing them a secret."

// commands is the command line. The help is made from it.
type commands struct {
	Help helpFlag `short:"h" help:"Show this help; after a command, the help of that command."`

	Stdio  stdioCommand  `cmd:"" group:"For an MCP host" help:"Speak MCP over stdin and stdout. An MCP host starts this."`
	Config configCommand `cmd:"" group:"For an MCP host" help:"Print ready configuration for an MCP host."`

	Doctor doctorCommand `cmd:"" group:"By hand" help:"Check what is configured, what is missing, the vault, and whether the providers can be reached."`
	Call   callCommand   `cmd:"" group:"By hand" help:"Call one tool and print its result."`
	Tokens tokensCommand `cmd:"" group:"By hand" help:"Look at the tokens in the vault; revoke one, or print it."`
	Exec   execCommand   `cmd:"" group:"By hand" help:"Run a command with a live access token in its environment."`
	Egress egressCommand `cmd:"" group:"By hand" help:"Run a local proxy that puts live tokens into requests to the providers."`
	Vault  vaultCommand  `cmd:"" group:"By hand" help:"Check, back up, restore and rekey the vault."`
	Audit  auditCommand  `cmd:"" group:"By hand" help:"List and verify what has happened to the vault's credentials."`

	Serve      serveCommand      `cmd:"" group:"For many agents" help:"Serve MCP, REST, the skill, health and metrics over HTTP."`
	Clients    clientsCommand    `cmd:"" group:"For many agents" help:"Add, list and remove those who may call over HTTP with a static token."`
	Capability capabilityCommand `cmd:"" group:"For many agents" help:"Export and check capability files (Naftiko, Ikanos)."`

	Demo     demoCommand     `cmd:"" group:"To try and to test" help:"Play every provider's journey against the simulator, over MCP, and print each step."`
	Simulate simulateCommand `cmd:"" group:"To try and to test" help:"Run the providers' simulator as a server of its own."`

	Version    versionCommand    `cmd:"" group:"About this program" help:"Print the version, the commit and the Go release."`
	Completion completionCommand `cmd:"" group:"About this program" help:"Print the completion script of a shell."`
	Man        manCommand        `cmd:"" group:"About this program" help:"Print the man page."`
	Complete   completeCommand   `cmd:"" group:"About this program" hidden:""`
}

// process is what a command works with: the streams and the environment.
type process struct {
	env      config.Environment
	environ  func() []string // as it came, secrets and all; a closure, so that fmt cannot reach them
	in       io.Reader
	out, err io.Writer
}

// helpFlag prints the help of the command that it follows.
type helpFlag bool

// errHelped ends the parsing after the help has been printed.
var errHelped = errors.New("the help was printed")

// IgnoreDefault tells kong that the flag has no default to apply.
func (helpFlag) IgnoreDefault() {}

// BeforeReset runs before kong looks for what is missing on the command line.
func (helpFlag) BeforeReset(c *kong.Context) error {
	_ = c.PrintUsage(false) // it fails only where nobody reads any more
	return errHelped
}

// run is the whole program. It returns the code to exit with.
func run(ctx context.Context, args, environ []string, in io.Reader, out, errw io.Writer) int {
	p := &process{env: config.Read(environ, runtime.GOOS), environ: func() []string { return environ }, in: in, out: out, err: errw}
	if c, ok := p.started(args); ok {
		return p.report(c.Run(ctx, p))
	}
	parser, err := newParser(p, args)
	if err != nil {
		return p.report(err)
	}
	if len(args) == 0 {
		return p.noCommand(parser)
	}
	chosen, err := parser.Parse(flagsFirst(parser, config.Args(usual(args))))
	switch {
	case errors.Is(err, errHelped):
		return exitOK
	case err != nil:
		return p.misused(err)
	}
	chosen.BindTo(ctx, (*context.Context)(nil))
	return p.report(chosen.Run(p))
}

// started is the command of a host's start, `bankauth stdio` and no more; it
// needs no parser.
func (p *process) started(args []string) (*stdioCommand, bool) {
	c := &stdioCommand{}
	return c, slices.Equal(args, []string{"stdio"}) && p.env.Fill(c)
}

// usual gives what people try first its meaning: help and --version.
func usual(args []string) []string {
	switch args[0] {
	case "help":
		return append(slices.Clone(args[1:]), "--help")
	case "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

func newParser(p *process, args []string) (*kong.Kong, error) {
	return kong.New(&commands{}, only(args),
		kong.Name("bankauth"), kong.Description(about), kong.Writers(p.out, p.err),
		kong.NoDefaultHelp(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{"combined": capability.Combined}, p.env.Kong())
}

// only spares kong the commands that args do not name. Looking at all their
// flags would take it longer than all the rest of a start of `bankauth stdio`.
func only(args []string) kong.Option {
	var others []string
	declared, found := reflect.TypeFor[commands](), false
	for i := range declared.NumField() {
		f := declared.Field(i)
		if _, command := f.Tag.Lookup("cmd"); !command {
			continue
		}
		if len(args) > 0 && args[0] == strings.ToLower(f.Name) {
			found = true
			continue
		}
		others = append(others, f.Name)
	}
	if !found {
		return kong.OptionFunc(func(*kong.Kong) error { return nil })
	}
	return kong.IgnoreFields(`^commands\.(` + strings.Join(others, "|") + `)$`)
}
