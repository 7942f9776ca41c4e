package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"bankauth/internal/fault"
)

// Listen listens on a loopback port; 0: any free one. Its errors are faults.
func Listen(ctx context.Context, port int) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fault.New(fault.NotConfigured, "the proxy cannot listen on its port of 127.0.0.1",
			"name a port from 1 to 65535 that nobody listens on, or none").Because(err)
	}
	return l, nil
}

// Hosts returns what a Host header may say of a listener on loopback.
func Hosts(l net.Listener) []string {
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	return []string{"127.0.0.1:" + port, "localhost:" + port}
}

// ListenSocket listens on a Unix socket that its owner alone may open. What
// stands at path must be a socket that nobody listens on, or nothing. Its
// errors are faults.
func ListenSocket(ctx context.Context, path string) (net.Listener, error) {
	l, err := listenSocket(ctx, path)
	if err != nil {
		return nil, fault.New(fault.NotConfigured, "the proxy cannot make its socket",
			"name a path with --socket that is short, free, and in a folder that your user may write").Because(err)
	}
	return l, nil
}

func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	var d net.Dialer
	if info, err := os.Lstat(path); err == nil {
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("making %q: %w", path, os.ErrExist)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// Made in a folder of its own, so that nobody can open it before its mode is set.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".egress-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{l, path}, nil
}

// socket takes its file away when it closes.
type socket struct {
	net.Listener
	path string
}

// Close ends the listener.
func (s *socket) Close() error { return errors.Join(s.Listener.Close(), os.Remove(s.path)) }

// ending is how long requests under way may take once the proxy is to end.
const ending = 5 * time.Second

// Serve serves h on l until ctx ends, and closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		DisableGeneralOptionsHandler: true,                       // it would answer OPTIONS * by itself
		ErrorLog:                     log.New(io.Discard, "", 0)} // net/http quotes there what it was sent
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	err := s.Shutdown(wait)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
