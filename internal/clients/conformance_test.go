package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// conformanceRuns are the public suite's releases and what each is asked for.
var conformanceRuns = []struct {
	name, release string
	args          []string
	passes        []string // scenarios that show that the run was one
}{
	{"0.1.16", "conformance-0.1", []string{"--suite", "all"}, []string{"server-initialize", "logging-set-level", "ping", "completion-complete", "tools-list", "resources-list", "prompts-list", "server-sse-polling", "server-sse-multiple-streams", "dns-rebinding-protection"}},
	{"0.2.0 2025-11-25", "conformance-0.2", []string{"--requirements", "2025-11-25"}, []string{"server-initialize", "logging-set-level", "ping", "completion-complete", "tools-list", "resources-list", "prompts-list", "server-session-lifecycle", "server-sse-multiple-streams", "dns-rebinding-protection"}},
	{"0.2.0 2026-07-28", "conformance-0.2", []string{"--requirements", "2026-07-28"}, []string{"completion-complete", "tools-list", "resources-list", "prompts-list", "caching", "sep-2164-resource-not-found", "dns-rebinding-protection", "http-header-validation", "server-sse-multiple-streams"}},
}

// excuses reads conformance.txt: what may fail, and why.
func excuses(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("conformance.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, why, ok := strings.Cut(line, ": ")
		if _, twice := all[name]; !ok || twice || why == "" {
			t.Errorf("conformance.txt: %q is not a name and a reason, or is there twice", line)
		}
		all[name] = why
	}
	return all
}

// TestConformance runs the public conformance suite against a server. What
// fails must be in conformance.txt with its reason, and what is there must
// fail.
func TestConformance(t *testing.T) {
	n := findNode(t)
	url := serve(t, build(t), scratch(t), "--simulate")
	may := excuses(t)
	needed := map[string]bool{}
	for _, run := range conformanceRuns {
		t.Run(run.name, func(t *testing.T) {
			out := t.TempDir()
			args := append([]string{"server", "--url", url + "/mcp", "-o", out}, run.args...)
			got := n.run(t, "node_modules/"+run.release+"/dist/index.js", args...)
			checked := checksOf(t, out)
			for _, scenario := range run.passes {
				if _, ran := checked[scenario]; !ran {
					t.Errorf("%s did not run\n%s", scenario, got.stderr)
				}
			}
			for scenario, failed := range checked {
				for check, message := range failed {
					switch name := scenario + "/" + check; {
					case may[scenario] != "":
						needed[scenario] = true
					case may[name] != "":
						needed[name] = true
					default:
						t.Errorf("%s: %s", name, message)
					}
				}
			}
		})
	}
	for name := range may {
		if !needed[name] {
			t.Errorf("conformance.txt excuses %s, which fails nowhere: take it out", name)
		}
	}
}

var scenarioFolder = regexp.MustCompile(`^(?:server-)?(.+)-\d{4}-\d\d-\d\dT[0-9-]+Z$`)

// checksOf returns the failed checks of every scenario that ran.
func checksOf(t *testing.T, out string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	files, err := filepath.Glob(filepath.Join(out, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		m := scenarioFolder.FindStringSubmatch(filepath.Base(filepath.Dir(file)))
		b, err := os.ReadFile(file)
		if err != nil || m == nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(b, &checks); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		failed := map[string]string{}
		for _, c := range checks {
			if c.Status == "FAILURE" {
				failed[c.ID] = c.ErrorMessage
			}
		}
		all[m[1]] = failed
	}
	return all
}
