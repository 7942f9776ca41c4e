package stdio

import (
	"context"
	"sync/atomic"
)

// maxIdle is how many goroutines wait for work, at most. A burst needs more
// and gives them back.
const maxIdle = 256

// job is one request on its way to the handler.
type job struct {
	ctx     context.Context
	call    *call
	message Message
}

// workers are goroutines that grow in number with the requests in flight and
// are used again: their stacks have grown already, which a new goroutine pays
// for at each request.
type workers struct {
	run  func(job)
	jobs chan job
	idle atomic.Int32
	quit chan struct{}
}

func newWorkers(run func(job)) *workers {
	return &workers{run: run, jobs: make(chan job), quit: make(chan struct{})}
}

// give starts j at once, on a goroutine that waits or on a new one.
func (w *workers) give(j job) {
	select {
	case w.jobs <- j:
	default:
		go w.work(j)
	}
}

func (w *workers) work(j job) {
	for {
		w.run(j)
		if w.idle.Add(1) > maxIdle {
			w.idle.Add(-1)
			return
		}
		select {
		case j = <-w.jobs:
			w.idle.Add(-1)
		case <-w.quit:
			return
		}
	}
}

// stop ends every goroutine after the request it has, if any.
func (w *workers) stop() { close(w.quit) }
