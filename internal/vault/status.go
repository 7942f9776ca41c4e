package vault

import (
	"context"
)

// Status is what there is to say about a vault.
type Status struct {
	Made      bool   // false: there is no vault in Path yet; the rest is zero
	Path      string // the folder
	Store     string // the database, without user and password; "" where the store is a file in Path
	KeySource string // keyring, key file, file, environment or memory
	KeyPath   string // of the key's file; "" where there is none
	Schema    int
	Tokens    map[State]int
	SetAside  int // records that do not open
	Passwords int
	// Candidates are refresh tokens that came second; they are tried before a
	// token is given up.
	Candidates int
	// PutBack says that the store is older than vault.head, or has none: the next
	// Open makes its refresh tokens suspect.
	PutBack bool
	Spilled int // answers that lie beside the store, because it could not take them
	Unsaved int // answers that are in this process's memory only
}

// Status counts what the vault holds. It opens every record, and is meant for
// people: it takes as long as there are records.
func (v *Vault) Status(ctx context.Context) (Status, error) {
	if err := ctx.Err(); err != nil {
		return Status{}, err
	}
	leave, err := v.ready()
	if err != nil {
		return Status{}, err
	}
	defer leave()
	if err := v.flush(); err != nil {
		return Status{}, storeFault(err)
	}
	s := Status{Made: true, Path: string(v.folder), Store: v.server, KeySource: v.key.source, KeyPath: v.key.path, Schema: schemaVersion}
	if err := s.count(v.sealer(), v.reader, v.settle); err != nil {
		return Status{}, storeFault(err)
	}
	names, err := v.spill.names()
	s.Spilled, s.Unsaved = len(names), v.Unsaved()
	if err != nil {
		return Status{}, storeFault(err)
	}
	return s, nil
}

// Inspect says what Status says without making or changing anything, also
// where there is no vault yet. A refresh that was cut off counts as live. Its
// errors are those of Open.
func Inspect(ctx context.Context, o Options) (Status, error) {
	o = o.filled()
	s := Status{Path: o.Dir, Store: o.storeName()}
	g, err := glimpse(ctx, o)
	if err != nil || g == nil {
		return s, err
	}
	s.Made, s.KeySource, s.KeyPath, s.Schema = true, g.key.source, g.key.path, schemaVersion
	defer g.close()
	if err := s.count(g.sealer, g.reader, func(_ row, rec Record) (Record, error) { return rec, nil }); err != nil {
		return s, storeFault(err)
	}
	if s.Store == "" {
		how, _, err := (&anchor{path: g.folder.head(), chain: newChain(g.sealer)}).stands(g.reader)
		if err != nil {
			return s, storeFault(err)
		}
		s.PutBack = how == putBack
	}
	names, err := (&spill{dir: g.folder.spill()}).names()
	s.Spilled = len(names)
	if err != nil {
		return s, storeFault(err)
	}
	return s, nil
}

// count opens every record; settle sees to those that were cut off.
func (s *Status) count(sealer *sealer, r *reader, settle func(row, Record) (Record, error)) error {
	rows, err := rowsOf(r, selectAll)
	if err != nil {
		return err
	}
	s.Tokens = map[State]int{}
	opener := &Vault{}
	opener.seals.Store(sealer)
	for _, row := range rows {
		rec, err := opener.open(row)
		if err != nil {
			s.SetAside++
			continue
		}
		if rec, err = settle(row, rec); err != nil {
			return err
		}
		s.Tokens[rec.State]++
	}
	passwords, _, err := number(r, countPasswords)
	if err != nil {
		return err
	}
	candidates, _, err := number(r, countCandidates)
	s.Passwords, s.Candidates = int(passwords), int(candidates)
	return err
}
