//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
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
	cmd.Env = outside(t, nil)
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

// A client may send a thousand requests one by one and read no answer until
// it has sent them all: none may hold up the reading.
func TestClientThatReadsLater(t *testing.T) {
	cmd := exec.Command("bankauth", "stdio")
	cmd.Env = outside(t, nil)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	id := strings.Repeat("i", 1000) // so that few answers fill a pipe
	const many = 1000
	for i := range many {
		if _, err := fmt.Fprintf(in, `{"jsonrpc":"2.0","id":"%d%s","method":"ping"}`+"\n", i, id); err != nil {
			t.Fatalf("sending request %d: %v", i, err)
		}
		time.Sleep(100 * time.Microsecond) // so that it is read alone
	}
	_ = in.Close()
	lines := bufio.NewScanner(out)
	n := 0
	for lines.Scan() {
		n++
	}
	if n != many {
		t.Errorf("%d answers to %d requests", n, many)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
