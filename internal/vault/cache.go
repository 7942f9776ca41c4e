package vault

import (
	"maps"
	"slices"
	"time"
)

const (
	cacheSize = 4096
	// cacheAge is how long a record is served without a look at the store, so
	// that a token which another process forgot is not handed out for longer.
	cacheAge = time.Second
	// writeBehind leaves the commit itself some of the promised second.
	writeBehind = 900 * time.Millisecond
)

// cache holds client_credentials records, and the newest tokens of theirs that
// are not written yet. The vault's mutex guards it and its entries.
type cache struct {
	byID  map[Identity]*entry
	byRef map[string]*entry
	dirty []*entry
	heard map[string]bool // attempts whose answers have been heard: as good as gone
}

// entry is a cached record. Its box is made once: deriving a key costs more
// than sealing with it.
type entry struct {
	rec   Record
	box   *box
	seq   int64     // of the record in the store, as far as we know
	seen  time.Time // when the store last had it
	dirty bool      // newer than the store, and in line to be written
	gone  bool      // forgotten; not to be written any more
}

func newCache() cache {
	return cache{byID: map[Identity]*entry{}, byRef: map[string]*entry{}, heard: map[string]bool{}}
}

// put adds e, and makes room by dropping any other that is written.
func (c *cache) put(e *entry) {
	if old := c.byID[e.rec.Identity]; old != nil {
		c.drop(old)
	}
	if len(c.byID) >= cacheSize {
		for _, victim := range c.byID { // a map's order is random enough
			if !victim.dirty {
				c.drop(victim)
				break
			}
		}
	}
	c.byID[e.rec.Identity], c.byRef[e.rec.Ref] = e, e
}

func (c *cache) drop(e *entry) {
	e.gone = true
	if c.byID[e.rec.Identity] == e {
		delete(c.byID, e.rec.Identity)
	}
	if c.byRef[e.rec.Ref] == e {
		delete(c.byRef, e.rec.Ref)
	}
}

// stale reports that the store must be asked. An entry in line to be written
// is not: the writer finds out whether the record is still there.
func (e *entry) stale(now time.Time) bool {
	return !e.dirty && now.Sub(e.seen) >= cacheAge
}

// newer puts r into e and in line to be written. It reports whether the
// writer must be told.
func (c *cache) newer(e *entry, r Record) bool {
	e.rec = r
	if e.dirty {
		return false
	}
	e.dirty = true
	c.dirty = append(c.dirty, e)
	return len(c.dirty) == 1
}

// late is one record on its way to the store.
type late struct {
	e     *entry
	rec   Record
	seq   int64
	wrote outcome
	found row // what stood there instead
	their Record
}

type outcome int

const (
	written outcome = iota
	vanished
	beaten // another process has minted since
)

// behind gathers the newest tokens that are not written yet.
func (v *Vault) behind() *job {
	v.mu.Lock()
	line := v.cache.dirty
	v.cache.dirty = nil
	batch := make([]late, 0, len(line))
	for _, e := range line {
		if !e.gone {
			v.rebox(e)
			batch = append(batch, late{e: e, rec: e.rec, seq: e.seq})
		}
	}
	heard := slices.Collect(maps.Keys(v.cache.heard))
	v.mu.Unlock()
	if len(batch) == 0 && len(heard) == 0 {
		return nil
	}
	return &job{
		run: func(t *transaction) error {
			for i := range batch {
				if err := v.writeLate(t, &batch[i]); err != nil {
					return err
				}
			}
			return v.forgetAttempts(t, heard)
		},
		after: func(err error) {
			v.settleLate(batch, err)
			v.settleHeard(heard, err)
		},
	}
}

func (v *Vault) settleHeard(heard []string, err error) {
	if err != nil {
		return // as long as they are remembered, nobody is answered by them
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range heard {
		delete(v.cache.heard, name)
	}
}

// rebox gives e a box of the present key. The caller holds v.mu.
func (v *Vault) rebox(e *entry) {
	s := v.sealer()
	if e.box.key == s.current {
		return
	}
	if b, err := s.fresh(e.rec.Identity.Grant, e.rec.Ref); err == nil {
		e.box = b
	}
}

// forgetAttempts takes away those whose answers have been heard, and those
// that nobody has come back for.
func (v *Vault) forgetAttempts(t *transaction, heard []string) error {
	for _, name := range heard {
		if _, err := t.exec(endHeard, name); err != nil {
			return err
		}
	}
	if len(heard) == 0 {
		return nil
	}
	now := v.now()
	_, err := t.exec(endAttempts, millis(now), millis(now.Add(-attemptsFor)))
	return err
}

// attemptsFor is how long an attempt to spend a code or to make a user is kept
// for a repeat.
const attemptsFor = 24 * time.Hour

func (v *Vault) writeLate(t *transaction, l *late) error {
	l.wrote = written
	for {
		ok, err := update(t, l.e.box, &l.rec, l.seq)
		if err != nil {
			return err
		}
		if ok {
			return v.audit(t, event{what: auditRenewed, ref: l.rec.Ref, generation: l.rec.Generation})
		}
		r, there, err := one(t, selectByRef, l.rec.Ref)
		if err != nil {
			return err
		}
		if !there {
			l.wrote = vanished
			return nil
		}
		if their, err := v.open(r); err == nil && their.Updated.After(l.rec.Updated) {
			l.wrote, l.found, l.their = beaten, r, their
			return nil
		}
		l.seq = r.seq
	}
}

func (v *Vault) settleLate(batch []late, err error) {
	v.mu.Lock()
	now := v.now()
	for _, l := range batch {
		e := l.e
		newest := e.rec.Generation == l.rec.Generation && e.rec.Updated.Equal(l.rec.Updated)
		switch {
		case err != nil:
			newest = false
		case l.wrote == vanished:
			v.cache.drop(e)
		case l.wrote == beaten:
			e.seq = l.found.seq
			if newest {
				e.rec = l.their
			}
		default:
			e.seq = l.seq + 1
			e.seen = now
		}
		if e.dirty = !newest && !e.gone; e.dirty {
			v.cache.dirty = append(v.cache.dirty, e)
		}
	}
	again := len(v.cache.dirty) > 0
	v.mu.Unlock()
	if again {
		v.writer.late()
	}
}

// confirm asks the store whether e's record still stands, and as we know it.
// One caller does so; others are served from e meanwhile.
func (v *Vault) confirm(e *entry, ref string, seq int64) error {
	n, there, err := number(v.reader, selectSeq, ref)
	if err == nil && there && n == seq {
		return nil
	}
	var r row
	if err == nil && there {
		r, there, err = one(v.reader, selectByRef, ref)
	}
	if err != nil {
		v.mu.Lock()
		e.seen = time.Time{}
		v.mu.Unlock()
		return storeFault(err)
	}
	var fresh Record
	if there {
		fresh, err = v.open(r)
		there = err == nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case e.dirty || e.seq != seq: // written meanwhile: the writer has looked
	case !there:
		v.cache.drop(e)
	default:
		e.rec, e.seq = fresh, r.seq
	}
	return nil
}

// serves reports that e answers a call as it is: it is fresh and the call not
// forced, or it is newer than what the call has seen.
func (e *entry) serves(p Policy, seen int, now time.Time) bool {
	if seen > 0 && e.rec.Generation > seen {
		return true
	}
	return !p.Force && e.rec.State == Live && e.rec.Token.Fresh(now, p.Margin)
}
