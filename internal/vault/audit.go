package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"bankauth/internal/fault"
)

// event is one entry of the audit: a change of a credential's state. It has no
// field that could hold a secret, a user's name or a provider's text.
type event struct {
	what       string
	ref        string // token_ref; "" where no token is concerned
	attempt    []byte // id of the attempt that brought it; nil where none did
	generation int
	code       fault.Code // why, where the change is a failure; else ""
}

// What the audit speaks of.
const (
	auditMade      = "made"
	auditRenewed   = "renewed"
	auditUncertain = "uncertain"
	auditEnded     = "ended"
	auditCandidate = "candidate"
	auditForgotten = "forgotten"
	auditDoubted   = "doubted"  // became suspect
	auditRestored  = "restored" // came from a backup
	auditAccepted  = "accepted" // the operator's word on a suspect token

	auditRekeyed = "rekeyed" // the vault itself

	auditPasswordKept      = "password_kept"
	auditPasswordConfirmed = "password_confirmed"
	auditPasswordAbandoned = "password_abandoned"
	auditPasswordRestored  = "password_restored"
	auditPasswordForgotten = "password_forgotten"
)

// chain makes each entry vouch for all before it: an entry's mac covers the
// one before, and meta's audit_head, which is written in the same transaction,
// covers the last. Nobody can write either without the index key.
type chain struct {
	key []byte

	mu   sync.Mutex
	last link // of the newest transaction of ours that survives a power cut
}

// link is an entry's place in the chain.
type link struct {
	seq int64
	mac []byte
}

const (
	auditHead = "audit_head"
	auditBase = "audit_base"
	macSize   = sha256.Size
)

var errChain = errors.New("the audit's head does not fit")

func newChain(s *sealer) *chain { return &chain{key: s.lookup("audit")} }

// mac covers the entry after prev.
func (c *chain) mac(prev link, at int64, e event) []byte {
	m := hmac.New(sha256.New, c.key)
	m.Write([]byte("entry"))
	m.Write(prev.mac)
	var n [24]byte
	binary.BigEndian.PutUint64(n[:], uint64(prev.seq+1))
	binary.BigEndian.PutUint64(n[8:], uint64(at))
	binary.BigEndian.PutUint64(n[16:], uint64(e.generation))
	m.Write(n[:])
	m.Write(joined(e.what, e.ref, string(e.attempt), string(e.code)))
	return m.Sum(nil)
}

// sealed is a link as meta keeps it: sequence, mac, and a mac over both.
func (c *chain) sealed(l link) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, uint64(l.seq)), l.mac...)
	m := hmac.New(sha256.New, c.key)
	m.Write([]byte("head"))
	m.Write(b)
	return m.Sum(b)
}

func (c *chain) opened(b []byte) (link, error) {
	if len(b) != 8+2*macSize {
		return link{}, errChain
	}
	l := link{seq: int64(binary.BigEndian.Uint64(b)), mac: bytes.Clone(b[8 : 8+macSize])}
	if !hmac.Equal(c.sealed(l), b) {
		return link{}, errChain
	}
	return l, nil
}

// genesis is the head of a chain without entries.
func (c *chain) genesis() []byte { return c.sealed(link{mac: make([]byte, macSize)}) }

// committed takes note of t's last entry, and has the anchor follow.
func (c *chain) committed(t *transaction) {
	if t.head == nil || !t.w.full {
		return
	}
	c.mu.Lock()
	c.last = *t.head
	c.mu.Unlock()
	t.w.late()
}

func (c *chain) durable() link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// audit writes e as part of t: where that fails, so does the change itself.
func (v *Vault) audit(t *transaction, e event) error {
	c := t.w.chain
	if t.head == nil {
		value, err := metaValue(t, auditHead)
		if err != nil {
			return err
		}
		head, err := c.opened(value)
		if err != nil {
			return damagedAudit(err)
		}
		t.head = &head
	}
	at := millis(v.now())
	next := link{seq: t.head.seq + 1, mac: c.mac(*t.head, at, e)}
	if e.attempt == nil {
		e.attempt = []byte{}
	}
	if _, err := t.exec(insertAudit, next.seq, at, e.what, e.ref, e.attempt, e.generation, string(e.code), next.mac); err != nil {
		return err
	}
	*t.head = next
	return c.prune(t, next)
}

// closeChain puts the new head in its place.
func (t *transaction) closeChain() error {
	if t.head == nil {
		return nil
	}
	_, err := t.exec(updateMeta, t.w.chain.sealed(*t.head), auditHead)
	return err
}

func damagedAudit(cause error) *fault.Fault {
	return refuse("the vault's audit has been changed by somebody else", "nothing was changed; run `bankauth audit verify`, then restore the vault from a backup", cause)
}

// metaValue returns a value of meta; nil where there is none.
func metaValue(q querier, name string) ([]byte, error) { return blob(q, selectValue, name) }

// blob returns the first column of the first row; nil where there is none.
func blob(q querier, query string, args ...any) ([]byte, error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading a value: %w", err)
	}
	defer rows.Close()
	var value []byte
	if rows.Next() {
		err = rows.Scan(&value)
	}
	return value, errors.Join(err, rows.Err())
}
