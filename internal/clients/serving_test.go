package clients

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"
)

var served = regexp.MustCompile(`MCP.* at (https?://\S+)/`)

// serve starts bankauth serve and returns the address of its MCP, without a path. At the
// end of the test it is told to end, and must do so at once and quietly.
func serve(t *testing.T, program string, env map[string]string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	said := &quiet{t: t}
	cmd.Stderr = said
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting the server: %v", err)
	}
	line := make(chan string, 1)
	go func() { // ends with the process
		r := bufio.NewReader(stdout)
		text, err := r.ReadString('\n')
		for err == nil && !served.MatchString(text) { // other adapters of a capability file
			text, err = r.ReadString('\n')
		}
		line <- text
		_, _ = io.Copy(io.Discard, r)
	}()
	t.Cleanup(func() { end(t, cmd) })
	select {
	case text := <-line:
		if m := served.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		t.Fatalf("the server said %q", text)
	case <-time.After(30 * time.Second):
		t.Fatal("the server did not say where it is")
	}
	return ""
}

func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	ended := make(chan error, 1)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended badly: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server does not end")
		_ = cmd.Process.Kill()
		<-ended
	}
}

// quiet is a standard error on which nothing is to be said.
type quiet struct{ t *testing.T }

func (q *quiet) Write(b []byte) (int, error) {
	q.t.Errorf("the server said on stderr: %s", b)
	return len(b), nil
}
