package vault

import "time"

// crew flies: a set of goroutines that grows with the flights and is used
// again, because a new goroutine would grow its stack anew for each exchange.
// That was a twentieth of a call.
type crew struct {
	work chan func()
	home chan struct{} // closed when the vault closes
}

// crewIdle is how long one waits for the next flight before it goes.
const crewIdle = 10 * time.Second

func newCrew() *crew { return &crew{work: make(chan func()), home: make(chan struct{})} }

// fly runs f at once, on a goroutine that waits or on a new one.
func (c *crew) fly(f func()) {
	select {
	case c.work <- f:
	default:
		go c.serve(f)
	}
}

func (c *crew) serve(f func()) {
	idle := time.NewTimer(crewIdle)
	defer idle.Stop()
	for {
		f()
		idle.Reset(crewIdle)
		select {
		case f = <-c.work:
		case <-idle.C:
			return
		case <-c.home:
			return
		}
	}
}
