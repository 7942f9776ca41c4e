package vault

import (
	"context"
	"errors"
	"time"

	"bankauth/internal/fault"
)

// locks keep others from what one is at: other flights of this process, other
// processes, other replicas.
type locks interface {
	// take waits until the lock called name is ours, or ctx ends.
	take(ctx context.Context, name string) (hold, error)
	// try takes it if nobody has it.
	try(name string) (hold, bool)
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
	return hold{release: release}, err
}

func (s stripes) try(name string) (hold, bool) {
	release, ok := tryLockFile(s.folder.stripe(name))
	return hold{release: release}, ok
}

// lock takes the lock called name for a mint.
func (v *Vault) lock(ctx context.Context, name string) (hold, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	h, err := v.locks.take(ctx, name)
	if errors.Is(err, context.DeadlineExceeded) {
		return hold{}, fault.New(fault.Busy, "another process is refreshing this token and has not finished", "call again in a moment").Because(err)
	}
	if err != nil {
		var f *fault.Fault
		if errors.As(err, &f) {
			return hold{}, f
		}
		return hold{}, refuse("the vault's locks cannot be used", "give your user write access to "+v.folder.locks(), err)
	}
	return h, nil
}
