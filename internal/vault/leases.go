package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// leaseTable holds who is at what: owner is drawn anew for each lease, and
// epoch counts how often one was taken over from somebody who let it run out.
const leaseTable = `
CREATE TABLE leases (name TEXT PRIMARY KEY, owner BYTEA NOT NULL, epoch BIGINT NOT NULL, until TIMESTAMPTZ NOT NULL);`

// The clock is the database's. A lease that a crash of the server could undo
// would be nobody's; one that was given back may well come back.
const (
	takeLease = `WITH kept AS (` + durably + `)
		INSERT INTO leases AS l (name, owner, epoch, until) SELECT ?, ?, 1, clock_timestamp() + make_interval(secs => ?) FROM kept
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, epoch = l.epoch + 1, until = clock_timestamp() + make_interval(secs => ?)
		WHERE l.until <= clock_timestamp() OR l.owner = excluded.owner RETURNING epoch`
	renewLease = `WITH kept AS (` + durably + `)
		UPDATE leases SET until = clock_timestamp() + make_interval(secs => ?) FROM kept WHERE name = ? AND owner = ? AND epoch = ?`
	dropLease = `WITH lax AS (SELECT set_config('synchronous_commit', 'off', true))
		DELETE FROM leases USING lax WHERE name = ? AND owner = ?`
)

const (
	leaseLength = 60 * time.Second
	// A lease is asked for again after a pause that grows.
	leasePause     = 5 * time.Millisecond
	leasePauseMost = 250 * time.Millisecond
	leaseTries     = 3 // while the database cannot be reached
)

// leases are locks across replicas: rows that their holder renews. One whose
// holder is gone runs out.
type leases struct {
	db     *sql.DB
	as     *dialect
	length time.Duration
	draw   func() ([]byte, error)
	now    func() time.Time // must not jump
}

func (l *leases) take(ctx context.Context, name string) (_ hold, err error) {
	owner, err := l.draw()
	if err != nil {
		return hold{}, err
	}
	failed := 0
	defer func() {
		if err != nil && failed > 0 { // it may be ours, and nobody would know
			l.drop(name, owner)
		}
	}()
	for wait := leasePause; ; wait = min(wait*3/2, leasePauseMost) {
		h, free, err := l.ask(ctx, name, owner)
		if free {
			return h, nil
		}
		if err != nil {
			failed++
			if ctx.Err() == nil && (failed == leaseTries || l.as.classify(err) == unknown) {
				return hold{}, err
			}
		}
		if err := pause(ctx, wait+rand.N(wait)); err != nil {
			return hold{}, err
		}
	}
}

func (l *leases) try(name string) (hold, bool, error) {
	owner, err := l.draw()
	if err != nil {
		return hold{}, false, err
	}
	h, free, err := l.ask(context.Background(), name, owner)
	if err != nil {
		l.drop(name, owner)
	}
	return h, free, err
}

// drop gives a lease back. Where that fails it runs out.
func (l *leases) drop(name string, owner []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), l.as.patience)
	defer cancel()
	for n := range leaseTries {
		if _, err := l.exec(ctx, dropLease, name, owner); err == nil || pause(ctx, leasePause<<(2*n)) != nil {
			return
		}
	}
}

// ask may be called again for the same owner: nobody knows what became of a
// statement whose connection broke.
func (l *leases) ask(ctx context.Context, name string, owner []byte) (hold, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, l.as.patience)
	defer cancel()
	h := &lease{leases: l, name: name, owner: owner}
	sent := l.now()
	secs := l.length.Seconds()
	err := l.db.QueryRowContext(ctx, l.as.spell(takeLease), name, owner, secs, secs).Scan(&h.epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return hold{}, false, nil
	}
	if err != nil {
		return hold{}, false, fmt.Errorf("taking a lease: %w", err)
	}
	h.renewed(sent)
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		h.renew(renewing)
	}()
	return hold{sure: h.left, release: sync.OnceFunc(func() {
		stop()
		<-stopped
		l.drop(name, owner)
	})}, true, nil
}

// lease is one that we hold, or have lost.
type lease struct {
	*leases
	name  string
	owner []byte
	epoch int64
	until atomic.Pointer[time.Time] // by our clock, and a little earlier than by the database's
}

// renewed takes note of a statement that was sent at sent and has succeeded:
// the database counts from a moment after that.
func (h *lease) renewed(sent time.Time) {
	until := sent.Add(h.length - h.length/10)
	h.until.Store(&until)
}

func (h *lease) left() time.Duration { return max(0, h.until.Load().Sub(h.now())) }

// renew goes on until ctx ends or the lease is lost.
func (h *lease) renew(ctx context.Context) {
	for every := h.length / 3; pause(ctx, every) == nil; {
		sent := h.now()
		n, err := h.exec(ctx, renewLease, h.length.Seconds(), h.name, h.owner, h.epoch)
		switch {
		case err != nil:
			every = h.length / 30
		case n == 0: // somebody has taken it over
			h.until.Store(&sent)
			return
		default:
			h.renewed(sent)
			every = h.length / 3
		}
	}
}

func (l *leases) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.as.patience)
	defer cancel()
	r, err := l.db.ExecContext(ctx, l.as.spell(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
