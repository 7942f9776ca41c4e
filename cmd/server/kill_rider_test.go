//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// rider is a bankauth that serves over stdio. Many may call it at once.
type rider struct {
	t   *testing.T
	cmd *exec.Cmd

	mu      sync.Mutex
	in      io.WriteCloser
	next    int
	waiting map[int]chan toolAnswer // nil once the process is gone

	out   io.Closer
	first chan struct{} // closed with the first answer
	gone  chan struct{} // closed when nothing more comes
}

// toolAnswer is a tool's result.
type toolAnswer struct {
	TokenRef string `json:"token_ref"`
	ID       string `json:"id"`
	Error    *struct{ Code, Message, Hint string }
}

func ride(t *testing.T, program []string, env []string) *rider {
	t.Helper()
	r := &rider{t: t, cmd: exec.Command(program[0], append(program[1:], "stdio")...), waiting: map[int]chan toolAnswer{},
		first: make(chan struct{}), gone: make(chan struct{})}
	r.cmd.Env = append([]string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH")}, env...)
	r.cmd.Stderr = os.Stderr
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() }) // where the test failed
	go r.hear(out)
	return r
}

// hear hands each answer to whoever waits for it. A line that a kill cut short
// is no answer.
func (r *rider) hear(out io.Reader) {
	defer close(r.gone)
	lines := bufio.NewReader(out)
	for heard := false; ; heard = true {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		if !heard {
			close(r.first)
		}
		var m struct {
			ID     int
			Result struct{ Content []struct{ Text string } }
		}
		var a toolAnswer
		if err := json.Unmarshal(line, &m); err != nil || len(m.Result.Content) != 1 ||
			json.Unmarshal([]byte(m.Result.Content[0].Text), &a) != nil {
			r.t.Errorf("the server said %s", line)
			continue
		}
		r.mu.Lock()
		c := r.waiting[m.ID]
		delete(r.waiting, m.ID)
		r.mu.Unlock()
		if c == nil {
			r.t.Errorf("nobody has asked for %s", line)
			continue
		}
		c <- a
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.waiting {
		close(c)
	}
	r.waiting = nil
}

// ask sends a call and returns its id and where its answer comes; the channel
// is closed where the process ends before it. nil: the process is gone.
func (r *rider) ask(tool string, args map[string]any) (int, chan toolAnswer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		return 0, nil
	}
	r.next++
	c := make(chan toolAnswer, 1)
	r.waiting[r.next] = c
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": r.next, "method": "tools/call",
		"params": map[string]any{"name": tool, "arguments": args}})
	if err != nil {
		r.t.Error(err)
	}
	_, _ = r.in.Write(append(b, '\n')) // a process that is gone is noticed by its answers
	return r.next, c
}

// call waits for the answer; false: there is none, because the process ended.
func (r *rider) call(tool string, args map[string]any) (toolAnswer, bool) {
	_, c := r.ask(tool, args)
	if c == nil {
		return toolAnswer{}, false
	}
	a, ok := <-c
	return a, ok
}

// cancel takes a call back. Its answer may be on the way, and still come.
func (r *rider) cancel(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.in, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`+"\n", id)
}

// load keeps a caller busy for each of refs until the process is gone, or its
// caller has no use for a further answer.
func (r *rider) load(refs []string, use func(ref string, a toolAnswer) (more bool)) *sync.WaitGroup {
	var callers sync.WaitGroup
	for _, ref := range refs {
		callers.Go(func() {
			for {
				a, ok := r.call("refresh_token", map[string]any{"token_ref": ref, "force": true})
				if !ok || !use(ref, a) {
					return
				}
			}
		})
	}
	return &callers
}

// kill ends the process as a power cut would, and waits until it is gone.
func (r *rider) kill() {
	_ = r.cmd.Process.Kill()
	<-r.gone
	_ = r.cmd.Wait()
}

// part closes the input of a process and waits for its end, which must be a
// good one.
func (r *rider) part() {
	r.t.Helper()
	_ = r.in.Close()
	r.ended(0)
}

// ended waits for the end of a process that was told to end, which must be
// with one of the given codes.
func (r *rider) ended(codes ...int) {
	r.t.Helper()
	r.wait()
	if !slices.Contains(codes, r.cmd.ProcessState.ExitCode()) {
		r.t.Errorf("the process ended with %v, want exit %v", r.cmd.ProcessState, codes)
	}
}

func (r *rider) wait() {
	late := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	defer late.Stop()
	<-r.gone
	_ = r.cmd.Wait()
}
