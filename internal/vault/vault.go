// Package vault keeps tokens and passwords, sealed, and makes sure that a
// refresh token is never spent twice and never lost.
//
// The store is an SQLite file in a folder of the user's. Every record is
// sealed with a key of its own (seal.go draws the keys, sqlite.go the
// tables); in clear stand only token_refs, kinds, states, times and blind
// indexes. Several processes may use one folder at once.
//
// Two kinds of token are kept in two ways. A client_credentials token can be
// had again at any time: its record is committed once, before its token_ref is
// handed out, and survives the end of the process; a newer token of the same
// record goes to memory first and is written within a second and on Close, so
// that a killed process may fall back to the token before. Every other token
// stands on a refresh token that cannot be had again without a person: an
// intent is on disk before the provider is asked, the answer is on disk before
// anybody sees it, and a lock across processes keeps others away meanwhile.
package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Options say where a vault is and how it is opened.
type Options struct {
	Dir string // the vault's folder, made with mode 700 where it is missing
	Key Key
	Now func() time.Time // nil: time.Now
	// Rand gives token_refs and keys; nil: crypto/rand.
	Rand io.Reader
	// Store is the address of a PostgreSQL database that has the records, for
	// several replicas; it holds a password. Zero: a file in Dir. With it Key must
	// be one that was given, and Dir keeps what the database could not take.
	Store secret.Value
	// Lease is how long a replica's lock outlives it; 0: a minute. It must be
	// longer than a Policy's deadline.
	Lease time.Duration
	// Ephemeral makes a throw-away vault: its key stays in memory and Close
	// removes Dir, which must be empty or missing ("": a temporary folder).
	Ephemeral bool
}

func (o Options) filled() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Lease == 0 {
		o.Lease = leaseLength
	}
	return o
}

// Vault is an open vault, safe for concurrent use.
type Vault struct {
	folder    folder
	server    string // names the database that has the records; "" where a file in the folder does
	now       func() time.Time
	ephemeral bool
	meta      meta
	key       userKey // without its bytes
	source    Key     // where to look when the vault has a new one
	learning  learning
	seals     atomic.Pointer[sealer]
	reader    *reader
	writer    *writer
	locks     locks
	reserve   *reserve
	spill     *spill
	anchor    *anchor // nil where the store is no file of ours

	drawing sync.Mutex // an io.Reader need not be safe for concurrent use
	random  io.Reader

	mu      sync.Mutex
	closed  bool          // no call comes in any more
	ended   bool          // nor does one go on
	closing chan struct{} // closed with the first Close
	flying  sync.WaitGroup
	// carriers bring into the store what lies beside it.
	carriers sync.WaitGroup
	flights  map[flightKey]*flight
	cold     map[flightKey]cooling
	cache    cache
	notes    notes
}

// Open opens the vault in o.Dir, and makes it where there is none. It reads
// and checks the whole file, so call it when the vault is first needed. Its
// errors are faults of code VaultUnavailable whose hint says what to do; then
// nothing was changed, and nothing made but the folder.
func Open(ctx context.Context, o Options) (*Vault, error) {
	o = o.filled()
	if o.Ephemeral {
		dir, err := ephemeralFolder(o.Dir)
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	v, err := prepare(ctx, o)
	if err != nil {
		if o.Ephemeral {
			_ = os.RemoveAll(o.Dir)
		}
		return nil, storeFault(err)
	}
	return v, nil
}

func prepare(ctx context.Context, o Options) (*Vault, error) {
	f := folder(o.Dir)
	if o.Dir == "" {
		return nil, refuse("the vault has no folder", "set BANKAUTH_DATA_DIR", nil)
	}
	if o.onServer() {
		return openOnServer(ctx, o, f)
	}
	m, made, err := vacant(ctx, f)
	if err != nil {
		return nil, err
	}
	var key *userKey
	switch {
	case !made:
		m, key, err = found(ctx, o, f)
	case o.Ephemeral:
		_, err = existingKey(o, f, m)
	default:
		m, key, err = fit(m, o.Key, f, func() (meta, error) {
			m, _, err := survey(ctx, f)
			return m, err
		})
	}
	if err != nil {
		return nil, err
	}
	k, err := m.unlock(f, key)
	if err != nil {
		return nil, err
	}
	if err := f.make(); err != nil {
		return nil, err
	}
	promote(f, m, key)
	v, err := start(o, f, m, key, k)
	if err != nil {
		return nil, err
	}
	if err := v.recall(ctx); err != nil {
		return nil, errors.Join(err, v.writer.close(), v.reader.close())
	}
	// What lies beside the store comes into it before anything is read. Where it
	// cannot, the next refresh tries again before it sends.
	_ = v.drain()
	return v, nil
}

func existingKey(o Options, f folder, m meta) (*userKey, error) {
	if o.Ephemeral {
		return nil, refuse("a throw-away vault needs an empty folder", "name another folder, or none", nil)
	}
	return o.Key.existing(f, m)
}

// found makes a vault, unless another process has done so by the time that
// the lock is ours.
func found(ctx context.Context, o Options, f folder) (meta, *userKey, error) {
	if err := f.make(); err != nil {
		return meta{}, nil, err
	}
	release, err := f.lock(ctx)
	if err != nil {
		return meta{}, nil, err
	}
	defer release()
	m, made, err := vacant(ctx, f)
	if err != nil {
		return meta{}, nil, err
	}
	if made {
		key, err := existingKey(o, f, m)
		return m, key, err
	}
	return lay(ctx, o, f)
}

// lay draws the keys of a new vault and makes its file.
func lay(ctx context.Context, o Options, f folder) (meta, *userKey, error) {
	m, k, err := drawKeys(o)
	if err != nil {
		return meta{}, nil, err
	}
	var key *userKey
	if o.Ephemeral {
		key = &userKey{bytes: make([]byte, keySize), source: sourceMemory}
		_, err = io.ReadFull(o.Rand, key.bytes)
	} else {
		key, err = o.Key.first(f, m.account(), o.Rand)
	}
	if err != nil {
		return meta{}, nil, err
	}
	if err := m.lock(key, k); err != nil {
		return meta{}, nil, err
	}
	return m, key, create(ctx, f, func(db *sql.DB) error { return m.insert(ctx, db) })
}

// onServer reports whether the records lie in a database.
func (o Options) onServer() bool { return !o.Store.IsZero() && !o.Ephemeral }

func start(o Options, f folder, m meta, key *userKey, k keys) (*Vault, error) {
	v, err := assemble(o, f, m, key, k)
	if err != nil {
		return nil, err
	}
	read, err := openReader(f.store())
	if err != nil {
		return nil, err
	}
	write, err := openWriter(f.store())
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	if err := v.connect(read, write, sqliteDialect); err != nil {
		return nil, err
	}
	return v, nil
}

// assemble makes a vault that lacks its store.
func assemble(o Options, f folder, m meta, key *userKey, k keys) (*Vault, error) {
	s, err := newSealer(m.vaultID, k)
	if err != nil {
		return nil, err
	}
	v := &Vault{folder: f, now: o.Now, random: o.Rand, ephemeral: o.Ephemeral, meta: m, source: o.Key,
		key:   userKey{source: key.source, path: key.path},
		locks: stripes{f}, reserve: &reserve{path: f.reserve(), held: o.Ephemeral}, spill: &spill{dir: f.spill()},
		closing: make(chan struct{}), flights: map[flightKey]*flight{}, cold: map[flightKey]cooling{}, cache: newCache(),
		notes: notes{watched: map[string]*watched{}}}
	v.seals.Store(s)
	if !o.Ephemeral && !o.onServer() {
		v.anchor = &anchor{path: f.head(), chain: newChain(s)}
	}
	return v, nil
}

// connect gives v its store. Where it fails, both are closed.
func (v *Vault) connect(read, write *sql.DB, as *dialect) (err error) {
	v.reader = newReader(read, as)
	chain := newChain(v.sealer())
	if v.anchor != nil {
		chain = v.anchor.chain
	}
	if v.writer, err = newWriter(write, as, chain, v.catchUp, writeBehind); err != nil {
		err = errors.Join(err, v.reader.close())
	}
	return err
}

// catchUp is what the writer calls for what may be written late.
func (v *Vault) catchUp() *job {
	v.anchor.write()
	return v.behind()
}

// sealer is what seals and opens now; `vault rekey` may change it.
func (v *Vault) sealer() *sealer { return v.seals.Load() }

func ephemeralFolder(dir string) (string, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "bankauth-")
		if err != nil {
			return "", refuse("a throw-away vault cannot be made", "make sure that the system's folder for temporary files can be written", err)
		}
		return dir, nil
	}
	if names, err := os.ReadDir(dir); err == nil && len(names) > 0 {
		return "", refuse("a throw-away vault needs an empty folder", "name another folder, or none", nil)
	}
	return dir, nil
}

// Close waits for the mints under way, writes what is not written yet, ends
// the vault's goroutines and, where the vault is Ephemeral, removes its
// folder. When ctx ends first, the vault goes on until the mints have ended;
// Close may be called again. Calls that come after Close are VaultUnavailable.
func (v *Vault) Close(ctx context.Context) error {
	v.mu.Lock()
	if !v.closed {
		v.closed = true
		close(v.closing)
	}
	v.mu.Unlock()
	landed := make(chan struct{})
	go func() { v.flying.Wait(); v.carriers.Wait(); close(landed) }()
	select {
	case <-landed:
	case <-ctx.Done():
		return ctx.Err()
	}
	v.mu.Lock()
	again := v.ended
	v.ended = true
	v.mu.Unlock()
	if again {
		return nil
	}
	err := errors.Join(v.writer.close(), v.reader.close())
	if v.ephemeral {
		err = errors.Join(err, os.RemoveAll(string(v.folder)))
	}
	if err != nil {
		return storeFault(err)
	}
	return nil
}

// ready counts a call in, so that Close waits for it.
func (v *Vault) ready() (leave func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, closedFault()
	}
	v.flying.Add(1)
	return v.flying.Done, nil
}

func closedFault() *fault.Fault {
	return unusable("the vault is closed", "the server is stopping; start it again", errClosed)
}

// drawID returns 128 random bits.
func (v *Vault) drawID() ([]byte, error) {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	id := make([]byte, 16)
	if _, err := io.ReadFull(v.random, id); err != nil {
		return nil, fmt.Errorf("drawing an id: %w", err)
	}
	return id, nil
}

func (v *Vault) draw() (string, error) {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	return newRef(v.random)
}
