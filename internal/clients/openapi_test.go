package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// documents returns the providers' OpenAPI documents, without the overlays,
// and our own of the REST interface.
func documents(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join("..", "..", "openapi", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range all {
		if strings.HasSuffix(name, ".overlay.yaml") {
			continue
		}
		if name, err = filepath.Abs(name); err != nil {
			t.Fatal(err)
		}
		found = append(found, name)
	}
	if len(found) < 3 {
		t.Fatalf("there are %d documents, want three at least", len(found))
	}
	return append(found, described(t))
}

func TestRedocly(t *testing.T) {
	n := findNode(t)
	all := documents(t)
	args := append([]string{"lint", "--extends=recommended", "--format=json"}, all...)
	got := n.run(t, "node_modules/@redocly/cli/bin/cli.js", args...)
	// One object follows another, a document each; the exit code counts errors only.
	reports := 0
	for d := json.NewDecoder(bytes.NewReader(got.stdout)); ; reports++ {
		var report struct {
			Problems []struct {
				RuleID   string `json:"ruleId"`
				Severity string `json:"severity"`
				Message  string `json:"message"`
				Location any    `json:"location"`
			} `json:"problems"`
		}
		if err := d.Decode(&report); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading redocly's report: %v\n%s", err, got.stderr)
		}
		for _, p := range report.Problems {
			t.Errorf("%s: %s: %s %v", p.Severity, p.RuleID, p.Message, p.Location)
		}
	}
	if want := len(all); reports != want || got.code != 0 {
		t.Errorf("redocly reported on %d documents of %d and exited with %d\n%s", reports, want, got.code, got.stderr)
	}
}

func TestSpectral(t *testing.T) {
	n := findNode(t)
	args := append([]string{"lint", "--ruleset=spectral.yaml", "--format=json", "--quiet", "--fail-severity=hint"}, documents(t)...)
	got := n.run(t, "node_modules/@stoplight/spectral-cli/dist/index.js", args...)
	var problems []struct {
		Code    any    `json:"code"`
		Message string `json:"message"`
		Source  string `json:"source"`
		Path    []any  `json:"path"`
	}
	if err := json.Unmarshal(got.stdout, &problems); err != nil {
		t.Fatalf("reading spectral's report: %v\n%s", err, got.stderr)
	}
	for _, p := range problems {
		t.Errorf("%s: %v: %s %v", filepath.Base(p.Source), p.Code, p.Message, p.Path)
	}
	if got.code != 0 {
		t.Errorf("spectral exited with %d\n%s", got.code, got.stderr)
	}
}
