package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// reader reads through a few connections of its own; in WAL mode it waits for
// no writer.
type reader struct {
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func newReader(path string) (*reader, error) {
	db, err := openReader(path)
	if err != nil {
		return nil, err
	}
	return newReaderOf(db), nil
}

func newReaderOf(db *sql.DB) *reader { return &reader{db: db, stmts: map[string]*sql.Stmt{}} }

func (r *reader) query(query string, args ...any) (*sql.Rows, error) {
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
	seq       int64
	state     string
	sealed    []byte
	intent    []byte // id of a refresh that was begun and not ended; nil where there is none
	since     int64  // Unix milliseconds of that refresh's first attempt
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
		var since sql.NullInt64
		if err := rows.Scan(&r.ref, &r.kind, &r.lookup, &r.seq, &r.state, &r.sealed, &r.intent, &since); err != nil {
			return nil, fmt.Errorf("reading a record: %w", err)
		}
		r.since = since.Int64
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
