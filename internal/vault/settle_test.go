package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/token"
)

// TestOnlyTheVaultsKeyIsSettled: the file may hold the key of a rekey that is
// under way, which is not the vault's yet.
func TestOnlyTheVaultsKeyIsSettled(t *testing.T) {
	f := folder(t.TempDir())
	mine, theirs := bytes.Repeat([]byte{1}, keySize), bytes.Repeat([]byte{2}, keySize)
	put := func(path string, key []byte) {
		if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settled := func() bool {
		b, err := readKeyFile("", f.key())
		return err == nil && bytes.Equal(b, mine)
	}
	key := &userKey{bytes: mine, source: sourceOwn, next: true}
	put(f.key(), make([]byte, keySize))
	put(f.nextKey(), theirs)
	if promote(f, meta{}, key); settled() {
		t.Error("it is not in the file")
	}
	if b, err := readKeyFile("", f.nextKey()); err != nil || !bytes.Equal(b, theirs) {
		t.Errorf("another's key was moved: %v", err)
	}
	put(f.nextKey(), mine)
	release, err := f.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if promote(f, meta{}, key); settled() {
		t.Error("amid a rekey")
	}
	release()
	if promote(f, meta{}, &userKey{bytes: mine, source: sourceOwn}); settled() {
		t.Error("it has its lasting name")
	}
	if promote(f, meta{}, key); !settled() {
		t.Error("it was not settled")
	}
}

// TestAKeyThatChangesMeanwhile: the vault was read before a rekey, its key
// after it.
func TestAKeyThatChangesMeanwhile(t *testing.T) {
	var old, now meta
	id := make([]byte, 16)
	for b, m := range map[byte]*meta{1: &old, 2: &now} {
		m.vaultID, m.source = id, sourceOwn
		m.keyID = keyID(bytes.Repeat([]byte{b}, keySize), id)
	}
	f := folder(t.TempDir())
	if err := os.WriteFile(f.key(), []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, keySize))), 0o600); err != nil {
		t.Fatal(err)
	}
	m, key, err := fit(old, Key{}, f, func() (meta, error) { return now, nil })
	if err != nil || m.fits(key) != nil || !bytes.Equal(m.keyID, now.keyID) {
		t.Errorf("%+v %+v %v", m, key, err)
	}
	if _, _, err := fit(old, Key{}, f, func() (meta, error) { return old, nil }); err == nil {
		t.Error("a key that never fits was taken")
	}
}

// TestKeepCopy copies the store with its journal, and never over a copy.
func TestKeepCopy(t *testing.T) {
	f, at := folder(t.TempDir()), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{"first", "second"} {
		for _, path := range []string{f.store(), f.journal()} {
			if err := os.WriteFile(path, []byte(text+path), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.keepCopy(at); err != nil {
			t.Fatal(err)
		}
	}
	for path, copied := range map[string]string{f.store(): ".put-back-20260102T030405Z", f.journal(): ".put-back-20260102T030405Z-wal"} {
		b, err := os.ReadFile(f.store() + copied)
		if err != nil || string(b) != "first"+path {
			t.Errorf("%s: %q %v", copied, b, err)
		}
		if info, err := os.Stat(f.store() + copied); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", copied, info.Mode(), err)
		}
	}
}

// TestWhoeverOpensARemadeVaultDoubtsIt, also where the restore was cut off
// before it could, beside an anchor that fits the backup.
func TestWhoeverOpensARemadeVaultDoubtsIt(t *testing.T) {
	o := Options{Dir: t.TempDir() + "/vault", Key: Key{Value: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}}.filled()
	v, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	bank := func(context.Context, Record) (token.Token, error) {
		return token.Token{Access: secret.New("a"), Refresh: secret.New("r"), Expiry: token.ExpiresAt, ExpiresAt: time.Now().Add(time.Hour)}, nil
	}
	if _, _, err := v.Obtain(t.Context(), Identity{Grant: "authorization_code"}, Policy{}, bank); err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/backup"
	if _, err := v.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := folder(o.Dir)
	if err := os.Remove(f.store()); err != nil {
		t.Fatal(err)
	}
	b, err := openBackup(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if there, err := b.remake(t.Context(), o, f); there || err != nil {
		t.Fatal(there, err)
	}
	if v, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if s, err := v.Status(t.Context()); err != nil || s.Tokens[Suspect] != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
