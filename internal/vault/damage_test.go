//go:build unix

package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/vault"
)

// wreck is a vault of which one file is damaged again and again.
type wreck struct {
	t     *testing.T
	dir   string
	sound map[string]string // its files
	refs  []string
	bank  *bank

	tokens []string // the access token of each ref

	refused, aside, whole int
}

// fresh has a vault with six tokens that have a refresh token and six that
// have none, as its owner leaves it; or, live, as a kill does after a refresh.
func fresh(t *testing.T, live bool) *wreck {
	t.Helper()
	w := &wreck{t: t, bank: &bank{lifetime: time.Hour, refresh: true}}
	w.dir, w.refs = filled(t)
	for i := range w.refs {
		w.tokens = append(w.tokens, fmt.Sprintf("access-CANARY-%d", i+1))
	}
	if !live {
		w.sound = contents(t, w.dir)
		return w
	}
	v := open(t, withKey(w.dir))
	r, _, err := v.Refresh(t.Context(), me, w.refs[0], vault.Policy{Force: true}, w.bank.mint)
	if err != nil {
		t.Fatal(err)
	}
	w.tokens[0] = r.Token.Access.Reveal()
	time.Sleep(1500 * time.Millisecond) // the anchor follows within a second
	w.sound = contents(t, w.dir)
	shut(t, v)
	maps.DeleteFunc(w.sound, func(path, _ string) bool { return strings.HasSuffix(path, "-shm") || strings.Contains(path, "/locks/") })
	return w
}

// with puts the vault back as it was, but for the one file, and reports whether
// it opens. Then each token is as it was, or set aside, or doubted, or gone; a
// vault that is refused is left as it is. Nothing is sent by itself.
func (w *wreck) with(name, path string, damaged []byte) (opens bool) {
	w.t.Helper()
	old, err := filepath.Glob(w.dir + "/vault.db*")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range old {
		remove(w.t, p)
	}
	for p, text := range w.sound {
		write(w.t, p, text, 0o600)
	}
	write(w.t, path, string(damaged), 0o600)
	before := contents(w.t, w.dir)
	posts := w.bank.posts.Load()
	v, err := vault.Open(context.Background(), withKey(w.dir))
	if err != nil {
		w.refused++
		if code(err) != fault.VaultUnavailable {
			w.t.Errorf("%s: %v", name, err)
		}
		after := contents(w.t, w.dir)
		for p, text := range before {
			if !strings.HasSuffix(p, "-shm") && after[p] != text {
				w.t.Errorf("%s: refused, but %s has changed", name, p)
			}
		}
		return false
	}
	defer shut(w.t, v)
	doubted := 0
	for i, ref := range w.refs {
		r, err := v.Get(context.Background(), me, ref)
		switch c := code(err); {
		case err == nil && r.State == vault.Suspect:
			doubted++
		case err == nil:
			w.whole++
			if r.Token.Access.Reveal() != w.tokens[i] {
				w.t.Errorf("%s: %s holds another token", name, ref)
			}
		case c == fault.Reauthorize || c == fault.InvalidArgument || c == fault.VaultUnavailable:
			w.aside++
		default:
			w.t.Errorf("%s: %v", name, err)
		}
	}
	w.aside += doubted
	if doubted > 0 && strings.HasSuffix(path, "-wal") {
		kept, err := filepath.Glob(w.dir + "/vault.db.put-back-*-wal")
		if err != nil || len(kept) != 1 {
			w.t.Fatalf("%s: no copy of it was kept: %v %v", name, kept, err)
		}
		if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, damaged) {
			w.t.Errorf("%s: the copy is another, %v", name, err)
		}
	}
	if n := w.bank.posts.Load(); n != posts {
		w.t.Errorf("%s: %d requests were sent", name, n-posts)
	}
	return true
}

// isWhole fails the test unless the sound vault is whole: what is found then
// comes of the damage.
func (w *wreck) isWhole(path string) {
	w.t.Helper()
	if w.with("nothing damaged", path, []byte(w.sound[path])); w.whole != len(w.refs) {
		w.t.Fatalf("undamaged: %+v", w)
	}
	w.whole = 0
}

// flips damages one byte at a time, every so many bytes.
func (w *wreck) flips(path string, every int) {
	for at := 0; at < len(w.sound[path]); at += every {
		b := []byte(w.sound[path])
		b[at] ^= 0x55
		w.with(fmt.Sprintf("byte %d", at), path, b)
	}
}

func (w *wreck) said() {
	w.t.Logf("%d refused, %d tokens whole, %d set aside, doubted or gone", w.refused, w.whole, w.aside)
}

// TestDamage damages the database at every 64th byte, page by page and by cuts.
func TestDamage(t *testing.T) {
	t.Parallel()
	w := fresh(t, false)
	path := w.dir + "/vault.db"
	sound := []byte(w.sound[path])
	w.isWhole(path)
	w.flips(path, 64)
	for page := 0; page < len(sound); page += 4096 {
		b := bytes.Clone(sound)
		clear(b[page : page+4096])
		if name := fmt.Sprintf("page at %d emptied", page); w.with(name, path, b) {
			t.Errorf("%s: it was opened", name)
		}
	}
	for at := 0; at < len(sound); at += 64 {
		if name := fmt.Sprintf("cut at %d", at); w.with(name, path, sound[:at]) {
			t.Errorf("%s: it was opened", name)
		}
	}
	w.said()
	if w.refused == 0 || w.aside == 0 || w.whole == 0 {
		t.Error("this test could not fail")
	}
}

// TestDamageOfTheLog does the same to what SQLite has not put into the database
// yet. SQLite takes what it can of a log, as after a power cut, so the vault
// may be an older one: then no refresh token that may have been renewed since
// is sent without a word.
func TestDamageOfTheLog(t *testing.T) {
	t.Parallel()
	w := fresh(t, true)
	path := w.dir + "/vault.db-wal"
	sound := []byte(w.sound[path])
	if len(sound) < 16<<10 {
		t.Fatalf("the log has %d bytes: this test could not fail", len(sound))
	}
	w.isWhole(path)
	w.flips(path, 64)
	for at := 0; at < len(sound); at += 64 {
		w.with(fmt.Sprintf("cut at %d", at), path, sound[:at])
	}
	w.said()
	if w.aside == 0 || w.whole == 0 {
		t.Error("this test could not fail")
	}
}

// TestDamageOfTheKey does it to the file with the key: every byte, every cut.
func TestDamageOfTheKey(t *testing.T) {
	o := vault.Options{Dir: folder(t)}
	path := o.Dir + "/vault.key"
	v := open(t, o)
	obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank{refresh: true}).mint)
	shut(t, v)
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(damaged []byte) {
		write(t, path, string(damaged), 0o600)
		mustRefuse(t, o, "")
	}
	text := bytes.TrimRight(key, "=\n") // the rest may be missing
	for at := range text {
		b := bytes.Clone(key)
		b[at] ^= 0x55
		spoil(b)
		spoil(text[:at])
	}
	write(t, path, string(key), 0o600)
	shut(t, open(t, o))
}
