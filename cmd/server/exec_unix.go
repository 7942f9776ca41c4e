//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// replace lets the command take this process's place, so that exit code and
// signals are its own. It returns only where that fails.
func replace(p *process, program string, args, environ []string) error {
	// main ignores SIGPIPE, and what is ignored stays so in the command; what
	// is caught does not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	_ = syscall.Exec(program, args, environ)
	return p.cannotRun(exitNotRun, "the command cannot be run")
}
