package stdio

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestWorkersGrowAtOnceAndGoAfterABurst(t *testing.T) {
	const burst = 2000
	before := runtime.NumGoroutine()
	gate := make(chan struct{})
	var started, ended sync.WaitGroup
	started.Add(burst)
	ended.Add(burst)
	w := newWorkers(func(job) {
		started.Done()
		<-gate
		ended.Done()
	})
	for range burst {
		w.give(job{})
	}
	started.Wait() // all run at the same time, or this never ends
	close(gate)
	ended.Wait()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine()-before > maxIdle; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines wait after a burst of %d", runtime.NumGoroutine()-before, burst)
		}
	}
	w.stop()
}
