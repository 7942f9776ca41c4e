//go:build unix

package vault_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

func noteOf(kind vault.NoteKind, name string) vault.Note {
	return vault.Note{Kind: kind, Name: name, Principal: me, State: vault.NoteOpen, Text: secret.New("text-CANARY of finapi"), Until: time.Now().Add(time.Hour)}
}

func add(t testing.TB, v *vault.Vault, n *vault.Note, most int) bool {
	t.Helper()
	added, err := v.AddNote(context.Background(), n, most)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func note(t testing.TB, v *vault.Vault, n vault.Note) (vault.Note, bool) {
	t.Helper()
	got, found, err := v.Note(context.Background(), n.Kind, n.Principal, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	return got, found
}

// TestNotes: what one process notes, another reads; another principal, or
// another kind, finds nothing.
func TestNotes(t *testing.T) {
	dir := folder(t)
	one, two := open(t, withKey(dir)), open(t, withKey(dir))
	n := noteOf(vault.NoteConsent, "name-CANARY")
	if !add(t, one, &n, 0) {
		t.Fatal("it is there already")
	}
	same := n
	if add(t, two, &same, 0) {
		t.Error("one took the place of another")
	}
	got, found := note(t, two, n)
	if !found || !got.Text.Equal(n.Text) || got.State != vault.NoteOpen || got.Until.UnixMilli() != n.Until.UnixMilli() {
		t.Errorf("%+v %v", got, found)
	}
	if any, found, err := two.AnyNote(context.Background(), n.Kind, n.Name); any.Principal != me || !found || err != nil {
		t.Errorf("%+v %v", any, err)
	}
	for _, other := range []vault.Note{{Kind: n.Kind, Name: n.Name, Principal: "eve"}, {Kind: vault.NoteAnswer, Name: n.Name, Principal: me}, {Kind: n.Kind, Name: "other", Principal: me}} {
		if _, found := note(t, two, other); found {
			t.Errorf("found as %+v", other)
		}
	}
	// A text that was moved to another row does not open there.
	other := noteOf(vault.NoteConsent, "other")
	add(t, one, &other, 0)
	alter(t, dir, `UPDATE attempts SET ref = (SELECT max(ref) FROM attempts)`)
	_, first, err := one.Note(context.Background(), n.Kind, me, n.Name)
	_, second, err2 := one.Note(context.Background(), n.Kind, me, "other")
	if first == second || (err == nil) == (err2 == nil) || code(err) == "" == (code(err2) == "") {
		t.Errorf("both open: %v %v", err, err2)
	}
}

// TestOneChangesANote: of many who change one version, in several processes,
// one does; the others are told, and those who wait see it.
func TestOneChangesANote(t *testing.T) {
	dir := folder(t)
	all := []*vault.Vault{open(t, withKey(dir)), open(t, withKey(dir)), open(t, withKey(dir))}
	for round := range 10 {
		n := noteOf(vault.NoteConsent, fmt.Sprint(round))
		add(t, all[0], &n, 0)
		var won atomic.Int64
		var together sync.WaitGroup
		for i := range 24 {
			together.Go(func() {
				mine := n
				if i < 6 {
					next, found, err := all[i%3].AwaitNote(context.Background(), mine)
					if next.State != vault.NoteTaken || !found || err != nil {
						t.Errorf("%+v %v", next, err)
					}
					return
				}
				mine.State, mine.Text = vault.NoteTaken, secret.New(fmt.Sprint(i))
				changed, err := all[i%3].ChangeNote(context.Background(), &mine)
				if err != nil {
					t.Error(err)
				}
				if got, _ := note(t, all[i%3], n); changed {
					won.Add(1)
					if !got.Text.Equal(mine.Text) {
						t.Error("another's text is there")
					}
				} else if changed, _ := all[i%3].ChangeNote(context.Background(), &mine); changed {
					t.Error("the second time it counts")
				}
			})
		}
		together.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d have changed it", round, won.Load())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	n := noteOf(vault.NoteConsent, "nobody")
	add(t, all[0], &n, 0)
	if got, found, err := all[1].AwaitNote(ctx, n); !found || err != nil || got.State != vault.NoteOpen {
		t.Errorf("%+v %v", got, err)
	}
}

// TestNotesEnd: they can be read ten minutes beyond their time, and are then
// gone; only so many are open for one principal, and only so many answers kept.
func TestNotesEnd(t *testing.T) {
	var passed atomic.Int64
	dir := folder(t)
	o := withKey(dir)
	o.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	v := open(t, o)
	for i := range 3 {
		n := noteOf(vault.NoteConsent, fmt.Sprint("c", i))
		if added := add(t, v, &n, 2); added != (i < 2) {
			t.Errorf("note %d: %v", i, added)
		}
	}
	n := noteOf(vault.NoteConsent, "c0")
	passed.Store(int64(time.Hour + 9*time.Minute))
	if got, found := note(t, v, n); !found || !got.Over(o.Now()) {
		t.Error("it was forgotten too soon")
	}
	if late := noteOf(vault.NoteConsent, "late"); !add(t, v, &late, 2) { // whose own time has passed as well
		t.Error("those whose time has passed count")
	}
	passed.Store(int64(time.Hour + 11*time.Minute))
	if _, found := note(t, v, n); found {
		t.Error("it is still there")
	}
	if n.Until = o.Now().Add(time.Hour); !add(t, v, &n, 2) {
		t.Error("its name is taken")
	}
	if n := rows(t, dir); n != 1 {
		t.Errorf("%d rows are left", n)
	}
	passed.Store(0)
	const many = 4096 + 300
	var together sync.WaitGroup
	for w := range 50 {
		together.Go(func() {
			for i := w; i < many; i += 50 {
				n := noteOf(vault.NoteAnswer, fmt.Sprint("a", i))
				if n.State = vault.NoteSettled; i%100 == 0 {
					n.Principal = "quiet"
				}
				add(t, v, &n, 0)
			}
		})
	}
	together.Wait()
	if n := rows(t, dir); n < 4096 || n > 4096+many/100+1+64+1 {
		t.Errorf("%d rows", n)
	}
	if _, found := note(t, v, vault.Note{Kind: vault.NoteAnswer, Principal: "quiet", Name: "a0"}); !found {
		t.Error("one principal's many pushed out another's")
	}
}

func rows(t testing.TB, dir string) int {
	t.Helper()
	if address := onServer(dir); address != "" {
		return count(t, "pgx", address+"?default_query_exec_mode=exec")
	}
	link := t.TempDir() + "/link" // a path with odd letters is no address
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	return count(t, "sqlite", link+"/vault.db")
}

func count(t testing.TB, driver, address string) (n int) {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM attempts`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCareOfNotes: they are in no backup, a rekey seals them anew and they open
// in a server that goes on, and a check has nothing to say of them.
func TestCareOfNotes(t *testing.T) {
	dir := folder(t)
	o := withKey(dir)
	v := open(t, o)
	for _, kind := range []vault.NoteKind{vault.NoteConsent, vault.NoteAnswer} {
		n := noteOf(kind, "name")
		add(t, v, &n, 0)
	}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank{lifetime: time.Hour, refresh: true}).mint)
	path := t.TempDir() + "/backup"
	if _, err := v.Backup(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if in := count(t, "sqlite", path); in != 0 {
		t.Errorf("%d attempts are in the backup", in)
	}
	if _, err := vault.Restore(context.Background(), o, path); err != nil {
		t.Fatal(err)
	}
	next := secret.New(strings.Repeat("B", 43) + "=")
	done, err := v.Rekey(context.Background(), vault.Key{Value: next})
	if err != nil || done.Left != 0 || done.Sealed < 3 {
		t.Fatalf("%+v %v", done, err)
	}
	o.Key.Value = next
	for _, v := range []*vault.Vault{v, open(t, o)} {
		for _, kind := range []vault.NoteKind{vault.NoteConsent, vault.NoteAnswer} {
			n, found := note(t, v, noteOf(kind, "name"))
			if !found || n.Text.IsZero() {
				t.Fatalf("%s is gone", kind)
			}
			if changed, err := v.ChangeNote(context.Background(), &n); !changed || err != nil {
				t.Errorf("%s cannot be changed: %v", kind, err)
			}
		}
	}
	c, err := vault.Check(context.Background(), o)
	if said, _ := json.Marshal(c); err != nil || c.Older != 0 || c.Pending != 0 || c.BadAnswers != 0 || len(c.Aside) != 0 {
		t.Errorf("%s %v", said, err)
	}
	if _, err := v.Get(context.Background(), me, r.Ref); err != nil {
		t.Error(err)
	}
	shut(t, v)
	n := noteOf(vault.NoteConsent, "x")
	if _, err := v.AddNote(context.Background(), &n, 0); code(err) != fault.VaultUnavailable {
		t.Error(err)
	}
}
