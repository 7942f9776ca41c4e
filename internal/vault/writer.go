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
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	full  bool // the connection's present sync mode; meaningless before the first batch
	set   bool

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

func newWriter(path string, behind func() *job, delay time.Duration) (*writer, error) {
	db, err := openWriter(path)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), db.Close())
	}
	w := &writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}, behind: behind, delay: delay,
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

func (w *writer) release() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
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

// commit runs jobs in one transaction. Its statements run to their end: a
// context that can be cancelled costs the driver a goroutine each, and the
// store's own patience bounds them.
func (w *writer) commit(jobs []*job) error {
	t := &transaction{w: w}
	durable := false
	for _, j := range jobs {
		durable = durable || j.durable
	}
	if !w.set || w.full != durable {
		if _, err := w.conn.ExecContext(context.Background(), syncMode(durable)); err != nil {
			return fmt.Errorf("choosing how to commit: %w", err)
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
	if _, err := t.exec(commitWrite); err != nil {
		t.undo()
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// transaction is what a job writes through.
type transaction struct{ w *writer }

func (t *transaction) begin() error {
	var err error
	for range 2 { // each waits as long as the connection's busy_timeout
		if _, err = t.exec(beginWrite); err == nil || !isBusy(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("beginning to write: %w", err)
	}
	return nil
}

func (t *transaction) undo() { _, _ = t.exec(undoWrite) }

// exec returns how many rows changed.
func (t *transaction) exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, fmt.Errorf("writing to the store: %w", err)
	}
	return r.RowsAffected()
}

func (t *transaction) query(query string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.Background(), args...)
}

func (t *transaction) stmt(query string) (*sql.Stmt, error) {
	if s := t.w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("preparing to write: %w", err)
	}
	t.w.stmts[query] = s
	return s, nil
}
