package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHarness measures mcp-go behind bankauth's loop, briefly: the figures mean
// nothing, but every row must come to one, and no call may fail.
func TestHarness(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	floor := filepath.Join(t.TempDir(), "floor")
	if out, err := exec.Command("go", "build", "-o", floor, "./floor").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var b strings.Builder
	if err := run(options{server: floor + " -transport own", seconds: 0.05, rounds: 1, asJSON: true}, &b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, r := range rows() {
		if !strings.Contains(out, `"row":"`+r.name+`"`) {
			t.Errorf("no row %q in %s", r.name, out)
		}
	}
	if !strings.Contains(out, `"server":40,`) {
		t.Errorf("not 40 answers at the end of input: %s", out)
	}
}

func TestMissedBars(t *testing.T) {
	for _, c := range []struct {
		row           string
		server, ratio float64
		met           bool
	}{
		{"start", 99, 1.2, true}, {"start", 1, 1.21, false}, {"one", 0, 0.9, true}, {"one", 9e9, 0.89, false},
		{"eof", 40, 0, true}, {"eof", 39, 9, false}, {"callers", 8500, 0, true}, {"callers", 8499, 9, false}, {"connections", 0.1, 0, false},
	} {
		chosen, err := choose(c.row)
		if err != nil {
			t.Fatal(err)
		}
		r := result{Server: c.server, Ratio: c.ratio}.judged(chosen[0])
		if r.Met != c.met {
			t.Errorf("%s with %v, ratio %v: met is %v", c.row, c.server, c.ratio, r.Met)
		}
		if err := verdict([]result{r}, true); (err == nil) != c.met {
			t.Errorf("%s, strict: %v", c.row, err)
		}
		if err := verdict([]result{r}, false); (err != nil) != (!c.met && c.row == "eof") {
			t.Errorf("%s: %v", c.row, err)
		}
	}
	if _, err := choose("one,none"); err == nil {
		t.Error("took a row that does not exist")
	}
}

func TestAnswerID(t *testing.T) {
	if n, err := answerID([]byte(`{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"{\"id\":3}"}]}}`), 64); n != 17 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for _, bad := range []string{
		`{"jsonrpc":"2.0","id":17,"error":{"code":-32603,"message":"x"}}`, `{"jsonrpc":"2.0","id":17,"result":{"isError":true}}`,
		`{"jsonrpc":"2.0","id":64,"result":{}}`, `{"jsonrpc":"2.0","id":"17","result":{}}`, `x`,
	} {
		if _, err := answerID([]byte(bad), 64); !errors.Is(err, errFailed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
