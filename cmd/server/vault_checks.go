package main

import (
	"fmt"
	"strings"

	"bankauth/internal/vault"
)

// conditionChecks puts what a thorough look has found into words.
func conditionChecks(c vault.Condition) []check {
	const name = "vault"
	if !c.Made {
		return []check{ok(name, "not made yet; the first token makes it in "+c.Path)}
	}
	var checks []check
	if len(c.Unsound) > 0 {
		checks = append(checks, needs(name, fmt.Sprintf("the store's file is damaged; places: %d", len(c.Unsound)),
			"make a backup of what opens with `bankauth vault backup`, and restore it into another folder"))
	} else {
		checks = append(checks, ok(name, "the store's file is sound: "+c.Path))
	}
	checks = append(checks, keyCheck(c.Status))
	checks = append(checks, tokenChecks(c)...)
	checks = append(checks, answerChecks(c)...)
	checks = append(checks, auditChecks(c.Audit)...)
	if c.Older > 0 {
		checks = append(checks, note("vault key", fmt.Sprintf("texts that are sealed with an older data key: %d", c.Older),
			"start servers again that have not got the new key, then run `bankauth vault rekey` once more"))
	}
	return checks
}

func tokenChecks(c vault.Condition) []check {
	total := len(c.Aside)
	for _, n := range c.Tokens {
		total += n
	}
	var checks []check
	if len(c.Aside) > 0 {
		checks = append(checks, needs("tokens", "records that do not open: "+strings.Join(c.Aside, ", "),
			"`bankauth vault restore FILE` brings them back from a backup; or create those tokens again"))
	} else {
		checks = append(checks, ok("tokens", fmt.Sprintf("%d, and each of them opens", total)))
	}
	if c.PutBack {
		checks = append(checks, putBack())
	}
	if len(c.Suspects) > 0 {
		checks = append(checks, suspect(len(c.Suspects), strings.Join(c.Suspects, " ")))
	}
	if n := c.Tokens[vault.Uncertain]; n > 0 {
		checks = append(checks, note("tokens", fmt.Sprintf("whose last refresh got no answer: %d", n), "the next refresh_token settles it"))
	}
	if n := c.Tokens[vault.Reauthorize]; n > 0 {
		checks = append(checks, note("tokens", fmt.Sprintf("that their provider ended: %d", n), "create_access_token makes new ones; `bankauth tokens list` shows which"))
	}
	if c.Pending+c.Cooling > 0 {
		checks = append(checks, note("tokens", fmt.Sprintf("attempts under way or cut off: %d, waiting after a failure: %d", c.Pending, c.Cooling), "the next call of that tool settles each"))
	}
	if c.BadPasswords > 0 {
		checks = append(checks, needs("passwords", fmt.Sprintf("that do not open: %d", c.BadPasswords), "`bankauth vault restore FILE` brings them back from a backup"))
	} else {
		checks = append(checks, ok("passwords", fmt.Sprintf("%d, and each of them opens", c.Passwords)))
	}
	return checks
}

func answerChecks(c vault.Condition) []check {
	var checks []check
	if c.Spilled > 0 {
		checks = append(checks, needs("answers", fmt.Sprintf("that the store could not take and that lie beside it: %d", c.Spilled),
			"make room and give your user write access to "+c.Path+"; the next refresh, or the next start, puts them into the store"))
	}
	if c.BadAnswers > 0 {
		checks = append(checks, note("answers", fmt.Sprintf("kept aside, and do not open: %d", c.BadAnswers), "they are left as they are; nothing depends on them unless a token is lost"))
	}
	if c.Candidates > 0 {
		checks = append(checks, note("answers", fmt.Sprintf("refresh tokens that came second: %d", c.Candidates), "they are tried before their token is given up"))
	}
	if !c.Reserved {
		checks = append(checks, note("reserve", "the room for answers on a full disk is not held", "the next refresh makes it, or says that the disk is full"))
	}
	return checks
}

func putBack() check {
	return needs("tokens", "vault.db is older than vault.head, or has none beside it: it was put back from a copy",
		"the next start makes its refresh tokens suspect; `bankauth vault restore FILE` with a newer backup may bring newer ones")
}

func suspect(n int, refs string) check {
	fix := "`bankauth vault accept TOKEN_REF` lets one be refreshed, if nobody has used its connection since the copy; create_access_token gets a new one"
	if refs != "" {
		fix += "\nthey are: " + refs
	}
	return needs("tokens", fmt.Sprintf("suspect, because they come from a copy: %d", n), fix)
}
