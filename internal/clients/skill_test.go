package clients

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bankauth/internal/skill"
)

const (
	skillsRef = "node_modules/skills-ref/dist/cli.js"
	skillsAdd = "node_modules/skills/bin/cli.mjs"
)

// TestSkillIsValid asks the port of the specification's own validator.
func TestSkillIsValid(t *testing.T) {
	n := findNode(t)
	got := n.run(t, skillsRef, "validate", skillFolder(t))
	if got.code != 0 || !strings.Contains(string(got.stdout), "Valid skill") {
		t.Errorf("skills-ref exits with %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// TestSkillInstalls has the installer find the skill in the repository, and
// fetch it from a running server for two agents.
func TestSkillInstalls(t *testing.T) {
	n := findNode(t)
	s, err := skill.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	got := n.run(t, skillsAdd, "add", filepath.Join(skillFolder(t), "..", ".."), "--list")
	if got.code != 0 || !strings.Contains(string(got.stdout), s.Name) || !strings.Contains(string(got.stdout), "Found 1 skill") {
		t.Errorf("skills add --list exits with %d\n%s%s", got.code, got.stdout, got.stderr)
	}

	server := httptest.NewServer(s.Handler(nil))
	defer server.Close()
	dir := t.TempDir()
	got = n.runIn(t, dir, skillsAdd, "add", server.URL, "-a", "claude-code", "-a", "codex", "--copy", "-y")
	if got.code != 0 {
		t.Fatalf("skills add exits with %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, agent := range []string{".claude", ".agents"} {
		for _, f := range s.Files {
			body, err := os.ReadFile(filepath.Join(dir, agent, "skills", s.Name, f.Path))
			if err != nil || !bytes.Equal(body, f.Body) {
				t.Errorf("installing %s for %s: %v", f.Path, agent, err)
			}
		}
	}
}

func skillFolder(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", "..", "skills", "open-banking-credentials"))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// verifies has the Inspector read every file of the skill over MCP and hold
// it against its digest.
func (i inspection) verifies(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"skills/list"}, {"skills/get", "--uri", "skill://open-banking-credentials/SKILL.md"}} {
		got := i.run(t, append([]string{"--verify", "--require-digests", "--method"}, args...)...)
		var report struct {
			Outcome string
			Files   []struct{ Status string }
		}
		if err := json.Unmarshal(got.stdout, &report); err != nil || got.code != inspectorOK || report.Outcome != "verified" || len(report.Files) < 4 {
			t.Errorf("%s --verify exits with %d: %v\n%s%s", args[0], got.code, err, got.stdout, got.stderr)
		}
	}
}
