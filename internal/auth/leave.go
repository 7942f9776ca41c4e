package auth

import (
	"maps"
	"sync"
	"time"
)

// leaves remembers for how long an issuer's principals may do what: until the
// token of theirs that lasts longest, of those that came here, has expired.
type leaves struct {
	mu  sync.Mutex
	all map[string]leave // by principal
}

type leave struct {
	until  time.Time
	scopes []string
}

// mostLeaves bounds the memory. Beyond it all are forgotten, and each comes
// back with its principal's next call.
const mostLeaves = 4096

func (l *leaves) note(c Caller, until, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]leave{}
	}
	if old, ok := l.all[c.Principal]; ok && until.Before(old.until) {
		return
	} else if !ok && len(l.all) >= mostLeaves {
		maps.DeleteFunc(l.all, func(_ string, o leave) bool { return !now.Before(o.until) })
		if len(l.all) >= mostLeaves {
			clear(l.all)
		}
	}
	l.all[c.Principal] = leave{until, c.Scopes}
}

func (l *leaves) may(principal string, enough func(scopes []string) bool, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.all[principal]
	return ok && now.Before(o.until) && enough(o.scopes)
}
