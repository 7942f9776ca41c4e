package stdio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// afterword is how long calls may take to answer once they are cancelled.
const afterword = 500 * time.Millisecond

// loop is one Serve.
type loop struct {
	*Server
	base      context.Context // of all calls
	out       *out
	calls     *calls
	questions *questions
	workers   *workers
	scan      scanner
	replies   Replies
}

func newLoop(s *Server, ctx context.Context, w io.Writer) *loop {
	l := &loop{Server: s, out: newOut(w), calls: newCalls(s.limit()), questions: newQuestions()}
	// The end of ctx ends the reading, not the calls.
	l.base = context.WithValue(context.WithoutCancel(ctx), loopKey{}, l)
	l.workers = newWorkers(l.run)
	l.replies.Log, l.replies.Rand = s.Log, s.Rand
	return l
}

// read takes lines until input ends, or the loop does.
func (l *loop) read(in io.Reader) error {
	src := newLines(in, l.maxLine())
	for first := true; ; first = false {
		line, long, err := src.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		if first {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // as some Windows shells begin a pipe
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !l.take(line, long, src.r.Buffered() == 0) {
			return nil
		}
		l.out.room()
	}
}

// take serves one line and reports whether there is any use in a next one.
// last: no further one has come yet.
func (l *loop) take(line []byte, long, last bool) bool {
	env, why := l.scan.scan(line)
	if long {
		why = tooLong
	}
	switch {
	case why != fine:
		l.refuse(env.id, why)
	case !env.hasMethod:
		l.questions.answered(env.id, line)
	case env.id == nil:
		l.notified(env, line)
	default:
		return l.request(env, line, last)
	}
	return true
}

func (l *loop) notified(env envelope, line []byte) {
	if string(env.method) == methodCancelled {
		if env.requestID != nil {
			l.calls.cancel(idKey(env.requestID))
		}
		return
	}
	l.handle(l.base, Message{Method: string(env.method), Raw: line})
}

func (l *loop) request(env envelope, line []byte, last bool) bool {
	c := &call{key: idKey(env.id), id: env.id, method: methodName(env.method)}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(l.base)
	j := job{ctx: ctx, call: c, message: Message{ID: env.id, Method: c.method, Raw: line}}
	switch l.calls.enter(c) {
	case shut:
		c.cancel()
		return false
	case twice:
		c.cancel()
		l.refuse(env.id, inFlight)
		return true
	case busy:
		j.message.Busy = true
	}
	if c.method == methodInitialize {
		l.run(j) // what comes after may rely on it
		return true
	}
	if !last || !l.here(j) {
		l.workers.give(j)
	}
	return true
}

// atOnce is what a Writable client takes without reading, in bytes.
const atOnce = 4096

// here answers a quick request on the goroutine that reads.
func (l *loop) here(j job) bool {
	if l.Quick == nil || l.Writable == nil || j.message.Busy || !l.calls.alone() || !l.Writable() {
		return false
	}
	reply, quick := l.quick(j)
	if !quick {
		return false
	}
	j.call.cancel()
	if !l.calls.leave(j.call) {
		l.calls.done()
		return true
	}
	b := l.replies.encode(j.call.id, reply)
	send := func() {
		l.out.send(b.Bytes())
		l.replies.recycle(b)
		l.calls.done()
	}
	if b.Len() > atOnce {
		go send() // reading must not wait for a client that does not read
		return true
	}
	send()
	return true
}

func (l *loop) quick(j job) (reply Reply, quick bool) {
	defer func() {
		if recover() != nil {
			quick = false // the handler will trip too, where it is logged and answered
		}
	}()
	return l.Quick(j.ctx, j.message)
}

// run answers one request.
func (l *loop) run(j job) {
	var reply Reply
	defer func() { // deferred: a handler may end its goroutine
		j.call.cancel()
		if l.calls.leave(j.call) {
			l.answer(j.call.id, reply)
		}
		l.calls.done()
	}()
	reply = l.handle(j.ctx, j.message)
}

func (l *loop) handle(ctx context.Context, m Message) Reply {
	return l.replies.Call(ctx, l.Handle, m)
}

// origin names the function that panicked.
func origin() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") || !more {
			return f.Function
		}
	}
}

// drain lets what is in flight come to its end.
func (l *loop) drain() {
	defer l.workers.stop()
	defer l.out.close()
	l.calls.close()
	l.questions.close()
	if l.Ended != nil {
		l.Ended()
	}
	limit := time.NewTimer(l.drainTime())
	defer limit.Stop()
	quiet := make(chan struct{})
	go func() {
		<-l.calls.idle
		l.out.flush()
		close(quiet)
	}()
	select {
	case <-quiet:
		return
	case <-limit.C:
	}
	l.calls.cancelAll()
	limit.Reset(afterword)
	select {
	case <-quiet:
	case <-limit.C:
		l.abandon(limit)
	}
}

// abandon answers for handlers that neither answer nor stop. Their goroutines
// end with them, and can write nothing any more.
func (l *loop) abandon(limit *time.Timer) {
	left := l.calls.takeAll()
	l.Log.Warn().Int("calls", len(left)).Msg("calls did not end in time")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, c := range left {
			l.answer(c.id, Reply{Error: internalError(l.replies.correlation())})
		}
		l.out.flush()
	}()
	limit.Reset(afterword)
	select {
	case <-sent:
	case <-limit.C: // the client does not read
	}
}
