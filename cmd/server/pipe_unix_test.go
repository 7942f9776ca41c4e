//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Some hosts hand over a pipe that does not block; Go's poller has it from the
// start then.
func TestStdinThatDoesNotBlock(t *testing.T) {
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	raw, err := in.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bankauth", "stdio")
	cmd.Env = []string{"HOME=" + t.TempDir(), "GOCOVERDIR=" + t.TempDir()}
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Start asks for the descriptor, which makes it block.
	if err := errors.Join(cmd.Start(), raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), true) }), err, in.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(feed, `{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, `"result":{}`) {
		t.Errorf("got %q, %v", line, err)
	}
	_ = feed.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
