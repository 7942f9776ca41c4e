package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"bankauth/internal/auth"
)

// rereadOnHangup reads the certificate, the clients and the issuer's keys
// again at every SIGHUP, until the returned function is called. What cannot be
// used is logged and changes nothing, except for a file of clients: one that
// cannot be read admits nobody.
func rereadOnHangup(ctx context.Context, log zerolog.Logger, c *certificate, gates ...*auth.Gate) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hangups:
				tell(log, "certificate", c.reload())
				for _, gate := range gates {
					tell(log, "clients", gate.RereadClients())
					tell(log, "issuer_keys", gate.RereadKeys(ctx))
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { signal.Stop(hangups); cancel(); <-done }
}

func tell(log zerolog.Logger, what string, err error) {
	level := zerolog.InfoLevel
	if err != nil {
		level = zerolog.ErrorLevel
	}
	log.WithLevel(level).Str("read", what).Bool("ok", err == nil).AnErr("error", err).Msg("SIGHUP")
}
