//go:build unix

package vault_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

// The vault in testdata/schema1 was made by the code of commit 3847952: two
// authorization_code records, one of which had a refresh cut off, a password
// record and a client_credentials record, in this order, and one password.
var oldRefs = []string{"tok_syetfg6fdeibrww3tkuk6skl2tu373k7", "tok_orndfjxvcmnltxv7t4qmo6xihxpvymwz",
	"tok_gm27bjug3eo6y527ihw4g5dkk4zrdta4", "tok_o7isjh37v6zld3r3pd4x7dmozamhgmor"}

func oldVault(t *testing.T) vault.Options {
	t.Helper()
	dir := folder(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vault.db", "vault.key"} {
		b, err := os.ReadFile(filepath.Join("testdata", "schema1", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(b), 0o600)
	}
	return vault.Options{Dir: dir}
}

func TestUpgrade(t *testing.T) {
	o := oldVault(t)
	before := contents(t, o.Dir)
	if s, err := vault.Inspect(t.Context(), o); err != nil || !s.Old || s.Schema != 1 {
		t.Errorf("Inspect: %+v %v", s, err)
	}
	if after := contents(t, o.Dir); !reflect.DeepEqual(before, after) {
		t.Error("a look has changed the folder")
	}
	var all sync.WaitGroup
	for range 4 { // whoever comes first does it
		all.Go(func() {
			v, err := vault.Open(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			shut(t, v)
		})
	}
	all.Wait()
	v := open(t, o)
	for i, ref := range oldRefs {
		want := vault.Live
		if i == 1 {
			want = vault.Uncertain
		}
		r, err := v.Get(t.Context(), me, ref)
		if err != nil || r.State != want || r.Token.Access.Reveal() != "access-CANARY-"+string(rune('1'+i)) {
			t.Errorf("%d: %+v %v", i, r, err)
		}
	}
	b := &bank{lifetime: time.Hour, refresh: true}
	if r, reused, err := v.Obtain(t.Context(), identity("client_credentials", "ais"), vault.Policy{}, b.mint); err != nil || !reused || r.Ref != oldRefs[3] {
		t.Errorf("client_credentials: %+v %v %v", r, reused, err)
	}
	if r := obtain(t, v, identity("password", "anna"), vault.Policy{}, b.mint); r.Ref != oldRefs[2] {
		t.Errorf("password: %+v", r)
	}
	if r, _, err := v.Refresh(t.Context(), me, oldRefs[1], vault.Policy{}, b.mint); err != nil || r.State != vault.Live || r.Generation != 2 {
		t.Errorf("the refresh that was cut off: %+v %v", r, err)
	}
	p, held, err := v.Password(t.Context(), vault.Account{Principal: me, Provider: "finapi", Environment: "sandbox", Client: "c", User: "anna"})
	if err != nil || !held || p.Reveal() != "password-CANARY" {
		t.Errorf("password: %v %v", held, err)
	}
	shut(t, v)
	if r, err := vault.VerifyAudit(t.Context(), o); err != nil || len(r.Findings) > 0 || r.Entries == 0 {
		t.Errorf("audit: %+v %v", r, err)
	}
	fresh, _ := filled(t)
	if got, want := schemaOf(t, o.Dir), schemaOf(t, fresh); !reflect.DeepEqual(got, want) {
		t.Errorf("the tables are\n%v\nwant\n%v", got, want)
	}
}

func TestUpgradeRefusals(t *testing.T) {
	o := oldVault(t)
	o.Key.Value = secret.New(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	mustRefuse(t, o, "made with")
	o = oldVault(t)
	alter(t, o.Dir, `DELETE FROM meta WHERE name = 'data_key'`)
	mustRefuse(t, o, "backup")
	o = oldVault(t)
	alter(t, o.Dir, `UPDATE meta SET value = zeroblob(60) WHERE name = 'data_key'`)
	o.Key = vault.Key{}
	if _, err := vault.Open(t.Context(), o); code(err) != "vault_unavailable" {
		t.Errorf("a flipped data key: %v", err)
	}
}

func schemaOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", link+"/vault.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT name, coalesce(sql, '') FROM sqlite_schema UNION ALL SELECT 'version', user_version FROM pragma_user_version`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		all[name] = text
	}
	return all
}
