package clients

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBankSDK lets a bank's own SDK read accounts through bankauth egress.
func TestBankSDK(t *testing.T) {
	n := findNode(t)
	program := build(t)
	s := simulate(t, program)
	play(t, n, "bank-sdk.mjs", options{Command: program, Env: s.env, Banks: s.banks, Egress: proxy(t, program, s)})
}

// proxy starts bankauth egress and returns the address that it prints.
func proxy(t *testing.T, program string, s simulation) string {
	t.Helper()
	cmd := exec.Command(program, "egress")
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting the proxy: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "BANKAUTH_EGRESS_URL=")
	if !ok {
		t.Fatalf("the proxy said %q", line)
	}
	return url
}
