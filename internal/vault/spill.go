package vault

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// storeTries bounds how often an answer that cannot be had a second time is
	// written to the store before it is put into a file beside it.
	storeTries = 5
	storePause = 100 * time.Millisecond
	storeMost  = 10 * time.Second // a file is safer than a store that does not answer
	rescueMost = 2 * time.Second
)

// secure stores what cannot be had a second time: the answer to a refresh
// token, a code or a password that was spent. Where the store fails it is
// tried again, with the reserve given up; then it goes, sealed, into a file of
// its own; then it stays in memory and is tried for as long as the process
// lives. In the last two cases the caller gets an error, never the token, and
// in the last one the lock h goes over to whoever goes on trying.
func (v *Vault) secure(h *hold, a answer, run func(t *transaction) error) error {
	err := v.insist(run)
	if err == nil {
		return nil
	}
	serr := v.spill.put(v, a)
	if serr != nil {
		v.reserve.give()
		serr = v.spill.put(v, a)
	}
	if serr == nil {
		if v.writer.as.shared {
			v.bringHome(h, a)
		}
		return spilledFault(err)
	}
	v.spill.homeless.Add(1)
	v.flying.Add(1)
	arrived := v.carry(h, a)
	go func() {
		defer v.flying.Done()
		defer arrived()
		v.rescue(a, run)
	}()
	return spilledFault(err)
}

// carry takes the lock h over for a on its way into the store. Until arrived is
// called, what the store has of the record is in doubt.
func (v *Vault) carry(h *hold, a answer) (arrived func()) {
	release, id := h.release, string(a.attempt.id)
	h.release = func() {}
	v.spill.carried.Store(a.rec.Ref, id)
	return func() {
		release() // first: whoever finds the lock free reads again
		v.spill.carried.CompareAndDelete(a.rec.Ref, id)
	}
}

// bringHome keeps the lock h until the store has what lies beside it, because no
// other machine can see it there, or until the vault closes.
func (v *Vault) bringHome(h *hold, a answer) {
	arrived := v.carry(h, a)
	v.carriers.Go(func() {
		defer arrived()
		for wait := storePause; v.drain() != nil; wait = min(2*wait, rescueMost) {
			select {
			case <-v.closing:
				return
			case <-time.After(wait):
			}
		}
	})
}

func (v *Vault) insist(run func(t *transaction) error) (err error) {
	began := time.Now()
	for i := range storeTries {
		if i > 0 {
			if time.Since(began) > storeMost {
				break
			}
			time.Sleep(storePause << i)
		}
		if err = v.writer.do(true, run); err == nil {
			break
		}
		if v.writer.as.classify(err) == full {
			v.reserve.give()
		}
	}
	return err
}

// rescue tries until the answer is in the store or in a file. Close waits for
// it, as long as its context lets it.
func (v *Vault) rescue(a answer, run func(t *transaction) error) {
	for wait := storePause; ; wait = min(2*wait, rescueMost) {
		time.Sleep(wait)
		if v.writer.do(true, run) == nil || v.spill.put(v, a) == nil {
			v.spill.homeless.Add(-1)
			return
		}
	}
}

// Unsaved counts the answers that are in memory only, because neither the
// store nor the folder beside it can be written. While there are any, the
// process should not be ended.
func (v *Vault) Unsaved() int { return int(v.spill.homeless.Load()) }

// spill is the folder of sealed answers that the store could not take. It is
// there only while it holds one.
type spill struct {
	dir      string
	homeless atomic.Int64
	carried  sync.Map // ref to the attempt whose answer is on its way, under a lock of ours
}

const kindSpill = "spill"

// put writes a into a file: key id, then the sealed answer. It is on the disk
// before put returns.
func (s *spill) put(v *Vault, a answer) (err error) {
	name := a.rec.Ref + "." + hex.EncodeToString(a.attempt.id)
	b, err := v.sealer().fresh(kindSpill, name)
	if err != nil {
		return err
	}
	plain, err := encodeAnswer(&a)
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the spill folder: %w", err)
	}
	path := filepath.Join(s.dir, name)
	if err := writeSynced(path+".new", append(binary.BigEndian.AppendUint64(nil, uint64(b.key)), b.seal(plain, 0)...)); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("naming the spill file: %w", err)
	}
	return errors.Join(folder(s.dir).sync(), folder(filepath.Dir(s.dir)).sync())
}

func (s *spill) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, refuse("the vault's spill folder cannot be read", "give your user access to the folder "+s.dir+", or remove what stands there in its place", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".new") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// drain puts into the store what lies in the spill folder. It comes before
// anything is sent: what lies there may be the only refresh token that works.
// A file that does not open is left; Status counts it.
func (v *Vault) drain() error {
	names, err := v.spill.names()
	if err != nil {
		return storeFault(err)
	}
	for _, name := range names {
		a, err := v.spill.take(v, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) || errors.Is(err, errKeyGone) {
			continue // another process was quicker, or it is not for us
		}
		if err != nil {
			return storeFault(err)
		}
		err = v.writer.do(true, func(t *transaction) error {
			_, _, err := v.land(t, a)
			return err
		})
		if err != nil {
			return storeFault(err)
		}
		if err := os.Remove(filepath.Join(v.spill.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeFault(err)
		}
	}
	if len(names) > 0 {
		_ = os.Remove(v.spill.dir) // when it is empty
	}
	return nil
}

func (s *spill) take(v *Vault, name string) (answer, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return answer{}, fmt.Errorf("reading spill file %q: %w", name, err)
	}
	if len(raw) < 8 {
		return answer{}, errDamaged
	}
	b, err := v.box(int64(binary.BigEndian.Uint64(raw)), kindSpill, name)
	if err != nil {
		return answer{}, err
	}
	plain, err := b.open(raw[8:], 0)
	if err != nil {
		return answer{}, errDamaged
	}
	return decodeAnswer(plain)
}

// writeSynced writes a file of mode 0600 that is on the disk when it returns,
// over whatever a crash has left there.
func writeSynced(path string, b []byte) error {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("making %q: %w", filepath.Base(path), err)
	}
	_, err = w.Write(b)
	if err := errors.Join(err, w.Sync(), w.Close()); err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Base(path), err)
	}
	return nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
