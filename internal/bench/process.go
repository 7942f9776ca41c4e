package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// child is a process that ends when its standard input does.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *tail
}

// tail keeps the last of what a process says on standard error, to be shown
// when it fails: mcp-go says a line for every call that its queue cannot take.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if n := len(t.last); n > 2048 {
		t.last = append(t.last[:0], t.last[n-2048:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

func spawn(env []string, path string, args ...string) (*child, error) {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	said := &tail{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe to %q: %w", path, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe from %q: %w", path, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %q: %w", path, err)
	}
	return &child{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 256<<10), err: said}, nil
}

// stop closes the child's input and waits; after ten seconds it kills.
func (c *child) stop() {
	_ = c.in.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.cmd.Wait() // its exit code is no concern of a benchmark
}

// resident returns the bytes of memory the process holds, or 0 where the
// system does not tell.
func (c *child) resident() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// processor returns the time that the process has had of the processors, in
// steps of 10 ms, or 0 where the system does not tell.
func (c *child) processor() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// upstream is a provider in a process of its own.
type upstream struct {
	*child
	url      string
	switches string
}

func startUpstream(path string) (*upstream, error) {
	c, err := spawn(nil, path)
	if err != nil {
		return nil, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("waiting for the provider: %w", err)
	}
	url, switches, _ := strings.Cut(strings.TrimSpace(line), " ")
	return &upstream{child: c, url: url, switches: switches}, nil
}

// delay sets how long the provider takes over an answer.
func (u *upstream) delay(d time.Duration) error {
	r, err := http.Post(fmt.Sprintf("%s/delay?ms=%d", u.switches, d.Milliseconds()), "", nil)
	if err != nil {
		return fmt.Errorf("setting the provider's delay: %w", err)
	}
	return r.Body.Close()
}

// counts are what a provider has seen.
type counts struct{ Calls, Connections int64 }

func (u *upstream) counts() (counts, error) {
	var c counts
	r, err := http.Get(u.switches + "/counts")
	if err != nil {
		return c, fmt.Errorf("asking the provider for its counts: %w", err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return c, fmt.Errorf("reading the provider's counts: %w", err)
	}
	return c, nil
}
