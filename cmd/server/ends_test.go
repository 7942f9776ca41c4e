//go:build unix

package main

import (
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/vault"
)

// go test ./cmd/server -run TestGracefulEnds -ends 10000 -timeout 1h
var ends = flag.Int("ends", 1000, "how many calls and processes TestGracefulEnds ends")

// TestGracefulEnds ends processes and calls at random moments, in every way
// that is no crash, while eight tokens of a strict bank are refreshed as fast
// as can be. Each exchange that was begun comes to its end and into the vault:
// not one token is lost.
func TestGracefulEnds(t *testing.T) {
	t.Parallel()
	program := built(t)
	for name, end := range map[string]func(*branch, *rider){
		"SIGTERM":      func(b *branch, r *rider) { b.signal(r, syscall.SIGTERM) },
		"SIGINT":       func(b *branch, r *rider) { b.signal(r, syscall.SIGINT) },
		"end of input": func(_ *branch, r *rider) { r.part() },
		"client gone": func(_ *branch, r *rider) {
			_, _ = r.out.Close(), r.in.Close()
			r.ended(exitOK, exitFailed) // as it had an answer left to give, or none
		},
		"cancelled": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBranch(t, program, "strict", "revoke", connections)
			for moments := *ends / 5; moments > 0 && !t.Failed(); {
				b.slow(time.Duration(rand.IntN(4))*time.Millisecond, time.Duration(rand.IntN(4))*time.Millisecond)
				if end == nil {
					moments -= b.cancelling(20)
				} else {
					moments--
					b.ending(end)
				}
				for ref, h := range b.image() {
					if !h.alive || h.state != string(vault.Live) || h.pending != "" {
						t.Errorf("%s: %v", ref, h)
					}
				}
			}
			b.slow(0, 0)
			b.settle()
		})
	}
}

// signal tells a process to end. In its first milliseconds Go has not begun to
// listen, and the signal ends it: that is as good, if it had sent nothing.
func (b *branch) signal(r *rider, s syscall.Signal) {
	if err := r.cmd.Process.Signal(s); err != nil {
		b.t.Error(err)
	}
	r.wait()
	if w, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() && b.bank.Truth().Requests == b.asked {
		return
	}
	r.ended(exitOK)
}

// ending starts a process, has it refresh, and ends it at some moment of its
// life, the first milliseconds included.
func (b *branch) ending(end func(*branch, *rider)) {
	b.asked = b.bank.Truth().Requests
	r := ride(b.t, b.program, b.env)
	callers := r.load(b.refs, func(ref string, a toolAnswer) bool {
		if a.Error != nil {
			b.t.Errorf("%s: %+v", ref, *a.Error)
		}
		return a.Error == nil
	})
	if rand.IntN(4) > 0 {
		<-r.first
	}
	time.Sleep(rand.N(40 * time.Millisecond))
	end(b, r)
	callers.Wait()
}

// cancelling takes calls back, many times in one process: some before they
// are sent on, some amid the exchange, some when their answer is there.
func (b *branch) cancelling(moments int) int {
	r := ride(b.t, b.program, b.env)
	for range moments {
		var ids []int
		var answers []chan toolAnswer
		for _, ref := range b.refs {
			id, c := r.ask("refresh_token", map[string]any{"token_ref": ref, "force": true})
			ids, answers = append(ids, id), append(answers, c)
		}
		time.Sleep(rand.N(12 * time.Millisecond))
		for i, id := range ids {
			if i%4 > 0 {
				r.cancel(id)
				continue
			}
			if a, ok := <-answers[i]; !ok || a.Error != nil {
				b.t.Errorf("%s: %+v", b.refs[i], a.Error)
			}
		}
	}
	r.part()
	return moments
}
