package vault

import (
	"encoding/hex"
	"errors"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// answer is what a provider gave, on its way into the store. Nothing else is
// done with it before it is there.
type answer struct {
	rec     Record
	before  int  // generation of the record that it was minted from; 0: none
	own     bool // rec's Identity has a record of its own, which this one takes over
	attempt attempt
	used    []byte // id of the candidate whose refresh token brought it; nil: the record's own did
}

// landing is how an answer reached the store.
type landing int

const (
	landed landing = iota
	second         // another mint was quicker; the refresh token is kept as a candidate
	gone           // the record was forgotten meanwhile, as the user asked
)

// keep stores an answer and returns what the caller gets. Where the store
// cannot take it, the lock h stays ours until something has.
func (v *Vault) keep(h *hold, a answer) (Record, bool, error) {
	var kept stored
	var how landing
	err := v.secure(h, a, func(t *transaction) (err error) {
		kept, how, err = v.land(t, a)
		return err
	})
	switch {
	case err != nil:
		return Record{}, false, storeFault(err)
	case how == gone:
		return Record{}, false, unknownRef()
	}
	return kept.rec, false, nil
}

// land writes a as part of t. It may be called again for an answer that is
// there already.
func (v *Vault) land(t *transaction, a answer) (stored, landing, error) {
	kept, how, err := v.place(t, a)
	if err != nil {
		return stored{}, how, err
	}
	if a.used != nil {
		if _, err := t.exec(deleteCandidate, a.rec.Ref, a.used); err != nil {
			return stored{}, how, err
		}
	}
	return kept, how, v.settleAttempt(t, a.attempt)
}

func (v *Vault) place(t *transaction, a answer) (stored, landing, error) {
	if a.own {
		kept, err := v.adopt(t, a.rec.Identity, a.rec.Ref, a.rec)
		if err != nil {
			return stored{}, landed, err
		}
		return kept, landed, v.audit(t, a.event(auditMade))
	}
	r, there, err := one(t, selectByRef, a.rec.Ref)
	switch {
	case err != nil:
		return stored{}, landed, err
	case !there && a.before > 0:
		return stored{}, gone, nil
	case !there:
		kept, err := v.insert(t, a.rec, nil)
		if err != nil {
			return stored{}, landed, err
		}
		return kept, landed, v.audit(t, a.event(auditMade))
	}
	now, err := v.open(r)
	switch {
	case errors.Is(err, errKeyGone) && string(r.attempt.id) == string(a.attempt.id):
		// The vault was given a new key while we were at it. Our attempt stands,
		// so nobody has minted since.
	case err != nil:
		return stored{}, landed, err
	case now.Generation == a.rec.Generation && now.Token.Refresh.Equal(a.rec.Token.Refresh):
		return stored{rec: now, seq: r.seq}, landed, nil
	case now.Generation != a.before:
		return stored{rec: now, seq: r.seq}, second, v.keepCandidate(t, a)
	}
	kept, err := v.rewrite(t, r, a.rec)
	if err != nil {
		return stored{}, landed, err
	}
	what := auditRenewed
	if a.rec.State != Live {
		what = auditUncertain
	}
	return kept, landed, v.audit(t, a.event(what))
}

func (a answer) event(what string) event {
	return event{what: what, ref: a.rec.Ref, attempt: a.attempt.id, generation: a.rec.Generation}
}

// settleAttempt ends the attempt that brought an answer. One for what can be
// spent once stays a while, for a caller who has not heard the answer.
func (v *Vault) settleAttempt(t *transaction, a attempt) error {
	var err error
	if a.op == opCode || a.op == opUser {
		_, err = t.exec(doneAttempt, millis(v.now().Add(unheardFor)), a.name)
	} else {
		_, err = t.exec(endOwnAttempt, a.name, a.id) // another's goes on
	}
	return err
}

// unheardFor is how long the answer to what can be spent once is kept for a
// caller who may not have heard it. Codes live about ten minutes.
const unheardFor = 10 * time.Minute

// candidate is a refresh token that came second.
type candidate struct {
	id      []byte
	refresh secret.Value
}

const kindCandidate = "candidate"

func (v *Vault) keepCandidate(t *transaction, a answer) error {
	b, err := v.sealer().fresh(kindCandidate, candidateName(a.rec.Ref, a.attempt.id))
	if err != nil {
		return err
	}
	plain, err := encode(&a.rec)
	if err != nil {
		return err
	}
	n, err := t.exec(insertCandidate, a.rec.Ref, a.attempt.id, b.key, millis(v.now()), b.seal(plain, 0))
	if err != nil || n == 0 {
		return err
	}
	return v.audit(t, a.event(auditCandidate))
}

// candidates returns those of ref, oldest first. One that does not open is
// left where it is.
func (v *Vault) candidates(ref string) ([]candidate, error) {
	rows, err := v.reader.query(selectCandidates, ref)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []candidate
	for rows.Next() {
		var id, sealed []byte
		var key int64
		if err := rows.Scan(&id, &key, &sealed); err != nil {
			return nil, err
		}
		b, err := v.box(key, kindCandidate, candidateName(ref, id))
		if errors.Is(err, errDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		plain, err := b.open(sealed, 0)
		if err != nil {
			continue
		}
		if rec, err := decode(ref, plain); err == nil && !rec.Token.Refresh.IsZero() {
			all = append(all, candidate{id: id, refresh: rec.Token.Refresh})
		}
	}
	return all, rows.Err()
}

// shortID names an attempt for people.
func shortID(id []byte) string { return hex.EncodeToString(id[:min(4, len(id))]) }

// spilledFault is the answer while something that a provider gave lies beside
// the store, or in memory, and not in it.
func spilledFault(cause error) *fault.Fault {
	return unusable("the provider has answered, and the vault could not take the answer; it is kept safe beside the vault",
		"make room, or mend what `bankauth doctor` names; then call again: nothing is lost", cause)
}
