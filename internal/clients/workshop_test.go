package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// shop has what all tests use and none changes.
var shop workshop

// workshop is a folder, and what is made in it when a test first asks for it.
type workshop struct {
	dir      string
	program  made
	packages made
}

// made is something that is made once, or cannot be made.
type made struct {
	once sync.Once
	err  error
}

func (m *made) by(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	m.once.Do(func() {
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			m.err = fmt.Errorf("%q: %w\n%s", cmd.Args, err, out)
		}
	})
	if m.err != nil {
		t.Fatal(m.err)
	}
}

func TestMain(m *testing.M) { os.Exit(shop.open(m)) }

func (s *workshop) open(m *testing.M) int {
	var err error
	if s.dir, err = os.MkdirTemp("", "bankauth-clients-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(s.dir)
	return m.Run()
}

// build returns where the server lies, without C as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(shop.dir, "bankauth")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.Command("go", "build", "-o", program, "./cmd/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	shop.program.by(t, cmd)
	return program
}

// packed returns where the packages of a release lie, with the binary for this
// machine.
func packed(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the packages are put together on a system with sh")
	}
	dir := filepath.Join(shop.dir, "packages")
	shop.packages.by(t, exec.Command("go", "run", "./internal/pack", "-build", dir, "-here"))
	return dir
}
