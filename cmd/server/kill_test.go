//go:build unix

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// go test ./cmd/server -run TestKill -kills 10000 -timeout 1h
var kills = flag.Int("kills", 1000, "how many processes TestKill kills for banks that do not rotate or give a grace; a fifth of that for strict ones")

// connections are refreshed at once in every process.
const connections = 8

// TestKill kills bankauth at random moments while it refreshes eight tokens as
// fast as it can. Where the bank does not rotate refresh tokens, or lets a
// spent one answer again for a while, no token is ever lost, and no call of any
// process that lives fails. Where it is strict, a token is lost whose answer
// died with the process: then, and only then, the first call for it says so.
func TestKill(t *testing.T) {
	t.Parallel()
	program := built(t)
	for _, c := range []struct {
		rotation, reuse string
		processes       int
		share           float64 // of all kills
	}{
		{"none", "refuse", 1, 0.15}, {"none", "refuse", 4, 0.35}, {"grace", "refuse", 1, 0.15}, {"grace", "revoke", 4, 0.35},
		{"strict", "refuse", 1, 0.06}, {"strict", "revoke", 4, 0.14},
	} {
		t.Run(fmt.Sprintf("%s, %d at once", c.rotation, c.processes), func(t *testing.T) {
			t.Parallel()
			b := openBranch(t, program, c.rotation, c.reuse, connections)
			w := &war{branch: b, strict: c.rotation == "strict"}
			rounds := int(float64(*kills)*c.share)/c.processes + 1
			for round := range rounds {
				w.round(c.processes)
				if w.strict {
					w.reckon()
				} else if round%20 == 0 {
					b.settle()
				}
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			b.settle()
			t.Logf("%d kills, %d answers, %d refresh tokens lost and reported", rounds*c.processes, w.answers, w.lost)
			if w.answers == 0 || w.strict && w.lost == 0 {
				t.Error("the kills fell where nothing could be lost")
			}
		})
	}
}

// war is a branch and what came of killing.
type war struct {
	*branch
	strict bool

	mu       sync.Mutex
	answers  int
	lost     int
	reported map[string]string // by ref, in this round: what was said
}

// round starts processes, has them refresh, and kills each at a moment of its
// own. One in four is killed while it starts, or soon after.
func (w *war) round(processes int) {
	w.reported = map[string]string{}
	w.slow(time.Duration(rand.IntN(4))*time.Millisecond, time.Duration(rand.IntN(4))*time.Millisecond)
	var all sync.WaitGroup
	for range processes {
		r := ride(w.t, w.program, w.env)
		callers := r.load(w.refs, w.heard)
		all.Go(func() {
			if rand.IntN(4) > 0 {
				select {
				case <-r.first:
				case <-r.gone:
					w.t.Error("a process ended by itself")
				case <-time.After(patience):
					w.t.Error("no answer came")
				}
			}
			time.Sleep(20*time.Millisecond + rand.N(60*time.Millisecond))
			r.kill()
			callers.Wait()
		})
	}
	all.Wait()
	w.slow(0, 0)
	for ref, h := range w.image() {
		said, told := w.reported[ref]
		if told && h.alive {
			w.t.Errorf("%s is said to be lost (%s) and is not: %v", ref, said, h)
		}
		if !w.strict && !h.alive {
			w.t.Errorf("%s is lost: %v", ref, h)
		}
	}
}

// heard judges an answer. A bank that does not lose tokens gives no reason for
// an error; a strict one gives this one.
func (w *war) heard(ref string, a toolAnswer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.Error == nil {
		w.answers++
		return true
	}
	if !w.strict || a.Error.Code != "reauthorize" || !strings.Contains(a.Error.Message, lostAnswer) {
		w.t.Errorf("%s: %+v", ref, *a.Error)
	}
	w.reported[ref] = a.Error.Message
	return false
}

const lostAnswer = "its answer was lost (attempt "

// reckon has a fresh process touch every token once. Those that the kills lost
// are reported, with the attempt whose answer was lost; the others work. What
// was lost is consented to anew.
func (w *war) reckon() {
	w.t.Helper()
	found := w.image()
	r := ride(w.t, w.program, w.env)
	for i, ref := range w.refs {
		h := found[ref]
		a, ok := r.call("refresh_token", map[string]any{"token_ref": ref, "force": true})
		switch {
		case !ok:
			w.t.Fatal("the process ended")
		case h.alive && a.Error != nil:
			w.t.Errorf("%s works at the bank, and was reported: %+v; %v", ref, *a.Error, h)
		case !h.alive && (a.Error == nil || a.Error.Code != "reauthorize" || !strings.HasSuffix(a.Error.Message, h.reason)):
			w.t.Errorf("%s was lost, and the first call said %+v; %v", ref, a.Error, h)
		case !h.alive && !strings.Contains(h.reason, lostAnswer):
			w.t.Errorf("%s was lost, and the vault does not know: %v", ref, h)
		}
		if !h.alive {
			w.lost++
			w.refs[i] = w.consent(r)
		}
	}
	r.part()
}
