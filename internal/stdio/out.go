package stdio

import (
	"io"
	"sync"
)

const (
	maxUnread = 16 << 20 // bytes that wait for the client; reading pauses above it
	maxSpare  = 1 << 20  // bytes of a buffer that is kept for the next write
)

// out writes whole lines. Whoever comes while nobody writes does the writing,
// for itself and for all who come meanwhile: an answer alone leaves at once,
// and many leave together.
type out struct {
	w      io.Writer
	broken chan struct{} // closed when a write has failed

	mu      sync.Mutex
	quiet   *sync.Cond
	waiting []byte
	spare   []byte
	writing bool
	closed  bool
	err     error
}

func newOut(w io.Writer) *out {
	o := &out{w: w, broken: make(chan struct{})}
	o.quiet = sync.NewCond(&o.mu)
	return o
}

// send writes line, or leaves it to the one who is writing. Nothing is written
// after close or a failed write.
func (o *out) send(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.err != nil {
		return
	}
	o.waiting = append(o.waiting, line...)
	if o.writing {
		return
	}
	o.writing = true
	for len(o.waiting) > 0 && o.err == nil {
		o.write()
	}
	o.writing = false
	o.quiet.Broadcast()
}

// write hands on all that waits. The lock is held, except while writing.
func (o *out) write() {
	buf := o.waiting
	o.waiting = o.spare[:0]
	o.spare = nil
	o.mu.Unlock()
	_, err := o.w.Write(buf)
	o.mu.Lock()
	if cap(buf) <= maxSpare {
		o.spare = buf[:0]
	}
	if err != nil {
		o.err = err
		close(o.broken)
	}
	o.quiet.Broadcast()
}

// room waits while the client leaves too much unread.
func (o *out) room() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > maxUnread && !o.closed && o.err == nil {
		o.quiet.Wait()
	}
}

// flush waits until everything sent is written, or close.
func (o *out) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing && !o.closed {
		o.quiet.Wait()
	}
}

// close lets nothing more out and releases all who wait.
func (o *out) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.quiet.Broadcast()
}

func (o *out) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
