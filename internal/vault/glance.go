package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// glance is a look at a vault that makes and changes nothing, beside whoever
// is using it.
type glance struct {
	folder folder
	meta   meta
	key    *userKey
	sealer *sealer
	reader *reader
}

// glimpse opens what o describes; nil where no vault is there yet. Its errors
// are those of Open.
func glimpse(ctx context.Context, o Options) (*glance, error) {
	if o.onServer() {
		return glimpseServer(ctx, o)
	}
	f := folder(o.Dir)
	m, made, err := vacant(ctx, f)
	if err != nil {
		return nil, err
	}
	if !made {
		_, err := o.Key.forNew()
		return nil, err
	}
	m, key, err := fit(m, o.Key, f, func() (meta, error) {
		m, _, err := survey(ctx, f)
		return m, err
	})
	if err != nil {
		return nil, err
	}
	g := &glance{folder: f, meta: m, key: key}
	k, err := m.unlock(f, key)
	if err != nil {
		return nil, err
	}
	if g.sealer, err = newSealer(m.vaultID, k); err != nil {
		return nil, storeFault(err)
	}
	db, err := openSurvey(f.store(), !journalled(f))
	if err != nil {
		return nil, storeFault(err)
	}
	g.reader = newReader(db, sqliteDialect)
	return g, nil
}

func (g *glance) close() error { return g.reader.close() }

// snapshot is one state of the store, however long one reads in it.
type snapshot struct {
	ctx  context.Context
	conn *sql.Conn
	as   *dialect
}

// snapshot begins one. It must be closed.
func (r *reader) snapshot(ctx context.Context) (*snapshot, error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if _, err := conn.ExecContext(ctx, r.as.still); err != nil {
		return nil, errors.Join(fmt.Errorf("beginning to read: %w", err), conn.Close())
	}
	return &snapshot{ctx: ctx, conn: conn, as: r.as}, nil
}

func (s *snapshot) query(query string, args ...any) (*sql.Rows, error) {
	return s.conn.QueryContext(s.ctx, s.as.spell(query), args...)
}

func (s *snapshot) close() error {
	_, err := s.conn.ExecContext(context.WithoutCancel(s.ctx), undoWrite)
	return errors.Join(err, s.conn.Close())
}
