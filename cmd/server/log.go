package main

import (
	"io"
	"os"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"bankauth/internal/config"
)

// newLog returns the log of a command. It goes to stderr, never to stdout.
func newLog(s config.Settings, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(s.LogLevel)
	if err != nil {
		level = zerolog.WarnLevel
	}
	if s.LogFormat == "console" || s.LogFormat == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !isTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
