package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"bankauth/internal/capability"
	"bankauth/internal/config"
	"bankauth/internal/fault"
)

type capabilityCommand struct {
	Export capabilityExportCommand `cmd:"" help:"Print a capability file of the providers' operations."`
	Check  capabilityCheckCommand  `cmd:"" help:"Say what is wrong with capability files, and what to write instead."`
}

type capabilityExportCommand struct {
	config.Settings `embed:""`

	Surface     string `arg:"" optional:"" complete:"-" default:"${combined}" help:"What to export: a provider's tokens or users, such as finapi-users, or all of it (${default})."`
	Format      string `enum:"naftiko,ikanos" default:"naftiko" help:"Dialect: naftiko (1.0.0-alpha2) or ikanos (1.0.0-beta4)."`
	Environment string `placeholder:"NAME" help:"Which of the providers' environments the file calls. Default: the first of each, sandbox."`
}

// Help is what kong prints below the summary.
func (c *capabilityExportCommand) Help() string {
	return "The file names the variables that hold the credentials, and holds none."
}

// Run prints the file.
func (c *capabilityExportCommand) Run(p *process) error {
	all, err := offered(p.env, c.Settings)
	if err != nil {
		return err
	}
	data, err := capability.Export(all, c.Surface, capability.Format(c.Format), c.Environment)
	if err != nil {
		return err
	}
	if _, err := p.out.Write(data); err != nil {
		return exit(exitFailed)
	}
	return nil
}

type capabilityCheckCommand struct {
	config.Settings `embed:""`

	Files []string `arg:"" name:"file" help:"Files to check; - is the standard input."`
}

// Help is what kong prints below the summary.
func (c *capabilityCheckCommand) Help() string {
	return "Checks a file against the schema of its version, the format's lint rules, and what the providers want of the requests that it describes. Ends with 0 where there is no error; warnings are none."
}

// Run checks every file and prints what it finds.
func (c *capabilityCheckCommand) Run(p *process) error {
	all, err := documents(p.env, c.Settings)
	if err != nil {
		return err
	}
	failed := false
	for _, name := range c.Files {
		data, err := p.file(name)
		if err != nil {
			return err
		}
		found := capability.Check(data, all)
		var said strings.Builder
		for _, d := range found {
			failed = failed || d.Severity == capability.Error
			said.WriteString(d.In(name))
		}
		if len(found) == 0 {
			fmt.Fprintf(&said, "%s: nothing is wrong with it\n", name)
		}
		if _, err := io.WriteString(p.out, said.String()); err != nil {
			return exit(exitFailed)
		}
	}
	if failed {
		return exit(exitFailed)
	}
	return nil
}

// file reads a file that the command line names; - is the standard input.
func (p *process) file(name string) ([]byte, error) {
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(p.in)
	} else {
		var path string
		if path, err = p.env.Path(name); err != nil {
			return nil, err
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		// The name is not said: what was typed may be a secret in the wrong place.
		return nil, fault.New(fault.InvalidArgument, "a file that was named cannot be read", "name files that are there and that you may read").Because(err)
	}
	return data, nil
}
