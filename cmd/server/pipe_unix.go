//go:build unix

package main

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollable returns in such that a read which waits holds no thread: Go takes
// the processor from a blocked read only after 20 µs, and cannot end one when
// a signal comes. A terminal is left as it is, because the shell shares it.
func pollable(in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok {
		return in
	}
	if f.SetReadDeadline(time.Time{}) == nil {
		return in // it came without blocking, and the poller has it
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return in
	}
	fd := f.Fd()
	if syscall.SetNonblock(int(fd), true) != nil {
		return in
	}
	return os.NewFile(fd, f.Name())
}

// takes returns what reports whether out takes 4096 bytes without waiting, or
// nil where that cannot be known: poll(2) promises it for a pipe on Linux, and
// an eighth of it on others.
func takes(out io.Writer) func() bool {
	f, ok := out.(*os.File)
	if !ok || runtime.GOOS != "linux" {
		return nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	return func() bool {
		ready := false
		err := raw.Control(func(fd uintptr) {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			n, err := unix.Poll(p, 0)
			ready = err == nil && n == 1 && p[0].Revents == unix.POLLOUT
		})
		return err == nil && ready
	}
}
