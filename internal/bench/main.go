// Command bench measures a bankauth server over stdio and over HTTP against a
// bare mcp-go server that does the same request, both before the same loopback
// provider.
//
//	go run ./internal/bench
//
// It builds what it needs. The two servers are measured in turns, and the
// ratio is the median over the turns, so that a machine that is busy with
// something else slows both. A missed bar is printed and no failure, unless
// -strict: times on a shared machine are for reading. A call that fails or is
// not answered always is.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

type options struct {
	server  string
	seconds float64
	rounds  int
	rows    string
	idle    time.Duration
	asJSON  bool
	strict  bool
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "", "the `command` to measure, with its arguments (default: builds ./cmd/server and runs it with stdio)")
	flag.Float64Var(&o.seconds, "seconds", 0.5, "`seconds` of each turn")
	flag.IntVar(&o.rounds, "rounds", 10, "turns that each server has")
	flag.StringVar(&o.rows, "rows", "", "the rows to measure, by name and with commas between (default all: "+strings.Join(rowNames(), ",")+")")
	flag.DurationVar(&o.idle, "idle", 5*time.Second, "the `time` that the row idle leaves each server without a call")
	flag.BoolVar(&o.asJSON, "json", false, "print JSON")
	flag.BoolVar(&o.strict, "strict", false, "fail when a bar is missed")
	flag.Parse()
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "bankauth-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, turn: time.Duration(o.seconds * float64(time.Second)), rounds: max(1, o.rounds), idle: o.idle}
	chosen, err := choose(o.rows)
	if err != nil {
		return err
	}
	if err := b.build(o.server); err != nil {
		return err
	}
	if b.provider, err = startUpstream(filepath.Join(dir, "provider")); err != nil {
		return err
	}
	defer b.provider.stop()

	var results []result
	for _, r := range chosen {
		if !o.asJSON {
			fmt.Fprintf(os.Stderr, "measuring %s\n", r.name)
		}
		res, err := r.measure(b)
		if err != nil {
			return fmt.Errorf("measuring %q: %w", r.name, err)
		}
		results = append(results, res.judged(r))
	}
	if o.asJSON {
		err = json.NewEncoder(out).Encode(map[string]any{"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cpus": runtime.NumCPU(), "rows": results})
	} else {
		err = table(out, results)
	}
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return verdict(results, o.strict)
}

func verdict(results []result, strict bool) error {
	var missed []string
	for _, r := range results {
		if !r.Met && (strict || r.Exact) {
			missed = append(missed, r.Row)
		}
	}
	if len(missed) > 0 {
		return errors.New("missed: " + strings.Join(missed, ", "))
	}
	return nil
}

// bench is one run of the benchmark.
type bench struct {
	dir      string
	turn     time.Duration
	rounds   int
	idle     time.Duration
	provider *upstream
	server   side
	floor    side
	narrow   side // mcp-go as it comes

	web, webFloor side // over HTTP
	vaults        int
}

// side is one of the servers to compare.
type side struct {
	name string
	path string
	args []string
}

// serving is bankauth over HTTP, with room for the largest row's clients.
var serving = []string{"serve", "--listen=127.0.0.1:0", "--max-connections=2048", "--max-calls=1024", "--max-calls-per-caller=1024"}

// build puts the programs into b.dir.
func (b *bench) build(server string) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("looking for the module (run this inside it): %w", err)
	}
	programs := map[string]string{"floor": "./internal/bench/floor", "provider": "./internal/bench/provider"}
	if server == "" {
		programs["server"] = "./cmd/server"
		b.server = side{"server", filepath.Join(b.dir, "server"), []string{"stdio"}}
		b.web = side{"server", b.server.path, serving}
	} else {
		words := strings.Fields(server)
		if len(words) == 1 {
			words = append(words, "stdio")
		}
		path, err := filepath.Abs(words[0])
		if err != nil {
			return fmt.Errorf("looking for %q: %w", words[0], err)
		}
		b.server = side{"server", path, words[1:]}
		b.web = side{"server", path, []string{"-transport", "web"}} // a floor, then
		if words[1] == "stdio" {
			b.web.args = serving
		}
	}
	goTool := func(args ...string) error {
		cmd := exec.Command("go", args...)
		cmd.Dir = strings.TrimSpace(string(root))
		cmd.Stderr = os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		return cmd.Run()
	}
	// What is measured is what is released: internal/pack says how it differs.
	if err := goTool("run", "./internal/pack", "-prepare"); err != nil {
		return fmt.Errorf("preparing a release build: %w", err)
	}
	for name, pkg := range programs {
		if err := goTool("build", "-modfile=build/release/go.mod", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(b.dir, name), pkg); err != nil {
			return fmt.Errorf("building %s: %w", pkg, err)
		}
	}
	floor := filepath.Join(b.dir, "floor")
	b.floor = side{"floor", floor, []string{"-transport", "wide"}}
	b.narrow = side{"mcp-go default", floor, []string{"-transport", "default"}}
	b.webFloor = side{"floor", floor, []string{"-transport", "web"}}
	return nil
}

// start runs s with a vault of its own. It has said hello.
func (b *bench) start(s side) (*child, error) {
	c, err := b.spawn(s)
	if err != nil {
		return nil, err
	}
	if err := c.hello(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (b *bench) spawn(s side) (*child, error) {
	return spawn(b.environment(), s.path, s.args...)
}

// environment is that of a server with a vault of its own.
func (b *bench) environment() []string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	b.vaults++
	return []string{
		"FINTECTURE_CLIENT_ID=bench-client",
		"FINTECTURE_CLIENT_SECRET=" + rand.Text(),
		"FINTECTURE_BASE_URL=" + b.provider.url,
		"BANKAUTH_DATA_DIR=" + filepath.Join(b.dir, fmt.Sprintf("vault-%d", b.vaults)),
		"BANKAUTH_VAULT_KEY=" + base64.StdEncoding.EncodeToString(key),
	}
}
