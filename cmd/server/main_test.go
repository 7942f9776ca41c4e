package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// go test ./cmd/server -update writes what the program says now.
var update = flag.Bool("update", false, "write the expected texts anew")

// TestMain lets tests and scripts run the real program as bankauth.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bankauth": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			return os.Mkdir(home, 0o700)
		},
	})
}
