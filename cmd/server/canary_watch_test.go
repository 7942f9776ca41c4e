package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is something that left the program.
type sample struct {
	place string
	bytes []byte
}

// watch keeps all that leaves, until it is searched.
type watch struct {
	secrets *canaries

	mu      sync.Mutex
	samples []sample
	calls   int
}

func newWatch(t *testing.T) *watch { t.Helper(); return &watch{secrets: newCanaries()} }

func (w *watch) keep(place string, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples = append(w.samples, sample{place, bytes.Clone(b)})
}

// empty hands over what was kept.
func (w *watch) empty() []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.samples
	w.samples = nil
	return kept
}

// search reports every secret in what was kept, and says how much it saw.
func (w *watch) search(t *testing.T) {
	t.Helper()
	size := w.searchQuietly(t)
	t.Logf("searched %d bytes for %d secrets; %d calls", size, len(w.secrets.all()), w.calls)
}

func (w *watch) searchQuietly(t *testing.T) (size int) {
	t.Helper()
	find, told := w.secrets.find(), map[string]int{}
	for _, s := range w.empty() {
		size += len(s.bytes)
		for _, l := range find.in(s.bytes) {
			key := s.place + l.what
			if told[key]++; told[key] <= 3 {
				t.Errorf("%s: a %s in the form %s: %q", s.place, l.what, l.form, l.around)
			}
		}
	}
	return size
}

// mustFind is the opposite of search, for one place.
func (w *watch) mustFind(t *testing.T, place string) {
	t.Helper()
	find := w.secrets.find()
	for _, s := range w.empty() {
		if strings.Contains(s.place, place) && len(find.in(s.bytes)) > 0 {
			return
		}
	}
	t.Errorf("a secret in the place %q was not found: this search can find nothing there", place)
}

// folder keeps every file below dir, and its name.
func (w *watch) folder(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		w.keep("names in "+filepath.Base(dir), []byte(path))
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		w.keep("file "+path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commandLine keeps what ps shows of a process, where it can be read.
func (w *watch) commandLine(t *testing.T, pid int) {
	t.Helper()
	for range 1000 { // it is empty for a moment after the start
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(b) > 0 {
			w.keep("command line", b)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// command runs a program to its end, keeps what it wrote, and returns its
// stdout and the code it ended with.
func (w *watch) command(t *testing.T, env []string, name string, args ...string) (string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = outside(t, env), &out, &errs
	cmd.WaitDelay = patience
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the caller looks at the code
	late.Stop()
	w.keep("stdout of "+name, out.Bytes())
	w.keep("stderr of "+name, errs.Bytes())
	return out.String(), cmd.ProcessState.ExitCode()
}

// pipes keeps a copy of what is written to it.
type pipes struct {
	mu   sync.Mutex
	kept bytes.Buffer
}

func (p *pipes) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept.Write(b)
}

func (p *pipes) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.kept.Bytes())
}

// talk is a conversation with a bankauth that is watched.
type talk struct {
	w        *watch
	cmd      *exec.Cmd
	in       io.WriteCloser
	out, err pipes
	answers  chan string // closed at the end of its output
	last     int
	label    string
}

// talk starts `bankauth stdio` at log level trace.
func (w *watch) talk(t *testing.T, env []string, args ...string) *talk {
	t.Helper()
	s := &talk{w: w, cmd: exec.Command("bankauth", append([]string{"stdio", "--log-level=trace"}, args...)...), answers: make(chan string, 4096), label: "stdio"}
	s.cmd.Env = outside(t, env)
	s.cmd.Stderr = &s.err
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
		defer close(s.answers)
		r := bufio.NewScanner(io.TeeReader(out, &s.out))
		r.Buffer(nil, 8<<20)
		for r.Scan() {
			s.answers <- r.Text()
		}
	}()
	w.commandLine(t, s.cmd.Process.Pid)
	return s
}

// line sends one line as it is.
func (s *talk) line(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Fatalf("saying something: %v", err)
	}
}

// hear returns the next answer.
func (s *talk) hear(t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-s.answers:
		if !open {
			t.Fatalf("the server ended: %s", s.err.bytes())
		}
		return line
	case <-time.After(2 * patience):
		t.Fatal("no answer came")
	}
	return ""
}

// ask is a call that is to be made.
type ask struct {
	tool string
	args map[string]any
}

// answered is a result's text and whether it is an error.
type answered struct {
	text  string
	wrong bool
}

// send makes the calls and waits for nothing.
func (s *talk) send(t *testing.T, asks ...ask) {
	t.Helper()
	for _, a := range asks {
		s.last++
		line, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": s.last, "method": "tools/call", "params": map[string]any{"name": a.tool, "arguments": a.args}})
		if err != nil {
			t.Fatal(err)
		}
		s.line(t, string(line))
	}
	s.w.calls += len(asks)
}

// all makes the calls at the same time and returns their results in order.
func (s *talk) all(t *testing.T, asks ...ask) []answered {
	t.Helper()
	first := s.last + 1
	s.send(t, asks...)
	results := make([]answered, len(asks))
	for range asks {
		var v struct {
			ID     int
			Result struct {
				Content []struct{ Text string }
				IsError bool
			}
			Error json.RawMessage
		}
		line := s.hear(t)
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.ID < first || v.ID > s.last {
			t.Fatalf("the server said %.200s (%v)", line, err)
		}
		if len(v.Result.Content) == 0 {
			t.Fatalf("a call was answered without a result: %.200s", line)
		}
		results[v.ID-first] = answered{v.Result.Content[0].Text, v.Result.IsError}
	}
	return results
}

// ended waits for the server's end and keeps all that it said.
func (s *talk) ended(t *testing.T) {
	t.Helper()
	late := time.AfterFunc(2*patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	for range s.answers {
	}
	_ = s.cmd.Wait() // how it ended is not what is looked at
	s.w.keep("stdout of "+s.label, s.out.bytes())
	s.w.keep("stderr of "+s.label, s.err.bytes())
}

// end closes the server's input and keeps all that it said.
func (s *talk) end(t *testing.T) {
	t.Helper()
	_ = s.in.Close()
	s.ended(t)
}
