package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"sort"
	"sync"
)

// Truth is what really happened at a bank, at one moment. It holds no secret:
// a token is named by its Fingerprint.
type Truth struct {
	Bank        string           `json:"bank"`
	Connections int64            `json:"connections"` // TCP connections accepted
	Requests    int64            `json:"requests"`    // those below /_simulator/ are not counted
	Posts       map[string]int64 `json:"posts"`       // POST requests by path
	ByGrant     map[string]int64 `json:"by_grant"`    // of those, the token requests by grant_type; an unknown one is "other"
	Redirected  int64            `json:"redirected"`  // requests that reached /_simulator/elsewhere
	Confided    int64            `json:"confided"`    // requests with a secret's name in the request line or Referer
	Struck      int64            `json:"struck"`      // requests that a fault befell

	Access  int     `json:"access"`  // access tokens alive
	Unknown int64   `json:"unknown"` // refresh POSTs of a token that was never issued, or is forgotten
	Begun   int     `json:"begun"`   // grants opened since the start
	Grants  []Grant `json:"grants"`  // oldest first
	Users   []User  `json:"users"`   // of finAPI, by id
}

// Grant is what a user agreed to, and the refresh tokens that came of it.
type Grant struct {
	Number   int          `json:"number"` // from 1
	Grant    string       `json:"grant"`  // grant_type that opened it
	Subject  string       `json:"subject,omitempty"`
	Alive    bool         `json:"alive"` // one of its refresh tokens may be spent
	Access   bool         `json:"access"`
	Posts    int64        `json:"posts"`    // refresh POSTs of any of its tokens
	Overlaps int64        `json:"overlaps"` // of those, the ones that came while another of the same token was under way
	Tokens   []Generation `json:"tokens"`   // the newest 64, oldest first
}

// Generation is one refresh token of a grant.
type Generation struct {
	Number      int    `json:"number"` // from 0
	Fingerprint string `json:"fingerprint"`
	Alive       bool   `json:"alive"`
	Posts       int64  `json:"posts"`
	Overlaps    int64  `json:"overlaps"`
}

// User is one that was created.
type User struct {
	ID       string `json:"id"`
	Verified bool   `json:"verified"`
	Locked   bool   `json:"locked"`
	Failed   int    `json:"failed"` // log-ins in a row
}

// Fingerprint names a token without giving it away: the first 16 hex digits of
// its SHA-256.
func Fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

// Refresh returns the generation with the given refresh token.
func (t Truth) Refresh(token string) (Generation, bool) {
	print := Fingerprint(token)
	for _, g := range t.Grants {
		for _, line := range g.Tokens {
			if line.Fingerprint == print {
				return line, true
			}
		}
	}
	return Generation{}, false
}

// Truth returns what has happened until now.
func (b *Bank) Truth() Truth {
	t := Truth{Bank: b.Name, Connections: b.listener.(*listener).n.Load()}
	b.tally.tell(&t)
	b.faults.mu.Lock()
	t.Struck = b.faults.hit
	b.faults.mu.Unlock()
	b.ledger.tell(&t)
	if a, ok := b.api.(*finAPI); ok {
		t.Users = a.people.tell()
	}
	return t
}

func (l *ledger) tell(t *Truth) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Unknown, t.Begun, t.Grants = l.unknown, l.begun, make([]Grant, 0, len(l.grants))
	for _, a := range l.access {
		if l.live(a) != nil {
			t.Access++
		}
	}
	for _, g := range l.grants {
		told := Grant{Number: g.number, Grant: g.kind, Subject: g.subject, Access: l.live(g.access) != nil,
			Posts: g.posts, Overlaps: g.overlaps, Tokens: make([]Generation, 0, len(g.lines))}
		for _, line := range g.lines {
			alive := l.usable(line)
			told.Alive = told.Alive || alive
			told.Tokens = append(told.Tokens, Generation{Number: line.number, Fingerprint: Fingerprint(line.token),
				Alive: alive, Posts: line.posts, Overlaps: line.overlaps})
		}
		t.Grants = append(t.Grants, told)
	}
}

// paths bounds the names that a tally keeps; a client may ask for anything.
const paths = 256

// tally counts requests.
type tally struct {
	mu         sync.Mutex
	requests   int64
	posts      map[string]int64
	grants     map[string]int64
	redirected int64
	confided   int64
}

func (c *tally) count(q *request) {
	confided := q.confided()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if confided {
		c.confided++
	}
	if q.Method != "POST" {
		return
	}
	path := q.URL.Path
	if _, ok := c.posts[path]; !ok && len(c.posts) >= paths {
		path = "…"
	}
	c.posts[path]++
	switch grant := q.grant(); grant {
	case "":
	case "client_credentials", "authorization_code", "password", "refresh_token":
		c.grants[grant]++
	default:
		c.grants["other"]++
	}
}

func (c *tally) tell(t *Truth) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Requests, t.Redirected, t.Confided = c.requests, c.redirected, c.confided
	t.Posts, t.ByGrant = maps.Clone(c.posts), maps.Clone(c.grants)
}

func (p *people) tell() []User {
	p.mu.Lock()
	defer p.mu.Unlock()
	users := make([]User, 0, len(p.byID))
	for _, u := range p.byID {
		users = append(users, User{ID: u.id, Verified: u.verified, Locked: u.locked, Failed: u.failed})
	}
	sort.Slice(users, func(i, j int) bool { return users[i].ID < users[j].ID })
	return users
}
