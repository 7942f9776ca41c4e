package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// handshake is what a 2025-11-25 client sends first.
const handshake = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
`

const list = `{"jsonrpc":"2.0","id":"list","method":"tools/list"}
`

// request returns caller n's line; its id is n, every time.
func request(n int, force bool) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"fintecture","grant_type":"client_credentials","scope":"caller-%d","force":%t}}}`+"\n", n, n, force)
}

// hello does the handshake.
func (c *child) hello() error {
	if _, err := c.in.Write([]byte(handshake)); err != nil {
		return fmt.Errorf("sending initialize: %w", err)
	}
	line, err := c.out.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("waiting for initialize's answer: %w; it said: %s", err, c.err)
	}
	if !bytes.Contains(line, []byte(`"result"`)) {
		return fmt.Errorf("initialize was answered %.300s", line)
	}
	return nil
}

// load is what a run of calls came to.
type load struct {
	calls     int
	took      time.Duration
	counted   int // calls that were answered within window
	window    time.Duration
	processor time.Duration // of the server
	waits     []time.Duration
}

// rate is the calls per second, of the whole run where the server was too slow
// for its window.
// cost is the processor time that the server took for a call, in microseconds.
func (l load) cost() float64 { return float64(l.processor.Microseconds()) / float64(max(1, l.calls)) }

func (l load) rate() float64 {
	if l.counted == 0 {
		return float64(l.calls) / l.took.Seconds()
	}
	return float64(l.counted) / l.window.Seconds()
}

// wait returns the time within which the share q of the calls was answered.
func (l load) wait(q float64) time.Duration {
	if len(l.waits) == 0 {
		return 0
	}
	slices.Sort(l.waits)
	return l.waits[min(len(l.waits)-1, int(q*float64(len(l.waits))))]
}

// plan says what run does: keep callers requests in flight, each caller's next
// as soon as its last is answered, for a time, or for a number of calls where
// that is not 0.
type plan struct {
	callers int
	force   bool
	during  time.Duration
	calls   int
	ramp    time.Duration // over which the callers begin, one after the other
	settle  time.Duration // from the start; answers before count for nothing
}

// run loads c. One goroutine and prepared bytes: it shares the processors
// with what it measures.
func (c *child) run(p plan) (load, error) {
	lines := make([][]byte, p.callers)
	sent := make([]time.Time, p.callers)
	cpu := c.processor()
	for i := range lines {
		lines[i] = request(i, p.force)
	}
	pending, err := c.begin(p, lines, sent)
	if err != nil {
		return load{}, err
	}
	start := time.Now() // not before: a server that reads slowly takes its time
	l := load{waits: make([]time.Duration, 0, max(p.calls, 1<<16))}
	asked := p.callers
	for answered := 0; answered < asked; answered++ {
		if c.out.Buffered() == 0 && len(pending) > 0 {
			if _, err := c.in.Write(pending); err != nil {
				return l, fmt.Errorf("sending calls: %w", err)
			}
			pending = pending[:0]
		}
		line, err := c.out.ReadSlice('\n')
		if err != nil {
			return l, fmt.Errorf("waiting for an answer: %w; it said: %s", err, c.err)
		}
		n, err := answerID(line, p.callers)
		if err != nil {
			return l, err
		}
		now := time.Now()
		l.waits = append(l.waits, now.Sub(sent[n]))
		if t := now.Sub(start); t >= p.settle && (p.calls > 0 || t < p.during) {
			l.counted, l.window = l.counted+1, t-p.settle
		}
		if p.calls > 0 && asked < p.calls || p.calls == 0 && now.Sub(start) < p.during {
			asked++
			sent[n] = now
			pending = append(pending, lines[n]...)
		}
	}
	l.calls, l.took, l.processor = asked, time.Since(start), c.processor()-cpu
	return l, nil
}

// begin sends every caller's first request, or returns them to be sent.
func (c *child) begin(p plan, lines [][]byte, sent []time.Time) (pending []byte, err error) {
	start := time.Now()
	for i, line := range lines {
		pending = append(pending, line...)
		due := start.Add(p.ramp * time.Duration(i) / time.Duration(len(lines)))
		if wait := time.Until(due); wait > 0 {
			if _, err := c.in.Write(pending); err != nil {
				return nil, fmt.Errorf("sending calls: %w", err)
			}
			pending = pending[:0]
			time.Sleep(wait)
		}
		sent[i] = time.Now()
	}
	return pending, nil
}

var errFailed = errors.New("a call failed")

// answerID returns the caller that an answer is for.
func answerID(line []byte, callers int) (int, error) {
	_, rest, ok := bytes.Cut(line, []byte(`"id":`))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 || bytes.Contains(line, []byte(`"isError":true`)) || !bytes.Contains(line, []byte(`"result":`)) {
		return 0, fmt.Errorf("%w: %.500s", errFailed, line)
	}
	n, err := strconv.Atoi(string(rest[:end]))
	if err != nil || n < 0 || n >= callers {
		return 0, fmt.Errorf("%w: the answer's id is not ours: %.300s", errFailed, line)
	}
	return n, nil
}
