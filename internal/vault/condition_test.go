//go:build unix

package vault_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// findings are what Check has found, without what is always so.
type findings struct {
	Unsound, Audited, Aside, Suspects               int
	BadPasswords, BadAnswers, Pending, Cooling, Old int
	Unreserved, PutBack                             bool
}

func found(t *testing.T, o vault.Options) findings {
	t.Helper()
	c, err := vault.Check(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return findings{len(c.Unsound), len(c.Audit.Findings), len(c.Aside), len(c.Suspects),
		c.BadPasswords, c.BadAnswers, c.Pending, c.Cooling, c.Older, !c.Reserved, c.PutBack}
}

// TestCheckFinds damages a vault at rest in each way that Check knows.
func TestCheckFinds(t *testing.T) {
	run := func(statements ...string) func(*testing.T, vault.Options) {
		return func(t *testing.T, o vault.Options) { alter(t, o.Dir, statements...) }
	}
	const attempt = `INSERT INTO attempts (name, op, id, state, ref, owner, tries, since, until, code) VALUES `
	record := `UPDATE records SET sealed = zeroblob(100) WHERE ref = (SELECT min(ref) FROM records)`
	password, candidate := `UPDATE passwords SET sealed = zeroblob(60)`, `UPDATE candidates SET sealed = zeroblob(60)`
	for name, c := range map[string]struct {
		spoil func(t *testing.T, o vault.Options)
		want  findings
	}{
		"nothing":          {run(), findings{}},
		"a record":         {run(record), findings{Aside: 1}},
		"a password":       {run(password), findings{BadPasswords: 1}},
		"a candidate":      {run(candidate), findings{BadAnswers: 1}},
		"the audit":        {run(`DELETE FROM audit WHERE seq = 2`), findings{Audited: 1}},
		"cut off":          {run(attempt + `('a', 'refresh', x'00', 'pending', '', '', 1, 0, 0, ''), ('b', 'refresh', x'00', 'cooling', '', '', 1, 0, 0, '')`), findings{Pending: 1, Cooling: 1}},
		"a spilled answer": {spillGarbage, findings{BadAnswers: 1}},
		"the reserve":      {func(t *testing.T, o vault.Options) { remove(t, o.Dir+"/vault.reserve") }, findings{Unreserved: true}},
		"half the reserve": {func(t *testing.T, o vault.Options) { write(t, o.Dir+"/vault.reserve", "half", 0o600) }, findings{Unreserved: true}},
		"put back":         {func(t *testing.T, o vault.Options) { remove(t, o.Dir+"/vault.head") }, findings{PutBack: true}},
		"put back and opened": {func(t *testing.T, o vault.Options) {
			remove(t, o.Dir+"/vault.head")
			shut(t, open(t, o))
		}, findings{Suspects: 2}},
		"an index": {run(`CREATE INDEX other ON records (created); PRAGMA writable_schema = 1;
			UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema WHERE name IN ('other', 'records_owner')) - rootpage
			WHERE name IN ('other', 'records_owner')`), findings{Unsound: 4}},
		"what a rekey leaves": {func(t *testing.T, o vault.Options) {
			alter(t, o.Dir, record, password, candidate)
			v := open(t, o)
			if r, err := v.Rekey(t.Context(), vault.Key{}); err != nil || r.Sealed != 1 || r.Left != 3 {
				t.Errorf("%+v %v", r, err)
			}
			shut(t, v)
		}, findings{Aside: 1, BadPasswords: 1, BadAnswers: 1, Old: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			noKeyring(t)
			o := vault.Options{Dir: folder(t)}
			withCandidate(t, o)
			c.spoil(t, o)
			before := contents(t, o.Dir)
			if diff := cmp.Diff(c.want, found(t, o)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(before, contents(t, o.Dir)); diff != "" {
				t.Errorf("a look has changed the folder:\n%s", diff)
			}
		})
	}
}

// withCandidate makes a vault with two tokens, one of which has a candidate,
// and a password.
func withCandidate(t *testing.T, o vault.Options) {
	t.Helper()
	b := &bank{lifetime: time.Hour, refresh: true}
	loseARace(t, o, b)
	v := open(t, o)
	obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	if err := v.KeepPassword(t.Context(), vault.Account{Principal: me, User: "anna"}, secret.New("p")); err != nil {
		t.Fatal(err)
	}
	shut(t, v)
}

func spillGarbage(t *testing.T, o vault.Options) {
	t.Helper()
	if err := os.Mkdir(o.Dir+"/spill", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(o.Dir, "spill", "tok.00"), "not an answer", 0o600)
}
