package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"bankauth/internal/secret"
)

// NoteKind says what a Note is about.
type NoteKind string

// The kinds of notes.
const (
	NoteConsent NoteKind = "consent" // a consent that waits for a person, and what came of it
	NoteAnswer  NoteKind = "answer"  // what a call was answered, for whoever repeats it
)

// NoteState says how far what a Note is about has come.
type NoteState string

// The states of a note.
const (
	NoteOpen    NoteState = "open"
	NoteTaken   NoteState = "taken" // somebody sees to it
	NoteSettled NoteState = "settled"
)

// Note is what all processes of a vault are to know for a while. It lies in
// the store sealed, under a blind index of its kind and name. It is in no
// backup, and no entry of the audit speaks of it; a power cut may undo what was
// done to it last.
type Note struct {
	Kind      NoteKind
	Name      string // tells it from others of its kind, whoever's they are; not kept as it is
	Principal string // whose it is
	State     NoteState
	Text      secret.Value
	// Until is when it is over, to the millisecond; it can be read for ten
	// minutes more, by whoever comes late.
	Until time.Time

	id []byte // of this version
}

// Over reports whether the note's time has passed.
func (n *Note) Over(now time.Time) bool { return !now.Before(n.Until) }

// What is kept of answers, besides those whose time has not passed: it is
// looked at with every 64th new note, and once a minute.
const (
	answersEach  = 4096 // of a principal; the oldest go first
	answersInAll = 16384
	sweepEach    = 64
	sweepAfter   = time.Minute
)

// AddNote keeps n. It reports false, and nothing has changed, where there is a
// note of that kind and name, or where n.Principal has most open ones of the
// kind whose time has not passed; 0: there is no such bound. Its errors are
// faults.
func (v *Vault) AddNote(ctx context.Context, n *Note, most int) (bool, error) {
	owner := hex.EncodeToString(v.sealer().owner(n.Principal))
	return v.writeNote(ctx, n, func(t *transaction, name, text string, now time.Time) (int64, error) {
		if _, err := t.exec(endLateNote, name, millis(now.Add(-unheardFor))); err != nil {
			return 0, err
		}
		if most > 0 {
			waiting, _, err := number(t, countNotes, string(n.Kind), owner, string(NoteOpen), millis(now))
			if err != nil || waiting >= int64(most) {
				return 0, err
			}
		}
		if v.notes.due(now) {
			if err := sweepNotes(t, now); err != nil {
				return 0, err
			}
		}
		return t.exec(keepAttempt, name, string(n.Kind), n.id, string(n.State), text, owner, 0, millis(now), millis(n.Until), "")
	})
}

// ChangeNote puts n in the place of the version that it was read as. It reports
// false, and nothing has changed, where another was quicker: of all who change
// one version, one does. Its errors are faults.
func (v *Vault) ChangeNote(ctx context.Context, n *Note) (bool, error) {
	was := n.id
	return v.writeNote(ctx, n, func(t *transaction, name, text string, now time.Time) (int64, error) {
		return t.exec(changeNote, n.id, string(n.State), text, millis(now), millis(n.Until), name, was)
	})
}

// writeNote has write put n, as a new version, into the store. write returns
// how many rows it has changed.
func (v *Vault) writeNote(ctx context.Context, n *Note, write func(t *transaction, name, text string, now time.Time) (int64, error)) (done bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	leave, err := v.ready()
	if err != nil {
		return false, err
	}
	defer leave()
	was := n.id
	name := v.noteName(n.Kind, n.Name)
	text, err := v.sealNote(name, n)
	if err == nil {
		n.id, err = v.drawID()
	}
	if err == nil {
		err = v.writer.do(false, func(t *transaction) error {
			rows, err := write(t, name, text, v.now())
			if done = rows == 1; err != nil || done {
				return err
			}
			// It is run again where nobody knows whether the first time counted.
			a, err := findAttempt(t, name)
			done = bytes.Equal(a.id, n.id)
			return err
		})
	}
	if !done || err != nil {
		n.id = was
	}
	if err != nil {
		return false, storeFault(err)
	}
	if done {
		v.notes.tell(name)
	}
	return done, nil
}

// Note returns principal's note of that kind and name. That of another is as
// unknown as one that never was: found is false. Its errors are faults.
func (v *Vault) Note(ctx context.Context, kind NoteKind, principal, name string) (n Note, found bool, err error) {
	n, found, err = v.AnyNote(ctx, kind, name)
	if !found || n.Principal != principal {
		return Note{}, false, err
	}
	return n, true, nil
}

// AnyNote is Note for a caller who cannot say who it is, such as a browser that
// was given the name. Whose the note is says its Principal.
func (v *Vault) AnyNote(ctx context.Context, kind NoteKind, name string) (n Note, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return Note{}, false, err
	}
	leave, err := v.ready()
	if err != nil {
		return Note{}, false, err
	}
	defer leave()
	row := v.noteName(kind, name)
	a, err := findAttempt(v.reader, row)
	if err != nil {
		return Note{}, false, storeFault(err)
	}
	n = Note{Kind: kind, Name: name, State: NoteState(a.state), Until: a.until, id: a.id}
	if a.id == nil || n.Over(v.now().Add(-unheardFor)) {
		return Note{}, false, nil
	}
	if err := v.openNote(row, a.ref, &n); err != nil {
		return Note{}, false, storeFault(err)
	}
	return n, true, nil
}

// AwaitNote returns n once another has changed it, in this process or
// elsewhere; found is false where it is there no more. When ctx ends first it
// returns n as it is, and no error.
func (v *Vault) AwaitNote(ctx context.Context, n Note) (next Note, found bool, err error) {
	row := v.noteName(n.Kind, n.Name)
	for pause := 20 * time.Millisecond; ; pause = min(pause*3/2, time.Second) {
		changed, leave := v.notes.watch(row)
		next, found, err = v.Note(context.WithoutCancel(ctx), n.Kind, n.Principal, n.Name)
		if err != nil || !bytes.Equal(next.id, n.id) {
			leave()
			return next, found, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-v.closing:
		case <-ctx.Done():
		}
		timer.Stop()
		leave()
		if ctx.Err() != nil {
			return n, true, nil
		}
	}
}

// noteName is the name of a note's row.
func (v *Vault) noteName(kind NoteKind, name string) string {
	return string(kind) + ":" + hex.EncodeToString(v.sealer().lookup("note", string(kind), name))
}

// sealNote seals what a note says into the text that its row's ref holds.
func (v *Vault) sealNote(row string, n *Note) (string, error) {
	plain, err := encodeNote(n)
	if err != nil {
		return "", err
	}
	b, err := v.sealer().fresh(string(n.Kind), row)
	if err != nil {
		return "", err
	}
	return encodeSealed(b.key, b.seal(plain, 0)), nil
}

func (v *Vault) openNote(row, text string, n *Note) error {
	key, sealed, err := decodeSealed(text)
	if err != nil {
		return err
	}
	b, err := v.box(key, string(n.Kind), row)
	if err != nil {
		return err
	}
	plain, err := b.open(sealed, 0)
	if err != nil {
		return errors.Join(errDamaged, err)
	}
	return decodeNote(plain, n)
}

// sweepNotes forgets those whose time has passed, and what are too many.
func sweepNotes(t *transaction, now time.Time) error {
	if _, err := t.exec(endNotes, millis(now.Add(-unheardFor))); err != nil {
		return fmt.Errorf("sweeping notes: %w", err)
	}
	if _, err := t.exec(trimAnswers, answersEach, answersInAll); err != nil {
		return fmt.Errorf("trimming answers: %w", err)
	}
	return nil
}

// notes is what a process knows of notes beyond the store: who waits here.
type notes struct {
	mu      sync.Mutex
	added   int
	swept   time.Time
	watched map[string]*watched // by row
}

type watched struct {
	changed chan struct{}
	by      int
}

// due reports whether it is time to sweep.
func (n *notes) due(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.added++
	if n.added < sweepEach && now.Sub(n.swept) < sweepAfter {
		return false
	}
	n.added, n.swept = 0, now
	return true
}

// watch returns a channel that is closed when this process changes the note at
// row. Call leave when it is not looked at any more.
func (n *notes) watch(row string) (changed <-chan struct{}, leave func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.watched[row]
	if w == nil {
		w = &watched{changed: make(chan struct{})}
		n.watched[row] = w
	}
	w.by++
	return w.changed, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if w.by--; w.by == 0 && n.watched[row] == w {
			delete(n.watched, row)
		}
	}
}

// tell wakes whoever watches row.
func (n *notes) tell(row string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.watched[row]; w != nil {
		close(w.changed)
		delete(n.watched, row)
	}
}
