package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"bankauth/internal/simulator"
)

// TestElicitation plays conversations in which a person has to consent. A line
// "> " is the client's, "< " the server's; "! grant" and "! deny" are the
// person, who opens the address that the server named last and presses a
// button. con_REF in a client's line stands for the last consent_ref.
func TestElicitation(t *testing.T) {
	files, err := filepath.Glob("testdata/elicitation/*.txtar")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := string(a.Files[0].Data)
			got := elicit(t, want)
			if *update {
				a.Files[0].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-want +got; -update writes it anew)\n%s", diff)
			}
		})
	}
}

var consentPage = regexp.MustCompile(`http://127\.0\.0\.1:\d+/consent/(con_[a-z2-7]{32})`)

func elicit(t *testing.T, script string) string {
	s := start(t, nil, "stdio", "--simulate")
	var all strings.Builder
	var page, ref string
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			s.say(t, strings.ReplaceAll(line[2:], "con_REF", ref))
		case strings.HasPrefix(line, "! "):
			if _, err := simulator.Consent(t.Context(), page, line == "! grant"); err != nil {
				t.Fatal(err)
			}
		default:
			heard := s.hear(t)
			if m := consentPage.FindStringSubmatch(heard); m != nil {
				page, ref = m[0], m[1]
			}
			line = "< " + steady(t, heard)
		}
		all.WriteString(line + "\n")
	}
	if rest := s.end(t); rest != "" {
		t.Errorf("the server went on: %s", rest)
	}
	return all.String()
}
