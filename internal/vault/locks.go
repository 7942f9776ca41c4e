package vault

import (
	"context"
	"time"

	"bankauth/internal/fault"
)

// locks keep others from what one is at: other flights of this process, other
// processes, other replicas.
type locks interface {
	// take waits until the lock called name is ours, or ctx ends.
	take(ctx context.Context, name string) (hold, error)
	// try takes it if nobody has it.
	try(name string) (h hold, free bool, err error)
}

// hold is a lock that is ours.
type hold struct {
	release func()
	// sure says how long nobody else can have it; nil: until it is released.
	sure func() time.Duration
}

// lasts reports whether the lock is ours for span to come.
func (h hold) lasts(span time.Duration) bool { return h.sure == nil || h.sure() >= span }

// stripes are lock files. The kernel frees one with the process that holds it.
type stripes struct{ folder folder }

func (s stripes) take(ctx context.Context, name string) (hold, error) {
	release, err := lockFile(ctx, s.folder.stripe(name))
	if err != nil && ctx.Err() == nil {
		err = refuse("the vault's locks cannot be used", "give your user write access to "+s.folder.locks(), err)
	}
	return hold{release: release}, err
}

func (s stripes) try(name string) (hold, bool, error) {
	release, ok := tryLockFile(s.folder.stripe(name))
	return hold{release: release}, ok, nil
}

// enter takes the lock called name for a mint. What lies beside the store comes
// into it first: it may be what the mint would ask for.
func (v *Vault) enter(ctx context.Context, name string) (hold, error) {
	h, err := v.lock(ctx, name)
	if err != nil {
		return hold{}, err
	}
	if err := v.drain(); err != nil {
		h.release()
		return hold{}, err
	}
	return h, nil
}

func (v *Vault) lock(ctx context.Context, name string) (hold, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	h, err := v.locks.take(ctx, name)
	if err != nil && ctx.Err() != nil {
		return hold{}, fault.New(fault.Busy, "another process is refreshing this token and has not finished", "call again in a moment").Because(err)
	}
	if err != nil {
		return hold{}, storeFault(err)
	}
	return h, nil
}
