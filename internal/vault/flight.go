package vault

import (
	"context"
	"errors"
	"maps"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
)

// flightKey says which mints are the same: those of one Identity, or of one
// ref where the Identity does not lead to a single record.
type flightKey struct {
	id     Identity
	ref    string
	forced bool // the provider is asked for sure, where others may take what is stored
}

// flight is a mint under way. Its results may be read once done is closed.
type flight struct {
	done   chan struct{}
	rec    Record
	reused bool
	err    error
}

// cooling keeps further calls from a provider that has just failed.
type cooling struct {
	until  time.Time
	failed int
	fault  *fault.Fault
}

const (
	coolFirst = 2 * time.Second  // doubled with each failure in a row
	coolMost  = 30 * time.Second // by ourselves
	coolAsked = 5 * time.Minute  // at most, where the provider names a time
	coldSize  = 4096
)

// under returns the flight under way that answers a call for key; nil where
// there is none. A forced call has no part in one that may take what is stored.
// The caller holds v.mu.
func (v *Vault) under(key flightKey) *flight {
	f := v.flights[key]
	if f == nil && !key.forced {
		key.forced = true
		f = v.flights[key]
	}
	return f
}

// enlist makes a flight that others may wait for. The caller holds v.mu, has
// found none, and sees to it that it is flown.
func (v *Vault) enlist(key flightKey) *flight {
	f := &flight{done: make(chan struct{})}
	v.flights[key] = f
	v.flying.Add(1)
	return f
}

// lead starts a flight on another goroutine, because the caller who began it
// may leave before it ends. The caller holds v.mu and has found none.
func (v *Vault) lead(ctx context.Context, key flightKey, work func(ctx context.Context) (Record, bool, error)) *flight {
	f := v.enlist(key)
	ctx = context.WithoutCancel(ctx)
	go v.fly(key, f, func() (Record, bool, error) { return work(ctx) })
	return f
}

// fly does the work of an enlisted flight.
func (v *Vault) fly(key flightKey, f *flight, work func() (Record, bool, error)) {
	ended := false
	defer func() {
		defer v.flying.Done()
		if !ended { // a panic in the mint: the waiters must not hang
			_ = recover()
			f.rec, f.reused = Record{}, false
			f.err = fault.New(fault.Internal, "something went wrong inside bankauth", "call again; if it stays, report it with the correlation id")
		}
		v.mu.Lock()
		delete(v.flights, key)
		v.chill(key, f.err)
		v.mu.Unlock()
		close(f.done)
	}()
	f.rec, f.reused, f.err = work()
	ended = true
}

// wait returns f's answer, or ctx's error where that comes first.
func (f *flight) wait(ctx context.Context) (Record, bool, error) {
	select {
	case <-f.done:
		return f.rec, f.reused, f.err
	default:
	}
	patience := time.NewTimer(waitMost)
	defer patience.Stop()
	select {
	case <-f.done:
		return f.rec, f.reused, f.err
	case <-ctx.Done():
		return Record{}, false, ctx.Err()
	case <-patience.C:
		return Record{}, false, fault.New(fault.Busy, "the provider has not answered yet", "call again in a moment: what it answers is kept")
	}
}

// waitMost is how long a caller waits for a mint: hosts give up after about a
// minute. The mint goes on.
const waitMost = 45 * time.Second

// chill notes how a mint ended. The caller holds v.mu.
func (v *Vault) chill(key flightKey, err error) {
	key.forced = false // the pause is the provider's
	if err == nil {
		if len(v.cold) > 0 {
			delete(v.cold, key)
		}
		return
	}
	var f *fault.Fault
	if !errors.As(err, &f) || (f.Code != fault.RateLimited && f.Code != fault.Unavailable && f.Code != fault.Uncertain) {
		return
	}
	now := v.now()
	c := v.cold[key]
	span := coolFor(c.failed, f.RetryAfter)
	if len(v.cold) >= coldSize {
		maps.DeleteFunc(v.cold, func(_ flightKey, old cooling) bool { return !now.Before(old.until) })
	}
	if len(v.cold) >= coldSize {
		clear(v.cold) // so many at once: better asked again than remembered for ever
	}
	v.cold[key] = cooling{until: now.Add(span), failed: c.failed + 1, fault: f}
}

// coolFor is how long a provider is left alone after failed failures in a row,
// counted before this one, or as long as it asked for.
func coolFor(failed int, asked time.Duration) time.Duration {
	if asked > 0 {
		return min(asked, coolAsked)
	}
	return min(coolFirst<<min(failed, 4), coolMost)
}

// cooled returns the fault that key still has to wait for, or nil. The caller
// holds v.mu.
func (v *Vault) cooled(key flightKey) error {
	key.forced = false
	if len(v.cold) == 0 {
		return nil
	}
	c, ok := v.cold[key]
	left := pauseLeft(c.until, v.now())
	if !ok || left <= 0 {
		return nil
	}
	f := *c.fault
	f.RetryAfter = left
	return &f
}

// ask calls mint under the policy's deadline.
func ask(ctx context.Context, p Policy, old Record, mint Mint) (token.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Deadline)
	defer cancel()
	return mint(ctx, old)
}
