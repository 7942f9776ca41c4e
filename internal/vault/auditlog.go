package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"bankauth/internal/fault"
)

// Entry is one line of the audit.
type Entry struct {
	Seq        int64 // from 1, without gaps
	At         time.Time
	Event      string     // such as made, renewed or ended
	Ref        string     // token_ref; "" where no token is concerned
	Attempt    string     // id of the attempt that brought it, in hex; "" where none did
	Generation int        // of the record; 0 where none is concerned
	Code       fault.Code // why, where it is a failure; else ""
}

// Choice says which entries are wanted; the zero Choice: all.
type Choice struct {
	Ref   string
	Since time.Time
	Last  int // so many of the newest; 0: no bound
}

// Audit returns the chosen entries of the vault that o describes, the newest
// last. Nothing is made or changed; made is false where there is no vault. It
// does not ask whether they are genuine: VerifyAudit does.
func Audit(ctx context.Context, o Options, c Choice) (entries []Entry, made bool, err error) {
	err = eachEntry(ctx, o, func(_ *chain, _, _ link, l *logged) {
		made = true
		if l == nil || c.Ref != "" && l.ref != c.Ref || l.at < millis(c.Since) {
			return
		}
		entries = append(entries, l.entry())
		if c.Last > 0 && len(entries) > 2*c.Last { // keeps a long audit from filling the memory
			entries = append(entries[:0], entries[len(entries)-c.Last:]...)
		}
	})
	if c.Last > 0 && len(entries) > c.Last {
		entries = entries[len(entries)-c.Last:]
	}
	return entries, made, err
}

// AuditReport says whether the audit is what was written.
type AuditReport struct {
	Made        bool  // false: there is no vault; the rest is zero
	Entries     int64 // that are there
	First, Last int64 // their sequences
	Pruned      int64 // entries before the first that were taken away in time, by us
	Findings    []AuditFinding
}

// AuditFinding is a place where it is not. Words are for people.
type AuditFinding struct {
	Seq   int64 // the first entry that is concerned; 0: none in particular
	Words string
}

// VerifyAudit checks each entry of the audit against the one before it, and the
// last against the vault's head. Nothing is made or changed.
func VerifyAudit(ctx context.Context, o Options) (AuditReport, error) {
	var c check
	err := eachEntry(ctx, o, func(chain *chain, base, head link, l *logged) {
		if l == nil {
			c = check{chain: chain, head: head, prev: base}
			c.report.Made, c.report.Pruned = true, base.seq
			return
		}
		c.next(l)
	})
	if err != nil {
		var f *fault.Fault
		if errors.As(err, &f) && errors.Is(err, errChain) {
			return AuditReport{Made: true, Findings: []AuditFinding{{Words: f.Message}}}, nil
		}
		return AuditReport{}, err
	}
	c.end()
	return c.report, nil
}

// check goes along the chain.
type check struct {
	chain      *chain
	prev, head link
	report     AuditReport
}

func (c *check) find(seq int64, format string, args ...any) {
	const enough = 100 // one who reads more than that has understood
	if len(c.report.Findings) < enough {
		c.report.Findings = append(c.report.Findings, AuditFinding{Seq: seq, Words: fmt.Sprintf(format, args...)})
	}
}

func (c *check) next(l *logged) {
	c.report.Entries++
	if c.report.First == 0 {
		c.report.First = l.seq
	}
	c.report.Last = l.seq
	switch {
	case l.seq <= c.prev.seq:
		c.find(l.seq, "entry %d stands before the beginning of the chain: it was put in", l.seq)
		return
	case l.seq > c.head.seq:
		c.find(l.seq, "entry %d stands after the end of the chain: it was put in", l.seq)
	case l.seq > c.prev.seq+1:
		c.find(c.prev.seq+1, "%s", missing(c.prev.seq+1, l.seq-1))
	case string(c.chain.mac(c.prev, l.at, l.event)) != string(l.mac):
		c.find(l.seq, "entry %d was changed or put in", l.seq)
	}
	c.prev = link{seq: l.seq, mac: l.mac}
}

func (c *check) end() {
	switch {
	case !c.report.Made:
	case c.prev.seq < c.head.seq:
		c.find(c.prev.seq+1, "%s", missing(c.prev.seq+1, c.head.seq))
	case c.prev.seq == c.head.seq && string(c.prev.mac) != string(c.head.mac):
		c.find(c.prev.seq, "entry %d is not the one that the vault's head vouches for", c.prev.seq)
	}
}

func missing(from, to int64) string {
	if from == to {
		return fmt.Sprintf("entry %d is missing", from)
	}
	return fmt.Sprintf("entries %d to %d are missing", from, to)
}

// logged is an entry as it lies in the store.
type logged struct {
	seq, at int64
	event
	mac []byte
}

func (l *logged) entry() Entry {
	return Entry{Seq: l.seq, At: moment(l.at), Event: l.what, Ref: l.ref, Attempt: hex.EncodeToString(l.attempt), Generation: l.generation, Code: l.code}
}

// eachEntry calls visit with a nil entry first, then with each in turn, all of
// one state of the store. Without a vault it is not called.
func eachEntry(ctx context.Context, o Options, visit func(c *chain, base, head link, l *logged)) error {
	g, err := glimpse(ctx, o.filled())
	if err != nil || g == nil {
		return err
	}
	defer g.close()
	s, err := g.reader.snapshot(ctx)
	if err != nil {
		return storeFault(err)
	}
	defer s.close()
	if err := along(s, newChain(g.sealer), visit); err != nil {
		return storeFault(err)
	}
	return nil
}

// along reads the whole audit.
func along(q querier, c *chain, visit func(c *chain, base, head link, l *logged)) error {
	base, head, err := c.ends(q)
	if err != nil {
		return err
	}
	visit(c, base, head, nil)
	for last, more := int64(-1), true; more; {
		page, err := auditPage(q, last)
		if err != nil {
			return err
		}
		for _, l := range page {
			visit(c, base, head, l)
			last = l.seq
		}
		more = len(page) > 0
	}
	return nil
}

// ends returns the links that the chain begins after and ends with.
func (c *chain) ends(q querier) (base, head link, err error) {
	for _, e := range []struct {
		name string
		into *link
	}{{auditHead, &head}, {auditBase, &base}} {
		value, err := metaValue(q, e.name)
		if err != nil {
			return link{}, link{}, err
		}
		if value == nil && e.name == auditBase { // nothing has been pruned yet
			value = c.genesis()
		}
		if *e.into, err = c.opened(value); err != nil {
			return link{}, link{}, damagedAudit(err)
		}
	}
	return base, head, nil
}

func auditPage(q querier, after int64) ([]*logged, error) {
	rows, err := q.query(selectAudit, after)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	defer rows.Close()
	var page []*logged
	for rows.Next() {
		var l logged
		var code string
		if err := rows.Scan(&l.seq, &l.at, &l.what, &l.ref, &l.attempt, &l.generation, &code, &l.mac); err != nil {
			return nil, fmt.Errorf("reading the audit: %w", err)
		}
		l.code = fault.Code(code)
		page = append(page, &l)
	}
	return page, rows.Err()
}

// prune takes away the oldest entries, at each full thousand. audit_base then
// says, sealed like the head, after which entry the chain begins.
func (c *chain) prune(t *transaction, now link) error {
	if now.seq%auditStep != 0 || now.seq <= auditKeep {
		return nil
	}
	cut := now.seq - auditKeep
	page, err := auditPage(t, cut-1)
	if err != nil {
		return err
	}
	if len(page) == 0 || page[0].seq != cut {
		return nil // somebody took it away, which verify tells; so the rest stays as it is
	}
	if _, err := t.exec(putMeta, auditBase, c.sealed(link{seq: cut, mac: page[0].mac})); err != nil {
		return err
	}
	_, err = t.exec(pruneAudit, cut)
	return err
}

// How many entries are kept: some years of a developer's, some days of a busy
// server's, 20 MB.
const (
	auditKeep = 100_000
	auditStep = 1000
)
