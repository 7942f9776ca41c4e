//go:build unix

package vault_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/vault"
)

func verify(t *testing.T, dir string) vault.AuditReport {
	t.Helper()
	r, err := vault.VerifyAudit(context.Background(), withKey(dir))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAuditTellsWhatHappened(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	if _, _, err := v.Refresh(t.Context(), me, r.Ref, vault.Policy{Force: true}, b.mint); err != nil {
		t.Fatal(err)
	}
	other := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	b.fail.Store(fault.New(fault.Reauthorize, "it is over", ""))
	_, _, _ = v.Refresh(t.Context(), me, r.Ref, vault.Policy{Force: true}, b.mint)
	if err := v.Forget(t.Context(), me, other.Ref); err != nil {
		t.Fatal(err)
	}
	say := func(c vault.Choice) string {
		all, made, err := vault.Audit(t.Context(), withKey(dir), c)
		if err != nil || !made {
			t.Fatal(made, err)
		}
		var words []string
		for _, e := range all {
			who := map[string]string{r.Ref: "r", other.Ref: "other"}[e.Ref]
			words = append(words, fmt.Sprintf("%d %s %s %d %s", e.Seq, e.Event, who, e.Generation, e.Code))
		}
		return strings.Join(words, "\n")
	}
	const want = "1 made r 1 \n2 renewed r 2 \n3 made other 1 \n4 ended r 2 reauthorize\n5 forgotten other 0 "
	if got := say(vault.Choice{}); got != want {
		t.Errorf("beside a running server:\n%s\nwant\n%s", got, want)
	}
	if got := say(vault.Choice{Ref: other.Ref}); got != "3 made other 1 \n5 forgotten other 0 " {
		t.Errorf("of one token: %s", got)
	}
	if got := say(vault.Choice{Last: 2}); got != "4 ended r 2 reauthorize\n5 forgotten other 0 " {
		t.Errorf("the last two: %s", got)
	}
	if got := say(vault.Choice{Since: time.Now().Add(time.Hour)}); got != "" {
		t.Errorf("of the future: %s", got)
	}
	if rep := verify(t, dir); len(rep.Findings) > 0 || rep.Entries != 5 || rep.Last != 5 {
		t.Errorf("%+v", rep)
	}
	if _, made, err := vault.Audit(t.Context(), withKey(folder(t)), vault.Choice{}); made || err != nil {
		t.Errorf("no vault: %v %v", made, err)
	}
}

// TestAuditTampering changes the audit behind the vault's back.
func TestAuditTampering(t *testing.T) {
	for name, c := range map[string]struct {
		sql, want string
	}{
		"deleted":            {`DELETE FROM audit WHERE seq = 5`, "entry 5 is missing"},
		"several deleted":    {`DELETE FROM audit WHERE seq IN (4, 5, 6)`, "entries 4 to 6 are missing"},
		"first deleted":      {`DELETE FROM audit WHERE seq = 1`, "entry 1 is missing"},
		"truncated":          {`DELETE FROM audit WHERE seq > 8`, "entries 9 to 12 are missing"},
		"emptied":            {`DELETE FROM audit`, "entries 1 to 12 are missing"},
		"event changed":      {`UPDATE audit SET event = 'renewed' WHERE seq = 3`, "entry 3 was changed"},
		"time changed":       {`UPDATE audit SET at = at + 1 WHERE seq = 3`, "entry 3 was changed"},
		"ref changed":        {`UPDATE audit SET ref = (SELECT ref FROM audit WHERE seq = 4) WHERE seq = 3`, "entry 3 was changed"},
		"attempt changed":    {`UPDATE audit SET attempt = x'00' WHERE seq = 3`, "entry 3 was changed"},
		"generation changed": {`UPDATE audit SET generation = 9 WHERE seq = 3`, "entry 3 was changed"},
		"code changed":       {`UPDATE audit SET code = 'busy' WHERE seq = 3`, "entry 3 was changed"},
		"mac changed":        {`UPDATE audit SET mac = zeroblob(32) WHERE seq = 3`, "entry 3 was changed"},
		"fields moved":       {`UPDATE audit SET event = event || ref, ref = '' WHERE seq = 3`, "entry 3 was changed"},
		"swapped":            {`UPDATE audit SET seq = -1 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = -1`, "entry 3 was changed"},
		"put in at the end":  {`INSERT INTO audit SELECT 13, at, event, ref, attempt, generation, code, mac FROM audit WHERE seq = 12`, "entry 13 stands after the end"},
		"put in before":      {`INSERT INTO audit SELECT 0, at, event, ref, attempt, generation, code, mac FROM audit WHERE seq = 12`, "entry 0 stands before the beginning"},
		"last changed":       {`UPDATE audit SET mac = zeroblob(32) WHERE seq = 12`, "entry 12 is not the one"},
		"head changed":       {`UPDATE meta SET value = zeroblob(72) WHERE name = 'audit_head'`, "changed by somebody else"},
		"head gone":          {`DELETE FROM meta WHERE name = 'audit_head'`, "changed by somebody else"},
		"base made up":       {`INSERT INTO meta VALUES ('audit_base', (SELECT value FROM meta WHERE name = 'audit_head')); DELETE FROM audit WHERE seq < 12`, "entry 12 stands before"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := filled(t)
			if r := verify(t, dir); len(r.Findings) > 0 || r.Entries != 12 {
				t.Fatalf("untouched: %+v", r)
			}
			alter(t, dir, c.sql)
			r := verify(t, dir)
			for _, f := range r.Findings {
				if strings.Contains(f.Words, c.want) {
					return
				}
			}
			t.Errorf("found %+v, want %q", r.Findings, c.want)
		})
	}
}

// TestAnEntryOfAFork is genuine, and of the same place, but not in this chain.
func TestAnEntryOfAFork(t *testing.T) {
	dir, _ := filled(t)
	path := backUp(t, open(t, withKey(dir)))
	var forks []string
	for range 2 {
		o := withKey(folder(t))
		if _, err := vault.Restore(t.Context(), o, path); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, o.Dir); len(r.Findings) > 0 {
			t.Fatalf("untouched: %+v", r)
		}
		forks = append(forks, o.Dir)
		time.Sleep(2 * time.Millisecond) // their entries are of different times
	}
	var at int64
	var mac []byte
	if err := behind(t, forks[1]).QueryRow(`SELECT at, mac FROM audit WHERE seq = 13`).Scan(&at, &mac); err != nil {
		t.Fatal(err)
	}
	alter(t, forks[0], fmt.Sprintf(`UPDATE audit SET at = %d, mac = x'%x' WHERE seq = 13`, at, mac))
	if r := verify(t, forks[0]); len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Words, "entry 14 was changed") {
		t.Errorf("%+v", r)
	}
}

// TestAnAuditThatIsTakenAway under a running vault: no new one begins over it.
func TestAnAuditThatIsTakenAway(t *testing.T) {
	dir, refs := filled(t)
	v := open(t, withKey(dir))
	alter(t, dir, `DELETE FROM audit`, `UPDATE meta SET value = zeroblob(72) WHERE name = 'audit_head'`)
	if err := v.Forget(t.Context(), me, refs[0]); code(err) != fault.VaultUnavailable || !strings.Contains(fault.From(err).Hint, "audit verify") {
		t.Errorf("Forget: %v", err)
	}
	if r := verify(t, dir); len(r.Findings) == 0 {
		t.Error("nothing is found any more")
	}
}

// TestNoAuditNoChange: what cannot be audited does not happen.
func TestNoAuditNoChange(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	alter(t, dir, `CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`)
	if err := v.Forget(t.Context(), me, r.Ref); code(err) != fault.VaultUnavailable {
		t.Errorf("Forget: %v", err)
	}
	if _, _, err := v.Obtain(t.Context(), identity("client_credentials", "a"), vault.Policy{}, b.mint); code(err) != fault.VaultUnavailable {
		t.Errorf("Obtain: %v", err)
	}
	if _, err := v.Get(t.Context(), me, r.Ref); err != nil {
		t.Errorf("the record is gone: %v", err)
	}
	alter(t, dir, `DROP TRIGGER no`)
	if err := v.Forget(t.Context(), me, r.Ref); err != nil {
		t.Error(err)
	}
}
