package vault

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"bankauth/internal/fault"
)

// attempt is a request that was sent, or is about to be: its row is on disk
// before the first byte leaves, so that whoever comes after a crash knows that
// an answer may have been lost.
type attempt struct {
	name  string // a token_ref; else a nameOnce
	op    string
	id    []byte // drawn anew for each try
	state string
	ref   string // the record that the answer goes into; "" where it makes none
	tries int
	since time.Time // of the first try
	until time.Time // pending: the deadline; cooling: when it may be tried again; done, heard: when it is forgotten
	code  fault.Code
}

// What an attempt is for.
const (
	opRefresh = "refresh"
	opCode    = "code"  // a code that can be exchanged once
	opGrant   = "grant" // a token that can be asked for again, such as with a password
	opUser    = "user"  // a user to be made
)

// The states of an attempt.
const (
	attemptPending = "pending"
	attemptCooling = "cooling"
	attemptDone    = "done"
	attemptHeard   = "heard" // done, and the caller has the answer
)

// cutOff reports that the answer to an earlier try may have been lost: the
// row is pending, and the caller holds the lock that it was written under.
func (a attempt) cutOff() bool { return a.id != nil && a.state == attemptPending }

// interrupted says what a refresh that was cut off may have cost.
func (a attempt) interrupted() string {
	return "a refresh was cut off at " + a.since.Format(time.RFC3339) + " and its answer was lost (attempt " + shortID(a.id) + ")"
}

// unanswered says what a refresh may have cost that was sent and not answered.
func (a attempt) unanswered() string {
	return "a refresh was sent and its answer was lost (attempt " + shortID(a.id) + ")"
}

// unstored says why what the store has is in doubt.
func (a attempt) unstored() string {
	return "a refresh was sent and the store does not have its answer yet (attempt " + shortID(a.id) + ")"
}

// cooling returns what is left of a failed attempt's pause.
func (a attempt) cooling(now time.Time) time.Duration {
	if a.id == nil || a.state != attemptCooling {
		return 0
	}
	return pauseLeft(a.until, now)
}

// pauseLeft returns what is left of a pause. One that is longer than any pause
// can be was begun before the clock was put back, and is over.
func pauseLeft(until, now time.Time) time.Duration {
	if left := until.Sub(now); left > 0 && left <= coolAsked {
		return left
	}
	return 0
}

// begin puts a on disk as pending. A row that is there already was cut off or
// has failed; its tries are counted on, and its first time stands.
func (v *Vault) begin(a *attempt, deadline time.Duration) error {
	var err error
	if a.id, err = v.drawID(); err != nil {
		return err
	}
	if err := v.reserve.hold(); err != nil {
		return err
	}
	now := v.now()
	a.until = now.Add(deadline)
	if a.since.IsZero() {
		a.since = now
	}
	return v.writer.do(true, func(t *transaction) error {
		_, err := t.exec(beginAttempt, a.name, a.op, a.id, a.ref, millis(a.since), millis(a.until))
		return err
	})
}

// end takes back the row of an attempt that has changed nothing at the
// provider. One that cannot be taken back costs a look at the record, no more.
func (v *Vault) end(name string) error {
	return v.writer.do(false, func(t *transaction) error {
		_, err := t.exec(endAttempt, name)
		return err
	})
}

// withdraw takes back a, unless another attempt has taken its place since.
func (v *Vault) withdraw(a attempt) {
	_ = v.writer.do(false, func(t *transaction) error {
		_, err := t.exec(endOwnAttempt, a.name, a.id)
		return err
	})
}

// findAttempt returns the row called name; its id is nil where there is none.
func findAttempt(q querier, name string) (attempt, error) {
	rows, err := q.query(selectAttempt, name)
	if err != nil {
		return attempt{}, fmt.Errorf("reading an attempt: %w", err)
	}
	defer rows.Close()
	a := attempt{name: name}
	if !rows.Next() {
		return a, rows.Err()
	}
	var since, until int64
	var code sql.NullString
	if err := rows.Scan(&a.id, &a.op, &a.state, &a.ref, &a.tries, &since, &until, &code); err != nil {
		return attempt{}, fmt.Errorf("reading an attempt: %w", err)
	}
	a.since, a.until, a.code = moment(since), moment(until), fault.Code(code.String)
	return a, errors.Join(rows.Err())
}
