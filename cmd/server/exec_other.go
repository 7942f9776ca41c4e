//go:build !unix

package main

import (
	"errors"
	"os/exec"
)

// replace runs the command to its end. The console sends its signals to both.
func replace(p *process, program string, args, environ []string) error {
	c := exec.Command(program)
	c.Args, c.Env, c.Stdin, c.Stdout, c.Stderr = args, environ, p.in, p.out, p.err
	err := c.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		return exit(ended.ExitCode())
	case err != nil:
		return p.cannotRun(exitNotRun, "the command cannot be run")
	}
	return nil
}
