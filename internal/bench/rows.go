package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// row is one thing that is measured, and its bar.
type row struct {
	name    string
	what    string
	unit    string
	bar     float64
	atLeast bool // else at most
	ratio   bool // the bar is for server ÷ floor, else for the server's figure
	exact   bool // no matter of time: a miss is a fault
	measure func(*bench) (result, error)
}

func rows() []row {
	return []row{
		{"start", "spawn to first tools/list", "ms", 1.2, false, true, false, (*bench).startRow},
		{"one", "one call after another", "calls/s", 0.9, true, true, false, func(b *bench) (result, error) { return b.loadRow(1) }},
		{"many", "64 in flight", "calls/s", 0.9, true, true, false, func(b *bench) (result, error) { return b.loadRow(64) }},
		{"memory", "resident after the last of 10,000 calls", "MB", 1.3, false, true, false, func(b *bench) (result, error) { return b.memoryRow(0) }},
		{"idle", "resident when idle since then", "MB", 1.3, false, true, false, func(b *bench) (result, error) { return b.memoryRow(b.idle) }},
		{"grow", "a start: a provider beyond the tenth further one ÷ one of the first ten", "", 1, false, false, false, (*bench).startGrowth},
		{"growlist", "tools/list: with 100 further providers ÷ with 10", "", 10, false, false, false, (*bench).listGrowth},
		{"eof", "40 calls piped in, input closed", "answers", 40, true, false, true, (*bench).eofRow},
		{"callers", "500 callers, provider takes 50 ms", "calls/s", 8500, true, false, false, (*bench).callersRow},
		{"connections", "new connections per 1,000 calls", "", 0, false, false, false, (*bench).connectionsRow},
		{"web1", "HTTP, 1 client", "calls/s", 0.85, true, true, false, func(b *bench) (result, error) { return b.webRow(1, false, load.rate) }},
		{"web64", "HTTP, 64 clients", "calls/s", 0.85, true, true, false, func(b *bench) (result, error) { return b.webRow(64, false, load.rate) }},
		{"web512", "HTTP, 512 clients", "calls/s", 0.85, true, true, false, func(b *bench) (result, error) { return b.webRow(512, false, load.rate) }},
		{"webp99", "HTTP, 64 clients, p99", "ms", 1.5, false, true, false, func(b *bench) (result, error) { return b.webRow(64, false, p99) }},
		{"sse64", "SSE, 64 clients", "calls/s", 0.85, true, true, false, func(b *bench) (result, error) { return b.webRow(64, true, load.rate) }},
		{"web500", "HTTP, 500 clients, provider takes 50 ms", "calls/s", 7500, true, false, false, (*bench).webCallersRow},
		{"webconnections", "HTTP, new connections per 1,000 calls", "", 0, false, false, false, (*bench).webConnectionsRow},
		{"reuse", "fresh token handed out again ÷ sent upstream, time", "", 0.3, false, false, false, (*bench).reuseRow},
	}
}

func rowNames() []string {
	var names []string
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

func choose(names string) ([]row, error) {
	if names == "" {
		return rows(), nil
	}
	var chosen []row
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(rows(), func(r row) bool { return r.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no row %q; there are %s", name, strings.Join(rowNames(), ", "))
		}
		chosen = append(chosen, rows()[i])
	}
	return chosen, nil
}

// turns measures the sides one after the other, round after round, and every
// other round the other way about: whoever comes second has a warmer machine.
func (b *bench) turns(sides []side, measure func(side) (float64, error)) ([][]float64, error) {
	figures := make([][]float64, len(sides))
	for round := range b.rounds {
		for i := range sides {
			if round%2 == 1 {
				i = len(sides) - 1 - i
			}
			s := sides[i]
			f, err := measure(s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			figures[i] = append(figures[i], f)
		}
	}
	return figures, nil
}

func (b *bench) startRow() (result, error) {
	once := func(s side) (float64, error) {
		began := time.Now()
		c, err := b.spawn(s)
		if err != nil {
			return 0, err
		}
		defer c.stop()
		err = c.listed(handshake + list)
		return time.Since(began).Seconds() * 1000, err
	}
	many := *b
	many.rounds = 2 * b.rounds
	f, err := many.turns([]side{b.server, b.floor}, once)
	b.vaults = many.vaults
	return compare(f, err)
}

// loadRow compares servers that have run for a moment.
func (b *bench) loadRow(callers int) (result, error) {
	pair := []side{b.server, b.floor}
	children := map[string]*child{}
	for _, s := range pair {
		c, err := b.start(s)
		if err != nil {
			return result{}, err
		}
		defer c.stop()
		if _, err := c.run(plan{callers: callers, force: true, during: b.turn / 4}); err != nil {
			return result{}, fmt.Errorf("%s: %w", s.name, err)
		}
		children[s.name] = c
	}
	last := map[string]load{}
	f, err := b.turns(pair, func(s side) (float64, error) {
		l, err := children[s.name].run(plan{callers: callers, force: true, during: b.turn})
		last[s.name] = l
		return l.rate(), err
	})
	r, err := compare(f, err)
	r.Details = map[string]any{"server": last["server"].details(), "floor": last["floor"].details()}
	return r, err
}

func (l load) details() map[string]any {
	us := func(d time.Duration) int64 { return d.Microseconds() }
	return map[string]any{"p50_us": us(l.wait(0.5)), "p99_us": us(l.wait(0.99)), "cpu_us_per_call": us(l.processor) / int64(max(1, l.calls))}
}

// memoryRow compares servers that have answered 10,000 calls and then had
// nothing to do for the time idle.
func (b *bench) memoryRow(idle time.Duration) (result, error) {
	short := *b
	short.rounds = min(b.rounds, 3)
	f, err := short.turns([]side{b.server, b.floor}, func(s side) (float64, error) {
		c, err := short.start(s)
		if err != nil {
			return 0, err
		}
		defer c.stop()
		if _, err := c.run(plan{callers: 64, force: true, calls: 10_000}); err != nil {
			return 0, err
		}
		time.Sleep(idle)
		return float64(c.resident()) / (1 << 20), nil
	})
	b.vaults = short.vaults
	return compare(f, err)
}

func (b *bench) eofRow() (result, error) {
	if err := b.provider.delay(20 * time.Millisecond); err != nil {
		return result{}, err
	}
	f, err := b.turns([]side{b.server, b.floor}, func(s side) (float64, error) {
		c, err := b.start(s)
		if err != nil {
			return 0, err
		}
		defer c.stop()
		var all []byte
		for i := range 40 {
			all = append(all, request(i, true)...)
		}
		if _, err := c.in.Write(all); err != nil {
			return 0, fmt.Errorf("sending calls: %w", err)
		}
		_ = c.in.Close()
		answers := 0.0
		for {
			line, err := c.out.ReadSlice('\n')
			if err != nil {
				return answers, nil
			}
			if _, err := answerID(line, 40); err == nil {
				answers++
			}
		}
	})
	if derr := b.provider.delay(0); err == nil {
		err = derr
	}
	return compare(f, err)
}
