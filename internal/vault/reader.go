package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"bankauth/internal/fault"
)

// reader reads through a few connections of its own; in WAL mode it waits for
// no writer.
type reader struct {
	db    *sql.DB
	as    *dialect
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func newReader(db *sql.DB, as *dialect) *reader {
	return &reader{db: db, as: as, stmts: map[string]*sql.Stmt{}}
}

func (r *reader) query(query string, args ...any) (*sql.Rows, error) {
	if !r.as.prepared {
		return r.db.QueryContext(context.Background(), r.as.spell(query), args...)
	}
	r.mu.Lock()
	s := r.stmts[query]
	if s == nil {
		var err error
		if s, err = r.db.PrepareContext(context.Background(), query); err != nil {
			r.mu.Unlock()
			return nil, fmt.Errorf("preparing to read: %w", err)
		}
		r.stmts[query] = s
	}
	r.mu.Unlock()
	return s.QueryContext(context.Background(), args...)
}

// spell returns query as the dialect wants it.
func (d *dialect) spell(query string) string {
	if d.bind == nil {
		return query
	}
	return d.bind(query)
}

func (r *reader) close() error {
	var errs []error
	for _, s := range r.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// querier is a reader, or a transaction that must see what it is changing.
type querier interface {
	query(query string, args ...any) (*sql.Rows, error)
}

// row is a record as it lies in the store.
type row struct {
	ref, kind string
	lookup    []byte
	key       int64 // the data key's id
	seq       int64
	state     string
	sealed    []byte
	attempt   attempt // of a refresh that was begun and not ended; its id is nil where there is none
}

func rowsOf(q querier, query string, args ...any) ([]row, error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		var r row
		var op, state, code sql.NullString
		var since, until, tries sql.NullInt64
		if err := rows.Scan(&r.ref, &r.kind, &r.lookup, &r.key, &r.seq, &r.state, &r.sealed, &r.attempt.id, &op, &state, &since, &until, &tries, &code); err != nil {
			return nil, fmt.Errorf("reading a record: %w", err)
		}
		r.attempt.name, r.attempt.ref, r.attempt.op, r.attempt.state, r.attempt.code = r.ref, r.ref, op.String, state.String, fault.Code(code.String)
		r.attempt.since, r.attempt.until, r.attempt.tries = moment(since.Int64), moment(until.Int64), int(tries.Int64)
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	return all, nil
}

// one returns the only row, or false.
func one(q querier, query string, args ...any) (row, bool, error) {
	all, err := rowsOf(q, query, args...)
	if err != nil || len(all) == 0 {
		return row{}, false, err
	}
	return all[0], true, nil
}

// number returns the first column of the first row, or false.
func number(q querier, query string, args ...any) (n int64, found bool, err error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return 0, false, fmt.Errorf("reading a number: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		found = true
		err = rows.Scan(&n)
	}
	return n, found, errors.Join(err, rows.Err())
}
