package stdio

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// slow is a client that reads when it is told to.
type slow struct {
	writing chan struct{}
	read    chan struct{}
	mu      sync.Mutex
	writes  []string
}

func newSlow() *slow { return &slow{writing: make(chan struct{}, 10), read: make(chan struct{})} }

func (s *slow) Write(b []byte) (int, error) {
	s.writing <- struct{}{}
	<-s.read
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, string(b))
	return len(b), nil
}

func (s *slow) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// still reports whether nothing arrives on c for a moment.
func still(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	case <-time.After(30 * time.Millisecond):
		return true
	}
}

func begin(f func()) <-chan struct{} {
	ended := make(chan struct{})
	go func() { f(); close(ended) }()
	return ended
}

func TestOutSendsTogetherWhatWaitsTogether(t *testing.T) {
	w := newSlow()
	o := newOut(w)
	first := begin(func() { o.send([]byte("1\n")) })
	<-w.writing
	o.send([]byte("2\n")) // returns: the first writes for it
	o.send([]byte("3\n"))
	flushed := begin(o.flush)
	if !still(flushed) {
		t.Error("flush did not wait for what is being written")
	}
	close(w.read)
	<-first
	<-flushed
	if got := w.got(); len(got) != 2 || got[0] != "1\n" || got[1] != "2\n3\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestOutMakesTheReaderWaitForAClientThatDoesNotRead(t *testing.T) {
	w := newSlow()
	o := newOut(w)
	first := begin(func() { o.send([]byte("1\n")) })
	<-w.writing
	o.room()
	o.send([]byte(strings.Repeat("x", maxUnread+1)))
	waiting := begin(o.room)
	if !still(waiting) {
		t.Error("there was room for more than may wait")
	}
	close(w.read)
	<-first
	<-waiting

	o = newOut(newSlow())
	go o.send([]byte("1\n")) // never written: the test ends before
	<-o.w.(*slow).writing
	o.send([]byte(strings.Repeat("x", maxUnread+1)))
	waiting, flushed := begin(o.room), begin(o.flush)
	o.close()
	<-waiting // close releases those who wait
	<-flushed
	o.w.(*slow).read <- struct{}{}
	close(o.w.(*slow).read)
}

func TestOutWritesNothingAfterClose(t *testing.T) {
	var b bytes.Buffer
	o := newOut(&b)
	o.send([]byte("1\n"))
	o.close()
	o.send([]byte("2\n"))
	if b.String() != "1\n" {
		t.Errorf("wrote %q", &b)
	}
}
