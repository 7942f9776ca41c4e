package main

import (
	"slices"
	"strings"
	"testing"

	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/schema"
)

// TestConditionChecks: each thing that a look finds is told once, as what needs
// the user or as what does not, with what to do about it.
func TestConditionChecks(t *testing.T) {
	const sound = "ok vault the store's file is sound\nok vault key from BANKAUTH_VAULT_KEY\nok tokens 2, and each\nok passwords 1, and each\nok audit entries 7"
	for name, c := range map[string]struct {
		spoil  func(c *vault.Condition)
		said   string // state, name and beginning of the message
		fix    string
		silent string // the line of a sound vault that is not said then
	}{
		"sound":           {func(*vault.Condition) {}, "", "", ""},
		"file":            {func(c *vault.Condition) { c.Unsound = []string{"a", "b"} }, "needs_you vault the store's file is damaged; places: 2", "vault backup", "ok vault the store"},
		"record":          {func(c *vault.Condition) { c.Aside = []string{"tok_a", "tok_b"} }, "needs_you tokens records that do not open: tok_a, tok_b", "vault restore", "ok tokens"},
		"put back":        {func(c *vault.Condition) { c.PutBack = true }, "needs_you tokens vault.db is older than vault.head", "suspect", ""},
		"suspect":         {func(c *vault.Condition) { c.Suspects = []string{"tok_a", "tok_b"} }, "needs_you tokens suspect, because they come from a copy: 2", "they are: tok_a tok_b", ""},
		"uncertain":       {func(c *vault.Condition) { c.Tokens[vault.Live], c.Tokens[vault.Uncertain] = 1, 1 }, "note tokens whose last refresh got no answer: 1", "refresh_token", ""},
		"ended":           {func(c *vault.Condition) { c.Tokens[vault.Live], c.Tokens[vault.Reauthorize] = 1, 1 }, "note tokens that their provider ended: 1", "create_access_token", ""},
		"pending":         {func(c *vault.Condition) { c.Pending = 3 }, "note tokens attempts under way or cut off: 3, waiting after a failure: 0", "settles", ""},
		"cooling":         {func(c *vault.Condition) { c.Cooling = 3 }, "note tokens attempts under way or cut off: 0, waiting after a failure: 3", "settles", ""},
		"password":        {func(c *vault.Condition) { c.BadPasswords = 1 }, "needs_you passwords that do not open: 1", "vault restore", "ok passwords"},
		"answer":          {func(c *vault.Condition) { c.Spilled = 4 }, "needs_you answers that the store could not take and that lie beside it: 4", "/folder", ""},
		"answer, damaged": {func(c *vault.Condition) { c.BadAnswers = 4 }, "note answers kept aside, and do not open: 4", "left as they are", ""},
		"candidate":       {func(c *vault.Condition) { c.Candidates = 4 }, "note answers refresh tokens that came second: 4", "given up", ""},
		"reserve":         {func(c *vault.Condition) { c.Reserved = false }, "note reserve the room for answers", "disk is full", ""},
		"older key":       {func(c *vault.Condition) { c.Older = 5 }, "note vault key texts that are sealed with an older data key: 5", "vault rekey", ""},
		"audit": {func(c *vault.Condition) {
			c.Audit.Findings = []vault.AuditFinding{{Seq: 5, Words: "entry 5 is missing"}}
		}, "needs_you audit entry 5 is missing", "compare with a backup", "ok audit"},
		"not made": {func(c *vault.Condition) { *c = vault.Condition{Status: vault.Status{Path: "/folder"}} }, "ok vault not made yet; the first token makes it in /folder", "", "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			condition := vault.Condition{Reserved: true, Audit: vault.AuditReport{Entries: 7}}
			condition.Status = vault.Status{Made: true, Path: "/folder", KeySource: "environment", Tokens: map[vault.State]int{vault.Live: 2}, Passwords: 1}
			c.spoil(&condition)
			want := slices.DeleteFunc(append(strings.Split(sound, "\n"), c.said), func(line string) bool {
				return line == "" || line != c.said && c.silent != "" && strings.HasPrefix(line, c.silent)
			})
			var got, fixes string
			for _, k := range conditionChecks(condition) {
				got += k.State + " " + k.Name + " " + k.Message + "\n"
				fixes += k.Fix + "\n"
			}
			for _, line := range want {
				if !strings.Contains("\n"+got, "\n"+line) {
					t.Errorf("nothing says %q", line)
				}
			}
			if strings.Count(got, "\n") != len(want) || !strings.Contains(fixes, c.fix) {
				t.Errorf("want %d lines and a fix with %q, got:\n%s%s", len(want), c.fix, got, fixes)
			}
		})
	}
}

// TestDoctorCounts says how many in a way that is right for one.
func TestDoctorCounts(t *testing.T) {
	needsShell(t)
	bank, env := simulation(t)
	const redirect = "https://app.example/callback"
	var handles []string
	for range 2 {
		code, err := bank.Code(t.Context(), redirect, "")
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, ref(t, shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=authorization_code", "code="+code, "redirect_uri="+redirect)))
	}
	bank.Revoke(strings.TrimSpace(shell(t, env, "tokens", "reveal", "--yes", handles[0])))
	tryShell(t, env, "call", "refresh_token", "token_ref="+handles[0], "force=true")
	bank.SetFault(simulator.Fault{Tool: schema.RefreshToken, DropBefore: true})
	tryShell(t, env, "call", "refresh_token", "token_ref="+handles[1], "force=true")
	got := tryShell(t, env, "doctor", "--offline").out
	for _, line := range []string{"tokens whose last refresh got no answer: 1", "tokens that their provider ended: 1"} {
		if !strings.Contains(got, line) {
			t.Errorf("nothing says %q:\n%s", line, got)
		}
	}
}
