package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// go test ./cmd/server -update writes what the program says now.
var update = flag.Bool("update", false, "write the expected texts anew")

// TestMain lets tests and scripts run the real program as bankauth.
func TestMain(m *testing.M) {
	testscript.Main(leaving{m}, map[string]func(){"bankauth": main})
}

// leaving takes away at the end what the tests had built.
type leaving struct{ *testing.M }

func (l leaving) Run() int {
	defer shipped.remove()
	return l.M.Run()
}

// outside is the environment of a program: env, and a home of the test's own.
// Under the race detector every program would rest for a second at its end.
func outside(t *testing.T, env []string) []string {
	return append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
}

// shipped is bankauth as it is shipped, built when a test first asks for it.
var shipped building

type building struct {
	once sync.Once
	dir  string
	err  error
}

func (b *building) make() {
	if b.dir, b.err = os.MkdirTemp("", "bankauth-built-"); b.err != nil {
		return
	}
	if out, err := exec.Command("go", "build", "-o", b.program(), ".").CombinedOutput(); err != nil {
		b.err = fmt.Errorf("building bankauth: %w\n%s", err, out)
	}
}

func (b *building) program() string { return filepath.Join(b.dir, "bankauth") }

func (b *building) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// built returns where bankauth lies as it is shipped: what is killed and traced
// is the program itself, not this test in its clothes.
func built(t *testing.T) string {
	t.Helper()
	if shipped.once.Do(shipped.make); shipped.err != nil {
		t.Fatal(shipped.err)
	}
	return shipped.program()
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
