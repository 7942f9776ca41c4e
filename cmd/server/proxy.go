package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"time"
)

// proxy is this program as `bankauth egress`.
type proxy struct {
	server *exec.Cmd
	url    string
}

// startProxy starts a proxy with nothing in its environment but settings.
func startProxy(p *process, settings []string) (*proxy, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, silent(err)
	}
	x := &proxy{server: exec.Command(program, "egress")}
	x.server.Env, x.server.Stderr = sparse(p, settings), p.err
	out, err := x.server.StdoutPipe()
	if err != nil {
		return nil, silent(err)
	}
	if err := x.server.Start(); err != nil {
		return nil, silent(err)
	}
	late := time.AfterFunc(ending, func() { _ = x.server.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), egressURL+"=")
	if err != nil || !ok {
		x.close()
		return nil, silent(err)
	}
	x.url = url
	return x, nil
}

// close ends the proxy, with a signal where there are signals.
func (x *proxy) close() {
	if x.server.Process.Signal(os.Interrupt) != nil {
		_ = x.server.Process.Kill()
	}
	late := time.AfterFunc(ending, func() { _ = x.server.Process.Kill() })
	defer late.Stop()
	_ = x.server.Wait() // it is wanted no more, however it ends
}
