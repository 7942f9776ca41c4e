package main

import (
	"fmt"
	"time"
)

func (b *bench) callersRow() (result, error) {
	if err := b.provider.delay(50 * time.Millisecond); err != nil {
		return result{}, err
	}
	all := []side{b.server, b.floor, b.narrow}
	children := map[string]*child{}
	for _, s := range all {
		c, err := b.start(s)
		if err != nil {
			return result{}, err
		}
		defer c.stop()
		children[s.name] = c
	}
	// 500 callers who began in one moment would all wait together and then all
	// want the processors together; callers are not like that.
	p := plan{callers: 500, force: true, during: b.turn + 200*time.Millisecond, ramp: 50 * time.Millisecond, settle: 200 * time.Millisecond}
	warm := map[string]bool{b.narrow.name: true} // too slow to be worth it
	f, err := b.turns(all, func(s side) (float64, error) {
		if !warm[s.name] { // it opens 500 connections
			warm[s.name] = true
			if _, err := children[s.name].run(p); err != nil {
				return 0, err
			}
		}
		l, err := children[s.name].run(p)
		return l.rate(), err
	})
	if derr := b.provider.delay(0); err == nil {
		err = derr
	}
	r, err := compare(f, err)
	if err == nil {
		r.Details = map[string]any{"mcp-go default": median(f[2]), "ideal": 10_000}
	}
	return r, err
}

func (b *bench) connectionsRow() (result, error) {
	var r result
	for _, s := range []side{b.server, b.floor} {
		c, err := b.start(s)
		if err != nil {
			return r, err
		}
		defer c.stop()
		if _, err := c.run(plan{callers: 64, force: true, during: b.turn}); err != nil { // opens what 64 callers need
			return r, err
		}
		before, err := b.provider.counts()
		if err != nil {
			return r, err
		}
		l, err := c.run(plan{callers: 64, force: true, calls: 10_000})
		if err != nil {
			return r, err
		}
		after, err := b.provider.counts()
		if err != nil {
			return r, err
		}
		if n := after.Calls - before.Calls; n < int64(l.calls) {
			return r, fmt.Errorf("%s: %d calls reached the provider of %d: the others were not made", s.name, n, l.calls)
		}
		fresh := 1000 * float64(after.Connections-before.Connections) / float64(l.calls)
		if s.name == b.server.name {
			r.Server = fresh
		} else {
			r.Floor = fresh
		}
	}
	return r, nil
}

// reuseRow compares the time of a call that needs no provider with the time
// of one that does, with enough in flight that the time is work, not waiting.
func (b *bench) reuseRow() (result, error) {
	c, err := b.start(b.server)
	if err != nil {
		return result{}, err
	}
	defer c.stop()
	var ratios []float64
	details := map[string]any{}
	for i := range b.rounds + 1 {
		sent, err := c.run(plan{callers: 1, force: true, during: b.turn})
		if err != nil {
			return result{}, err
		}
		before, err := b.provider.counts()
		if err != nil {
			return result{}, err
		}
		again, err := c.run(plan{callers: 1, force: false, during: b.turn})
		if err != nil {
			return result{}, err
		}
		after, err := b.provider.counts()
		if err != nil {
			return result{}, err
		}
		if i == 0 {
			continue // warming up
		}
		ratios = append(ratios, sent.rate()/again.rate())
		details["upstream_cpu_us"], details["reused_cpu_us"] = sent.cost(), again.cost()
		details["upstream_calls_per_s"], details["reused_calls_per_s"] = sent.rate(), again.rate()
		details["provider_calls_while_reusing"] = after.Calls - before.Calls
	}
	return result{Server: median(ratios), Details: details}, nil
}
