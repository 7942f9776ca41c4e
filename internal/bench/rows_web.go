package main

import (
	"fmt"
	"time"
)

// webRow compares servers over HTTP by what figure makes of a turn's load: the
// same clients on both, each with a connection of its own.
func (b *bench) webRow(clients int, sse bool, figure func(load) float64) (result, error) {
	pair := []side{b.web, b.webFloor}
	crowds := map[string]crowd{}
	for _, s := range pair {
		w, err := b.open(s)
		if err != nil {
			return result{}, err
		}
		defer w.stop()
		c, err := w.crowd(clients, sse)
		if err != nil {
			return result{}, fmt.Errorf("%s: %w", s.name, err)
		}
		defer c.leave()
		if _, err := c.run(b.turn / 2); err != nil {
			return result{}, fmt.Errorf("%s: %w", s.name, err)
		}
		crowds[s.name] = c
	}
	last := map[string]load{}
	f, err := b.turns(pair, func(s side) (float64, error) {
		l, err := crowds[s.name].run(b.turn)
		last[s.name] = l
		return figure(l), err
	})
	r, err := compare(f, err)
	if err == nil {
		r.Details = map[string]any{"server": last[pair[0].name].details(), "floor": last[pair[1].name].details()}
	}
	return r, err
}

func p99(l load) float64 { return float64(l.wait(0.99).Microseconds()) / 1000 }

// webCallersRow is many clients before a provider that takes its time, where
// no processor is the limit but what waits.
func (b *bench) webCallersRow() (result, error) {
	if err := b.provider.delay(50 * time.Millisecond); err != nil {
		return result{}, err
	}
	slow := *b
	slow.turn = max(b.turn, 4*50*time.Millisecond)
	r, err := slow.webRow(500, false, load.rate)
	b.vaults = slow.vaults
	if derr := b.provider.delay(0); err == nil {
		err = derr
	}
	return r, err
}

// webConnectionsRow counts the connections that calls over HTTP open upstream.
func (b *bench) webConnectionsRow() (result, error) {
	w, err := b.open(b.web)
	if err != nil {
		return result{}, err
	}
	defer w.stop()
	c, err := w.crowd(64, false)
	if err != nil {
		return result{}, err
	}
	defer c.leave()
	if _, err := c.run(b.turn); err != nil { // opens what 64 clients need
		return result{}, err
	}
	before, err := b.provider.counts()
	if err != nil {
		return result{}, err
	}
	l, err := c.run(2 * b.turn)
	if err != nil {
		return result{}, err
	}
	after, err := b.provider.counts()
	if err != nil {
		return result{}, err
	}
	if n := after.Calls - before.Calls; n < int64(l.calls) {
		return result{}, fmt.Errorf("%d calls reached the provider of %d: the others were not made", n, l.calls)
	}
	return result{Server: 1000 * float64(after.Connections-before.Connections) / float64(max(1, l.calls))}, nil
}
