package simulator

import (
	"sync"
	"time"
)

// kept is how many spent refresh tokens of a grant are remembered.
const kept = 64

// policy says how a bank's tokens live and die.
type policy struct {
	Rotation
	refreshLife time.Duration // since the grant began; 0: no end
	refreshIdle time.Duration // since its last use; 0: no end
	refreshing  string        // replace, add or same: what a refresh does with the live access token
	supersede   bool          // a new grant of the same user ends the earlier one's refresh token
	reuseCode   string        // refuse or revoke
	codeLife    time.Duration
	capacity    int
}

// access is an access token. Its fields are guarded by the ledger.
type access struct {
	token   string
	grant   *grant // nil: a client's own
	subject string // the user; "" for a client's own
	scope   string
	expires time.Time // zero: never
	dead    bool
}

// grant is what a user once agreed to, and all tokens that came of it.
type grant struct {
	number   int
	kind     string
	subject  string
	scope    string
	began    time.Time
	used     time.Time
	access   *access
	lines    []*generation // the last one is current
	ended    bool          // no refreshing any more
	revoked  bool          // no use any more
	posts    int64
	overlaps int64
}

func (g *grant) current() *generation { return g.lines[len(g.lines)-1] }

// generation is one refresh token of a grant.
type generation struct {
	token     string
	number    int
	grant     *grant
	successor *generation
	retired   time.Time // zero: current
	inFlight  int
	posts     int64
	overlaps  int64
}

// code is an authorization code.
type code struct {
	text        string
	redirectURI string
	scope       string
	subject     string
	expires     time.Time
	used        bool
	grant       *grant
}

// ledger is the truth of one bank: every token, and whether it lives.
type ledger struct {
	now    func() time.Time
	policy policy

	mu      sync.Mutex
	access  map[string]*access
	own     *access   // the client's own newest
	order   []*access // as issued; holds dead ones until the next sweep
	refresh map[string]*generation
	grants  []*grant
	begun   int
	users   map[string]*grant // the live grant of a user
	codes   map[string]*code
	issued  []*code
	unknown int64 // refresh POSTs of a token that is not, or no longer, known
}

func newLedger(now func() time.Time, p policy) *ledger {
	return &ledger{now: now, policy: p, access: map[string]*access{}, refresh: map[string]*generation{},
		users: map[string]*grant{}, codes: map[string]*code{}}
}

// fresh are the texts of tokens that may be issued next; they are made before
// the lock is taken.
type fresh struct {
	access  string
	refresh string
	life    time.Duration // of the access token; 0: never expires
}

// pair is what was issued. refresh is "" where the current one stays.
type pair struct {
	access  string
	expires time.Time
	refresh string // the one that the holder should use from now on
	rotated bool   // refresh is not the one that was posted
	scope   string
	subject string
}

// client issues an access token that belongs to no user. With same, a live
// one is handed out again.
func (l *ledger) client(f fresh, scope string, same bool) pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	if same {
		if a := l.live(l.own); a != nil {
			return pair{access: a.token, expires: a.expires, scope: a.scope}
		}
	}
	a := l.put(f, nil, "", scope)
	l.own = a
	return pair{access: a.token, expires: a.expires, scope: scope}
}

// begin opens a grant with its first tokens.
func (l *ledger) begin(kind, subject, scope string, f fresh) pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open(kind, subject, scope, f)
}

func (l *ledger) open(kind, subject, scope string, f fresh) pair {
	now := l.now()
	if g := l.users[subject]; g != nil && subject != "" && l.policy.supersede {
		g.ended = true
	}
	l.begun++
	g := &grant{number: l.begun, kind: kind, subject: subject, scope: scope, began: now, used: now}
	line := &generation{token: f.refresh, grant: g}
	g.lines = []*generation{line}
	l.refresh[f.refresh] = line
	l.grants = append(l.grants, g)
	if subject != "" {
		l.users[subject] = g
	}
	g.access = l.put(f, g, subject, scope)
	if len(l.grants) > l.policy.capacity {
		l.forget(l.grants[0])
		l.grants = l.grants[1:]
	}
	return pair{access: g.access.token, expires: g.access.expires, refresh: f.refresh, scope: scope, subject: subject}
}

// again is the password grant's way: while an access token lives it is handed
// out again, and its refresh token outlives it.
func (l *ledger) again(kind, subject, scope string, f fresh) pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.users[subject]
	if g == nil || !l.usable(g.current()) {
		return l.open(kind, subject, scope, f)
	}
	a := l.live(g.access)
	if a == nil {
		a = l.put(f, g, subject, scope)
		g.access = a
	}
	return pair{access: a.token, expires: a.expires, refresh: g.current().token, scope: scope, subject: subject}
}

// renew spends a refresh token; false means that it is not alive.
func (l *ledger) renew(token string, f fresh) (pair, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.refresh[token]
	if line == nil {
		return pair{}, false
	}
	g := line.grant
	if !l.usable(line) {
		if !line.retired.IsZero() && l.policy.RotationReuse == "revoke" {
			l.revoke(g)
		}
		return pair{}, false
	}
	g.used = l.now()
	next := l.succeed(line, f.refresh)
	a := l.live(g.access)
	if a == nil || l.policy.refreshing != "same" {
		if a != nil && l.policy.refreshing == "replace" {
			l.kill(a)
		}
		a = l.put(f, g, g.subject, g.scope)
		g.access = a
	}
	return pair{access: a.token, expires: a.expires, refresh: next.token, rotated: next != line, scope: g.scope, subject: g.subject}, true
}

// succeed returns the generation that follows line, as the rotation has it.
func (l *ledger) succeed(line *generation, token string) *generation {
	if l.policy.Rotation.Rotation == "none" {
		return line
	}
	if line.successor != nil {
		return line.successor // within the grace: the same answer as before
	}
	g := line.grant
	next := &generation{token: token, number: line.number + 1, grant: g}
	line.successor, line.retired = next, l.now()
	l.refresh[token] = next
	g.lines = append(g.lines, next)
	if len(g.lines) > kept {
		delete(l.refresh, g.lines[0].token)
		g.lines = g.lines[1:]
	}
	return next
}

// usable reports whether a refresh token may be spent now.
func (l *ledger) usable(line *generation) bool {
	g, now, p := line.grant, l.now(), l.policy
	switch {
	case g.revoked || g.ended:
		return false
	case p.refreshLife > 0 && !now.Before(g.began.Add(p.refreshLife)):
		return false
	case p.refreshIdle > 0 && !now.Before(g.used.Add(p.refreshIdle)):
		return false
	case line.retired.IsZero():
		return true
	}
	return p.Rotation.Rotation == "grace" && now.Before(line.retired.Add(p.RotationGrace))
}

// put issues an access token and sweeps the ones that are over.
func (l *ledger) put(f fresh, g *grant, subject, scope string) *access {
	a := &access{token: f.access, grant: g, subject: subject, scope: scope}
	if f.life > 0 {
		a.expires = l.now().Add(f.life)
	}
	l.access[a.token] = a
	l.order = append(l.order, a)
	if len(l.order) > l.policy.capacity {
		l.sweep()
	}
	return a
}

// sweep drops what is dead, and then the oldest until a tenth is free, so that
// it seldom runs.
func (l *ledger) sweep() {
	now := l.now()
	alive := l.order[:0]
	for _, a := range l.order {
		if l.liveAt(a, now) != nil {
			alive = append(alive, a)
		} else {
			l.kill(a)
		}
	}
	over := max(0, len(alive)-l.policy.capacity*9/10)
	for _, a := range alive[:over] {
		l.kill(a)
	}
	rest := make([]*access, len(alive)-over, l.policy.capacity+1)
	copy(rest, alive[over:])
	l.order = rest
}

// live returns a if it may be used now, else nil.
func (l *ledger) live(a *access) *access { return l.liveAt(a, l.now()) }

func (l *ledger) liveAt(a *access, now time.Time) *access {
	switch {
	case a == nil || a.dead || a.grant != nil && a.grant.revoked:
		return nil
	case !a.expires.IsZero() && !now.Before(a.expires):
		return nil
	}
	return a
}

func (l *ledger) kill(a *access) {
	a.dead = true
	delete(l.access, a.token)
}

func (l *ledger) revoke(g *grant) {
	g.revoked, g.ended = true, true
	if g.access != nil {
		l.kill(g.access)
	}
}

func (l *ledger) forget(g *grant) {
	l.revoke(g)
	for _, line := range g.lines {
		delete(l.refresh, line.token)
	}
	if l.users[g.subject] == g {
		delete(l.users, g.subject)
	}
}
