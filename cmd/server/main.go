// Command bankauth gives AI agents working open-banking credentials and never
// shows them a secret.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A client that has gone away must not kill a server amid its calls: with
	// this, writing to it is an error and no signal.
	signal.Ignore(syscall.SIGPIPE)
	// net/http has no other log: it quotes there what a provider sends beyond
	// the end of its answer.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
