package simulator

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is a mishap that befalls the requests it fits. Faults are tried in the
// order in which they were set; the first that fits is the only one that acts.
//
// "Commit" is the moment at which the bank carries the request out: tokens are
// spent and issued. A fault with Status, Code, Body or Raw answers in the
// bank's place, and nothing is carried out unless Commit says so.
type Fault struct {
	// Which requests. An empty condition fits everything.
	Tool   string // create_access_token, refresh_token, create_user
	Method string
	Path   string // exact, or a prefix that ends in *
	Grant  string // grant_type
	Skip   int    // so many fitting requests are served first
	Times  int    // then so many are struck; 0: all until ClearFaults

	// Before the commit.
	DelayBefore time.Duration
	DropBefore  bool // close the connection; nothing is carried out

	// The answer.
	Commit  bool              // carry the request out, then answer as below
	Status  int               // 0: the bank's own
	Code    string            // the bank's own error body with this code; needs Status
	Headers map[string]string // added to the answer, whoever makes it
	Body    string            // replaces the body; with Status alone the body is empty
	Raw     string            // the bytes of the whole answer, sent as they are

	// After the commit.
	DelayAfter time.Duration
	DropAfter  bool          // close the connection without an answer
	Truncate   int           // send so many bytes of the body, then close
	Pad        int64         // send so many spaces after the body
	Drip       time.Duration // send the body byte by byte, so far apart
	Reset      bool          // where a connection is closed, with RST
}

func (f *Fault) fits(q *request) bool {
	switch {
	case f.Tool != "" && f.Tool != q.tool():
		return false
	case f.Method != "" && f.Method != q.Method:
		return false
	case f.Grant != "" && f.Grant != q.grant():
		return false
	}
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		return strings.HasPrefix(q.URL.Path, prefix)
	}
	return f.Path == "" || f.Path == q.URL.Path
}

// replaces reports whether the answer is not the bank's own.
func (f *Fault) replaces() bool {
	return f.Status != 0 || f.Code != "" || f.Body != "" || f.Raw != ""
}

// raw reports whether the answer cannot be left to net/http.
func (f *Fault) raw() bool {
	return f.Raw != "" || f.DropAfter || f.Truncate > 0
}

// faults holds what waits to befall. Where there is none it costs one load.
type faults struct {
	some   atomic.Bool
	before atomic.Int64 // delays of every request, nanoseconds
	after  atomic.Int64

	mu   sync.Mutex
	list []*Fault
	hit  int64
}

// none is the fault of a request that none befalls.
var none = &Fault{}

func (s *faults) add(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, &f)
	s.some.Store(true)
}

func (s *faults) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
	s.some.Store(false)
	s.before.Store(0)
	s.after.Store(0)
}

func (s *faults) waiting() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Fault, 0, len(s.list))
	for _, f := range s.list {
		list = append(list, *f)
	}
	return list
}

func (s *faults) take(q *request) *Fault {
	if !s.some.Load() {
		return none
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.list {
		if !f.fits(q) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			return none
		}
		s.hit++
		struck := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.list = append(s.list[:i:i], s.list[i+1:]...)
				s.some.Store(len(s.list) > 0)
			}
		}
		return &struck
	}
	return none
}

// instead returns the fault's own answer.
func (f *Fault) instead(b *Bank, q *request) answer {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	if f.Code != "" {
		return b.api.failure(q, status, f.Code)
	}
	a := answer{status: status, body: []byte(f.Body)}
	if len(f.Body) > 0 {
		a.set("Content-Type", "application/json;charset=UTF-8")
	}
	return a
}
