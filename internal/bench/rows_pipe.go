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
	// The first turn opens 500 connections; it is no turn of steady work.
	warm := map[string]bool{}
	f, err := b.turns(all, func(s side) (float64, error) {
		if !warm[s.name] {
			warm[s.name] = true
			if _, err := children[s.name].run(500, true, b.turn/2, 0); err != nil {
				return 0, err
			}
		}
		l, err := children[s.name].run(500, true, b.turn, 0)
		return l.steady(500), err
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

// steady is the rate without the last round of calls, in which ever fewer are
// in flight and nothing is to be had.
func (l load) steady(callers int) float64 {
	if l.calls <= 2*callers {
		return l.rate()
	}
	return float64(l.calls-callers) / l.upTo.Seconds()
}

func (b *bench) connectionsRow() (result, error) {
	var r result
	for _, s := range []side{b.server, b.floor} {
		c, err := b.start(s)
		if err != nil {
			return r, err
		}
		defer c.stop()
		if _, err := c.run(64, true, b.turn, 0); err != nil { // opens what 64 callers need
			return r, err
		}
		before, err := b.provider.counts()
		if err != nil {
			return r, err
		}
		l, err := c.run(64, true, 0, 10_000)
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
		sent, err := c.run(64, true, b.turn, 0)
		if err != nil {
			return result{}, err
		}
		before, err := b.provider.counts()
		if err != nil {
			return result{}, err
		}
		again, err := c.run(64, false, b.turn, 0)
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
		details["upstream_calls_per_s"], details["reused_calls_per_s"] = sent.rate(), again.rate()
		details["provider_calls_while_reusing"] = after.Calls - before.Calls
	}
	return result{Server: median(ratios), Details: details}, nil
}
