package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// writer is the one goroutine that writes. What arrives while a commit is
// under way goes into the next one, so that many callers share its cost.
type writer struct {
	db    *sql.DB
	as    *dialect
	conn  *sql.Conn // nil: to be had anew
	stmts map[string]*sql.Stmt
	full  bool // the connection's present sync mode; meaningless before the first batch
	set   bool
	chain *chain

	behind func() *job // gathers what may be written late; nil when there is nothing
	delay  time.Duration

	mu      sync.Mutex
	queue   []*job
	closed  bool
	wake    chan struct{}
	arm     chan struct{}
	stopped chan struct{}
}

// job is a piece of a transaction. run must change nothing but the store: it
// is called again, alone, where another job of its batch has failed.
type job struct {
	durable bool // survives a power cut, not only the end of the process
	run     func(t *transaction) error
	after   func(err error) // in the writer's goroutine, once the commit is known
	done    chan error
}

var errClosed = errors.New("the vault is closed")

func newWriter(db *sql.DB, as *dialect, chain *chain, behind func() *job, delay time.Duration) (*writer, error) {
	w := &writer{db: db, as: as, chain: chain, stmts: map[string]*sql.Stmt{}, behind: behind, delay: delay,
		wake: make(chan struct{}, 1), arm: make(chan struct{}, 1), stopped: make(chan struct{})}
	// An empty transaction shows now whether the store may be written.
	if err := w.commit(nil); err != nil {
		return nil, errors.Join(err, w.release())
	}
	go w.loop()
	return w, nil
}

// do runs a job and returns once it is committed.
func (w *writer) do(durable bool, run func(t *transaction) error) error {
	return w.wait(&job{durable: durable, run: run})
}

func (w *writer) wait(j *job) error {
	j.done = make(chan error, 1)
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	nudge(w.wake)
	return <-j.done
}

// late makes sure that behind is called within the delay.
func (w *writer) late() { nudge(w.arm) }

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	nudge(w.wake)
	<-w.stopped
	return w.release()
}

func (w *writer) release() error { return errors.Join(w.disconnect(), w.db.Close()) }

func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	w.conn = conn
	return nil
}

func (w *writer) disconnect() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	clear(w.stmts)
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	w.conn, w.set = nil, false
	return errors.Join(errs...)
}

func (w *writer) loop() {
	defer close(w.stopped)
	due := time.NewTimer(w.delay)
	due.Stop()
	armed := false
	for {
		select {
		case <-w.wake:
		case <-w.arm:
			if !armed {
				armed = true
				due.Reset(w.delay)
			}
			continue
		case <-due.C:
			armed = false
			w.catchUp()
			continue
		}
		batch, closed := w.take()
		if len(batch) > 0 {
			w.batch(batch)
		}
		if closed {
			due.Stop()
			w.catchUp()
			return
		}
	}
}

func (w *writer) catchUp() {
	if j := w.behind(); j != nil {
		w.batch([]*job{j})
	}
}

func (w *writer) take() ([]*job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := w.queue
	w.queue = nil
	return batch, w.closed
}

// batch commits the jobs together, or each by itself where that fails: one
// that cannot be written must not take the others with it.
func (w *writer) batch(jobs []*job) {
	err := w.commit(jobs)
	if err == nil || len(jobs) == 1 {
		for _, j := range jobs {
			j.end(err)
		}
		return
	}
	for _, j := range jobs {
		j.end(w.commit([]*job{j}))
	}
}

func (j *job) end(err error) {
	if j.after != nil {
		j.after(err)
	}
	if j.done != nil {
		j.done <- err
	}
}

// commit runs jobs in one transaction. Where the store bounds its statements
// by itself they run to their end: a context that can be cancelled costs the
// driver a goroutine each.
func (w *writer) commit(jobs []*job) error {
	ctx := context.Background()
	if w.as.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.as.patience)
		defer cancel()
	}
	err := w.transact(ctx, jobs)
	if err != nil && w.as.classify(err) == lost {
		_ = w.disconnect() // the next transaction gets a connection of its own
	}
	return err
}

func (w *writer) transact(ctx context.Context, jobs []*job) error {
	durable := false
	for _, j := range jobs {
		durable = durable || j.durable
	}
	if err := w.connect(ctx); err != nil {
		return err
	}
	t := &transaction{w: w, ctx: ctx}
	if !w.set || w.full != durable {
		if mode := w.as.sync(durable); mode != "" {
			if _, err := w.conn.ExecContext(ctx, mode); err != nil {
				return fmt.Errorf("choosing how to commit: %w", err)
			}
		}
		w.full, w.set = durable, true
	}
	if err := t.begin(); err != nil {
		return err
	}
	for _, j := range jobs {
		if err := j.run(t); err != nil {
			t.undo()
			return err
		}
	}
	if err := t.closeChain(); err != nil {
		t.undo()
		return err
	}
	if _, err := t.exec(commitWrite); err != nil {
		t.undo()
		return fmt.Errorf("committing: %w", err)
	}
	w.chain.committed(t)
	return nil
}

// transaction is what a job writes through. It lives as long as its context.
type transaction struct {
	w    *writer
	ctx  context.Context
	head *link // of the audit, once something was written there
}

func (t *transaction) begin() error {
	var err error
	for range 2 { // each waits as long as the store's own patience
		if err = t.open(); err == nil || t.w.as.classify(err) != occupied {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("beginning to write: %w", err)
	}
	return nil
}

func (t *transaction) open() error {
	for i, s := range t.w.as.begin {
		if _, err := t.exec(s); err != nil {
			if i > 0 {
				t.undo()
			}
			return err
		}
	}
	return nil
}

func (t *transaction) undo() { _, _ = t.exec(undoWrite) }

// exec returns how many rows changed.
func (t *transaction) exec(query string, args ...any) (int64, error) {
	var r sql.Result
	var err error
	if t.w.as.prepared {
		var s *sql.Stmt
		if s, err = t.stmt(query); err != nil {
			return 0, err
		}
		r, err = s.ExecContext(t.ctx, args...)
	} else {
		r, err = t.w.conn.ExecContext(t.ctx, t.w.as.spell(query), args...)
	}
	if err != nil {
		return 0, fmt.Errorf("writing to the store: %w", err)
	}
	return r.RowsAffected()
}

func (t *transaction) query(query string, args ...any) (*sql.Rows, error) {
	if !t.w.as.prepared {
		return t.w.conn.QueryContext(t.ctx, t.w.as.spell(query), args...)
	}
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, args...)
}

func (t *transaction) stmt(query string) (*sql.Stmt, error) {
	if s := t.w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing to write: %w", err)
	}
	t.w.stmts[query] = s
	return s, nil
}
