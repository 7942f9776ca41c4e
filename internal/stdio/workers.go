package stdio

import "context"

// job is one request on its way to the handler.
type job struct {
	ctx     context.Context
	call    *call
	message Message
}

// workers are goroutines that grow in number with the requests in flight and
// are used again: their stacks have grown already.
type workers struct {
	run  func(job)
	jobs chan job
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
		select {
		case j = <-w.jobs:
		case <-w.quit:
			return
		}
	}
}

// stop ends every goroutine after the request it has, if any.
func (w *workers) stop() { close(w.quit) }
