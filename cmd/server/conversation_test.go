package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestConversations plays what clients of both eras say, a line at a time, and
// compares every line of the answers.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversation/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := string(a.Files[0].Data)
			got := converse(t, said(want))
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

// said returns the client's lines.
func said(conversation string) []string {
	var lines []string
	for line := range strings.Lines(conversation) {
		if line, ok := strings.CutPrefix(line, "> "); ok {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// converse says each line to a server and writes down what both said.
func converse(t *testing.T, lines []string) string {
	s := start(t, nil, "stdio", "--simulate")
	var all strings.Builder
	for _, line := range lines {
		all.WriteString("> " + line + "\n")
		s.say(t, line)
		if strings.Contains(line, `"method":"notifications/`) {
			continue
		}
		all.WriteString("< " + steady(t, s.hear(t)) + "\n")
	}
	if rest := s.end(t); rest != "" {
		t.Errorf("the server went on: %s", rest)
	}
	return all.String()
}

var volatile = []struct {
	is *regexp.Regexp
	be string
}{
	{regexp.MustCompile(`tok_[a-z2-7]{32}`), "tok_REF"},
	{regexp.MustCompile(`"subject":"[0-9a-f-]{36}"`), `"subject":"USER"`},
	{regexp.MustCompile(`con_[a-z2-7]{32}`), "con_REF"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`"size":\d+`), `"size":0`},
	{regexp.MustCompile(`"expires_in":\d+`), `"expires_in":0`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`"correlation_id":"[0-9a-f]{16}"`), `"correlation_id":"ID"`},
	{regexp.MustCompile(`"version":"[^"]*"`), `"version":"VERSION"`},
}

// steady replaces what differs from run to run, and leaves out the tools'
// schemas and words and the resources' texts: package tools has them in its
// own expected texts. A token_ref that the client made up stays.
func steady(t *testing.T, line string) string {
	var v map[string]any
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Fatalf("the server wrote a line that is not JSON: %s", line)
	}
	id := regexp.MustCompile(`^\{"jsonrpc":"2.0","id":([^,]+),`).FindStringSubmatch(line)
	if _, notice := v["method"]; id == nil && !notice {
		t.Fatalf("an answer without an id: %s", line)
	}
	if id != nil {
		v["id"] = json.RawMessage(id[1]) // as it was written
	}
	if result, ok := v["result"].(map[string]any); ok {
		shorten(result)
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	line = strings.TrimSuffix(out.String(), "\n")
	for _, r := range volatile {
		line = r.is.ReplaceAllString(line, r.be)
		line = regexp.MustCompile(strings.ReplaceAll(r.is.String(), `"`, `\\"`)).ReplaceAllString(line, strings.ReplaceAll(r.be, `"`, `\"`))
	}
	return line
}

func shorten(result map[string]any) {
	cut := func(of any, names ...string) {
		if m, ok := of.(map[string]any); ok {
			for _, name := range names {
				if _, there := m[name]; there {
					m[name] = "…"
				}
			}
		}
	}
	cut(result, "instructions")
	for list, names := range map[string][]string{"tools": {"description", "inputSchema", "outputSchema"},
		"resources": {"description"}, "resourceTemplates": {"description"}, "contents": {"text"}} {
		if all, ok := result[list].([]any); ok {
			for _, of := range all {
				cut(of, names...)
			}
		}
	}
}

// program is a bankauth that runs.
type program struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // closed at the end of its output
}

// start starts bankauth. Its environment is env and a home of the test's own.
func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	return launch(t, "bankauth", env, args...)
}

// launch starts the bankauth that lies at path.
func launch(t *testing.T, path string, env []string, args ...string) *program {
	t.Helper()
	s := &program{cmd: exec.Command(path, args...), lines: make(chan string, 4096)}
	s.cmd.Env = outside(t, env)
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // where the test failed
	go func() {
		defer close(s.lines)
		for r := bufio.NewScanner(out); ; {
			r.Buffer(nil, 1<<20)
			for r.Scan() {
				s.lines <- r.Text()
			}
			return
		}
	}()
	return s
}

func (s *program) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Fatalf("saying %s: %v", line, err)
	}
}

// patience is far beyond what any answer takes.
const patience = 20 * time.Second

func (s *program) hear(t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-s.lines:
		if !open {
			t.Fatal("the server ended")
		}
		return line
	case <-time.After(patience):
		t.Fatal("no answer came")
	}
	return ""
}

// end closes the server's input, and returns what it still had to say.
func (s *program) end(t *testing.T) string {
	t.Helper()
	_ = s.in.Close()
	return s.wait(t)
}

// wait returns what the server says until it ends; it must end with 0.
func (s *program) wait(t *testing.T) string {
	t.Helper()
	var rest []string
	for line := range s.lines {
		rest = append(rest, line)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server did not end well: %v", err)
	}
	return strings.Join(rest, "\n")
}
