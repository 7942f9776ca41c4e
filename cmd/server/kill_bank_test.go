//go:build unix

package main

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bankauth/internal/config"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/openapi"
	"bankauth/tools"
)

// branch is a bank whose refresh tokens live as its rotation says, a vault,
// and some users' consents in it.
type branch struct {
	t       *testing.T
	program []string
	bank    *simulator.Bank
	name    string // as bankauth knows the bank
	store   store
	env     []string
	refs    []string
	asked   int64 // requests at the bank before the present process
}

// openBranch opens a branch and gives it n consents. How each rotation is
// described to bankauth is as it would be in earnest: flinks says that it does
// not rotate, a bank with a grace is a user's own two files, and fintecture
// says nothing, so that a strict one has to be borne with.
func openBranch(t *testing.T, program, rotation, reuse string, n int) *branch {
	t.Helper()
	r := simulator.Rotation{Rotation: rotation, RotationReuse: reuse}
	s, err := simulator.Start(t.Context(), simulator.Options{Switches: simulator.Switches{
		Flinks: simulator.Flinks{Rotation: r}, Fintecture: simulator.Fintecture{Rotation: r}, FinAPI: simulator.FinAPI{Rotation: r}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	b := &branch{t: t, program: []string{program}, name: "flinks", store: store{filepath.Join(t.TempDir(), "vault"), key}}
	b.env = append(variables(s), b.store.env()...)
	switch rotation {
	case "grace":
		b.name = "gracebank"
		b.env = append(b.env, ownBank(t, s.Bank("flinks"), "flinks", b.name, "{mode: grace, grace: 60}")...)
	case "strict":
		b.name = "fintecture"
	}
	b.bank = s.Bank("flinks")
	if b.name == "fintecture" {
		b.bank = s.Bank(b.name)
	}
	r0 := ride(t, b.program, b.env)
	b.refs = make([]string, n)
	for i := range b.refs {
		b.refs[i] = b.consent(r0)
	}
	r0.part()
	return b
}

// ownBank describes bank anew, under a name and a rotation of its own, and
// returns the settings with which bankauth finds it.
func ownBank(t *testing.T, bank *simulator.Bank, like, name, rotation string) []string {
	t.Helper()
	dir := t.TempDir()
	document, err := openapi.Files.ReadFile(like + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := openapi.Files.ReadFile(like + ".overlay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for old, fresh := range map[string]string{"name: " + like: "name: " + name, "rotation: {mode: none}": "rotation: " + rotation} {
		if bytes.Count(overlay, []byte(old)) != 1 {
			t.Fatalf("%q does not stand once in the overlay", old)
		}
		overlay = bytes.Replace(overlay, []byte(old), []byte(fresh), 1)
	}
	for file, text := range map[string][]byte{name + ".yaml": document, name + ".overlay.yaml": overlay} {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	prefix := config.Prefix(name)
	return []string{"BANKAUTH_PROVIDER_DIR=" + dir, prefix + "_BASE_URL=" + bank.URL(),
		prefix + "_CLIENT_ID=" + bank.ClientID(), prefix + "_CLIENT_SECRET=" + bank.ClientSecret().Reveal()}
}

const callback = "http://127.0.0.1:9/callback"

// code lets a new user consent.
func (b *branch) code() string {
	b.t.Helper()
	code, err := b.bank.Code(b.t.Context(), callback, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return code
}

// exchange is a call that makes a token of a code.
func (b *branch) exchange(code string) map[string]any {
	return map[string]any{"provider": b.name, "grant_type": "authorization_code", "code": code, "redirect_uri": callback}
}

func (b *branch) consent(r *rider) (ref string) {
	b.t.Helper()
	a, ok := r.call("create_access_token", b.exchange(b.code()))
	if !ok || a.TokenRef == "" {
		b.t.Fatalf("no token: %+v", a.Error)
	}
	return a.TokenRef
}

// standing is what a vault has of one token.
type standing struct {
	alive   bool   // its refresh token is, at the bank
	state   string // of its record
	reason  string
	pending string // the id of an attempt whose answer nobody has stored, as people see it
}

// image looks at the vault as the last process left it. It looks at a copy:
// what a crash left behind is for the next process to mend, not for us. All
// processes must have ended.
func (b *branch) image() map[string]standing {
	b.t.Helper()
	dir := filepath.Join(b.t.TempDir(), "copy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"vault.db", "vault.db-wal", "vault.head"} {
		text, err := os.ReadFile(filepath.Join(b.store.dir, name))
		if errors.Is(err, fs.ErrNotExist) && name != "vault.db" {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.store.dir, "spill")); !errors.Is(err, fs.ErrNotExist) {
		b.t.Errorf("an answer lies beside the store, which had room: %v", err)
	}
	all := b.sound(filepath.Join(dir, "vault.db"))
	v, err := store{dir, b.store.key}.open(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = v.Close(b.t.Context()) }()
	for _, ref := range b.refs {
		rec, err := v.Get(b.t.Context(), tools.Local, ref)
		if err != nil {
			b.t.Fatalf("%s is not in the vault any more: %v", ref, err)
		}
		h := all[ref]
		h.state, h.reason = string(rec.State), rec.Reason
		h.alive = b.alive(rec.Token.Refresh)
		all[ref] = h
	}
	return all
}

func (b *branch) alive(refresh secret.Value) bool { return b.bank.Alive(refresh.Reveal()) }

// sound has SQLite check the file at path, and returns the pending attempts.
func (b *branch) sound(path string) map[string]standing {
	b.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	var said string
	if err := db.QueryRowContext(b.t.Context(), "PRAGMA integrity_check").Scan(&said); err != nil || said != "ok" {
		b.t.Fatalf("the database is not whole: %s %v", said, err)
	}
	rows, err := db.QueryContext(b.t.Context(), "SELECT name, id FROM attempts WHERE state = 'pending'")
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]standing{}
	for rows.Next() {
		var name string
		var id []byte
		if err := rows.Scan(&name, &id); err != nil {
			b.t.Fatal(err)
		}
		all[name] = standing{pending: hex.EncodeToString(id[:4])}
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return all
}

// settle has a fresh process refresh every token: each must work.
func (b *branch) settle() {
	b.t.Helper()
	r := ride(b.t, b.program, b.env)
	for _, ref := range b.refs {
		if a, ok := r.call("refresh_token", map[string]any{"token_ref": ref, "force": true}); !ok || a.Error != nil {
			b.t.Errorf("%s does not work any more: %+v", ref, a.Error)
		}
	}
	r.part()
	for ref, h := range b.image() {
		if !h.alive || h.state != string(vault.Live) || h.pending != "" {
			b.t.Errorf("%s: %+v", ref, h)
		}
	}
}

// slow makes the bank as slow as a bank on loopback can be said to be: a kill
// may then fall between its work and its answer.
func (b *branch) slow(before, after time.Duration) { b.bank.SetDelay(before, after) }

func (h standing) String() string {
	return fmt.Sprintf("alive %v, %s, %q, attempt %s", h.alive, h.state, h.reason, h.pending)
}
