//go:build unix

package main

import (
	"io"
	"os"
	"syscall"
	"time"
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
