package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Condition is what a thorough look at a vault finds.
type Condition struct {
	Status
	Unsound      []string // what the store says is wrong with its file, at most 20 lines
	Audit        AuditReport
	Aside        []string // token_refs of records that do not open
	BadPasswords int      // that do not open
	BadAnswers   int      // candidates and spill files that do not open
	Suspects     []string // token_refs
	Pending      int      // attempts under way, or cut off
	Cooling      int      // attempts that have failed and wait
	Older        int      // texts that are sealed with an older data key
	Reserved     bool     // the room for answers on a full disk is held
}

// Check opens everything that the vault holds, without making or changing
// anything, beside whoever is using it. Its errors are those of Open.
func Check(ctx context.Context, o Options) (Condition, error) {
	o = o.filled()
	s, err := Inspect(ctx, o)
	c := Condition{Status: s}
	if err != nil || !s.Made {
		return c, err
	}
	if c.Audit, err = VerifyAudit(ctx, o); err != nil {
		return c, err
	}
	g, err := glimpse(ctx, o)
	if err != nil || g == nil {
		return c, err
	}
	defer g.close()
	shot, err := g.reader.snapshot(ctx)
	if err != nil {
		return c, storeFault(err)
	}
	defer shot.close()
	for _, look := range []func(*glance, querier) error{c.sound, c.records, c.texts, c.spilled} {
		if err := look(g, shot); err != nil {
			return c, storeFault(err)
		}
	}
	info, err := os.Stat(g.folder.reserve())
	c.Reserved = err == nil && info.Size() >= reserveSize
	return c, nil
}

func (c *Condition) sound(_ *glance, q querier) error {
	if c.Store != "" { // a server's pages are for its own tools, such as pg_amcheck
		return nil
	}
	rows, err := q.query(integrityStatement)
	if err != nil {
		return fmt.Errorf("checking the store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fmt.Errorf("checking the store: %w", err)
		}
		if line != "ok" {
			c.Unsound = append(c.Unsound, line)
		}
	}
	return rows.Err()
}

func (c *Condition) records(g *glance, q querier) error {
	rows, err := rowsOf(q, selectAll)
	if err != nil {
		return err
	}
	opener := &Vault{}
	opener.seals.Store(g.sealer)
	for _, r := range rows {
		rec, err := opener.open(r)
		switch {
		case err != nil:
			c.Aside = append(c.Aside, r.ref)
		case rec.State == Suspect:
			c.Suspects = append(c.Suspects, r.ref)
		}
		if r.key != g.sealer.current {
			c.Older++
		}
	}
	for _, n := range []struct {
		state string
		into  *int
	}{{attemptPending, &c.Pending}, {attemptCooling, &c.Cooling}} {
		many, _, err := number(q, countAttempts, n.state)
		if err != nil {
			return err
		}
		*n.into = int(many)
	}
	return nil
}

func (c *Condition) texts(g *glance, q querier) error {
	for _, k := range []struct {
		query, kind string
		name        func(sealedRow) string
		bad         *int
	}{
		{selectAllCandidates, kindCandidate, func(r sealedRow) string { return candidateName(r.name, r.id) }, &c.BadAnswers},
		{selectAllPasswords, kindPassword, func(r sealedRow) string { return passwordName(r.id, r.name) }, &c.BadPasswords},
	} {
		rows, err := sealedRows(q, k.query)
		if err != nil {
			return err
		}
		for _, r := range rows {
			b, err := g.sealer.box(r.key, k.kind, k.name(r))
			if err == nil {
				_, err = b.open(r.sealed, r.seq)
			}
			if err != nil {
				*k.bad++
			}
			if r.key != g.sealer.current {
				c.Older++
			}
		}
	}
	return nil
}

func (c *Condition) spilled(g *glance, _ querier) error {
	s := &spill{dir: g.folder.spill()}
	names, err := s.names()
	if err != nil {
		return err
	}
	opener := &Vault{}
	opener.seals.Store(g.sealer)
	for _, name := range names {
		if _, err := s.take(opener, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.BadAnswers++
		}
	}
	return nil
}
