package vault

import (
	"context"
	"errors"
)

// merge brings a backup's rows into the live vault.
type merge struct {
	v       *Vault
	sealers []*sealer

	records    []backedRecord
	candidates []backedText
	passwords  []backedText
	users      []backedAttempt
	unreadable int

	did   Restored
	taken map[string]bool // refs of the records that came from the backup
}

type backedRecord struct {
	row row
	rec Record
}

type backedText struct {
	sealedRow
	plain []byte
}

type backedAttempt struct {
	attempt
	user []byte // the id of a user to be made, opened; else nil
}

// read opens all that is in the backup.
func (m *merge) read(ctx context.Context, b *backup) error {
	s, err := b.reader.snapshot(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	rows, err := rowsOf(s, selectAll)
	if err != nil {
		return err
	}
	for _, r := range rows {
		rec, ok := m.openRecord(r)
		if !ok {
			m.unreadable++
			continue
		}
		m.records = append(m.records, backedRecord{r, rec})
	}
	candidates, err := sealedRows(s, selectAllCandidates)
	if err != nil {
		return err
	}
	for _, c := range candidates { // one that does not open was none
		if plain, ok := m.open(c.key, kindCandidate, candidateName(c.name, c.id), c.sealed, 0); ok {
			m.candidates = append(m.candidates, backedText{sealedRow: c, plain: plain})
		}
	}
	passwords, err := sealedRows(s, selectAllPasswords)
	if err != nil {
		return err
	}
	for _, p := range passwords {
		plain, ok := m.open(p.key, kindPassword, passwordName(p.id, p.name), p.sealed, p.seq)
		if !ok {
			m.unreadable++
			continue
		}
		m.passwords = append(m.passwords, backedText{sealedRow: p, plain: plain})
	}
	return m.readUsers(s)
}

func (m *merge) readUsers(q querier) error {
	users, err := sealedRows(q, selectAllTexts) // a note is none
	if err != nil {
		return err
	}
	for _, u := range users {
		key, sealed, err := decodeSealed(string(u.sealed))
		if err != nil {
			continue
		}
		plain, ok := m.open(key, kindUser, u.name, sealed, 0)
		if !ok {
			continue
		}
		a, err := findAttempt(q, u.name)
		if err != nil {
			return err
		}
		m.users = append(m.users, backedAttempt{a, plain})
	}
	return nil
}

func (m *merge) openRecord(r row) (Record, bool) {
	for _, s := range m.sealers {
		opener := &Vault{}
		opener.seals.Store(s)
		if rec, err := opener.open(r); err == nil {
			return rec, true
		}
	}
	return Record{}, false
}

func (m *merge) open(key int64, kind, name string, sealed []byte, seq int64) ([]byte, bool) {
	for _, s := range m.sealers {
		b, err := s.box(key, kind, name)
		if err != nil {
			continue
		}
		if plain, err := b.open(sealed, seq); err == nil {
			return plain, true
		}
	}
	return nil, false
}

func (m *merge) write(t *transaction) error {
	for _, r := range m.records {
		if err := m.writeRecord(t, r); err != nil {
			return err
		}
	}
	for _, c := range m.candidates {
		if !m.taken[c.name] { // the live record has its own
			continue
		}
		b, err := m.v.sealer().fresh(kindCandidate, candidateName(c.name, c.id))
		if err != nil {
			return err
		}
		if _, err := t.exec(insertCandidate, c.name, c.id, b.key, millis(m.v.now()), b.seal(c.plain, 0)); err != nil {
			return err
		}
	}
	for _, p := range m.passwords {
		if err := m.writePassword(t, p); err != nil {
			return err
		}
	}
	for _, u := range m.users {
		if err := m.writeUser(t, u); err != nil {
			return err
		}
	}
	return nil
}

func (m *merge) writeRecord(t *transaction, b backedRecord) error {
	r, there, err := one(t, selectByRef, b.rec.Ref)
	if err != nil {
		return err
	}
	if !there {
		m.did.Inserted++
		return m.take(t, b)
	}
	live, err := m.v.open(r)
	switch {
	case errors.Is(err, errDamaged): // its bytes stay beside it
		id := make([]byte, 16)
		if err := m.v.drawInto(id); err != nil {
			return err
		}
		if _, err := t.exec(insertCandidate, r.ref, id, r.key, millis(m.v.now()), r.sealed); err != nil {
			return err
		}
	case err != nil:
		return err
	case !older(live, b.rec):
		m.did.Kept++
		return nil
	case !live.Token.Refresh.IsZero() && !live.Token.Refresh.Equal(b.rec.Token.Refresh):
		id := make([]byte, 16)
		if err := m.v.drawInto(id); err != nil {
			return err
		}
		if err := m.v.keepCandidate(t, answer{rec: live, attempt: attempt{id: id}}); err != nil {
			return err
		}
	}
	if _, err := t.exec(deleteRecord, r.ref); err != nil {
		return err
	}
	m.did.Replaced++
	return m.take(t, b)
}

// older reports that live is an earlier state than the backup's.
func older(live, backed Record) bool {
	if live.Generation != backed.Generation {
		return live.Generation < backed.Generation
	}
	return live.Updated.Before(backed.Updated)
}

// take inserts a record of the backup. Its Identity may have another record by
// now; then it is one that only its ref leads to.
func (m *merge) take(t *transaction, b backedRecord) error {
	rec, lookup := b.rec, b.row.lookup
	if lookup != nil {
		if _, taken, err := one(t, selectByLookup, lookup); err != nil {
			return err
		} else if taken {
			lookup = nil
		}
	}
	if rec.doubtful() {
		rec = m.v.suspect(rec)
	}
	if rec.State == Suspect { // it may have been so in the backup already
		m.did.Suspect = append(m.did.Suspect, rec.Ref)
	}
	if _, err := m.v.insert(t, rec, lookup); err != nil {
		return err
	}
	m.taken[rec.Ref] = true
	if a := b.row.attempt; a.id != nil && a.op == opRefresh {
		if _, err := t.exec(keepAttempt, a.name, a.op, a.id, a.state, a.ref, "", a.tries, millis(a.since), millis(a.until), string(a.code)); err != nil {
			return err
		}
	}
	return m.v.audit(t, event{what: auditRestored, ref: rec.Ref, generation: rec.Generation})
}

func (m *merge) writePassword(t *transaction, p backedText) error {
	if _, found, err := m.v.readPassword(t, p.id, p.name); err != nil || found {
		return err
	}
	if err := m.v.putPassword(t, p.id, p.name, p.plain); err != nil {
		return err
	}
	m.did.Passwords++
	return m.v.audit(t, event{what: auditPasswordRestored})
}

func (m *merge) writeUser(t *transaction, u backedAttempt) error {
	b, err := m.v.sealer().fresh(kindUser, u.name)
	if err != nil {
		return err
	}
	_, err = t.exec(keepAttempt, u.name, u.op, u.id, u.state, encodeSealed(b.key, b.seal(u.user, 0)), "", u.tries, millis(u.since), millis(u.until), string(u.code))
	return err
}
