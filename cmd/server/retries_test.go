//go:build unix

package main

import (
	crypto "crypto/rand"
	"flag"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// go test ./cmd/server -run TestRetries -retries 1000 -timeout 1h
var retries = flag.Int("retries", 40, "how many agents TestRetries lets try again, of each kind")

var refIn = regexp.MustCompile(`tok_\w+`)

// agentTries is how often an agent makes a call before it gives up.
const agentTries = 5

// persistent is an agent that makes a call again as long as it gets no answer.
type persistent struct {
	*branch
	lasts time.Duration // what a call takes that nothing disturbs, its process's start included
}

// insist makes a call up to five times. All but the last time something
// happens at a random moment: the process is killed, or the call taken back.
func (g *persistent) insist(tool string, args map[string]any, kill bool) toolAnswer {
	g.t.Helper()
	for try := range agentTries {
		began := time.Now()
		r := ride(g.t, g.program, g.env)
		id, c := r.ask(tool, args)
		var moment <-chan time.Time // never, the last time
		if try < agentTries-1 {
			moment = time.After(rand.N(g.lasts * 3 / 2))
		}
		select {
		case a, ok := <-c:
			if !ok {
				g.t.Fatal("the process ended by itself")
			}
			g.lasts = (g.lasts + time.Since(began)) / 2
			r.part()
			return a
		case <-moment:
		}
		if kill {
			r.kill()
			continue
		}
		r.cancel(id)
		r.part()
		if a, ok := <-c; ok {
			return a // it was on its way already
		}
	}
	panic("the last try waits for its answer")
}

// TestRetries has agents repeat create_user and the exchange of a code, killed
// or taken back at random moments, until they get an answer. There is one user
// then, whose password works, and one token for a code; a code whose answer
// died between the bank and the disk is said to be spent so.
func TestRetries(t *testing.T) {
	program := built(t)
	for name, kill := range map[string]bool{"killed": true, "cancelled": false} {
		t.Run(name, func(t *testing.T) {
			t.Run("create_user", func(t *testing.T) {
				t.Parallel()
				b := openBranch(t, program, "none", "refuse", 0)
				b.bank, b.name = b.sim.Bank("finapi"), "finapi"
				g := &persistent{branch: b, lasts: 60 * time.Millisecond}
				twice := 0
				for n := range *retries {
					twice += g.users(n, kill) - 1
				}
				// A call can be taken back, or its process killed, between our last
				// look and the writing of its answer, in which lies a commit. That
				// is a moment of one or two milliseconds, and the only one.
				if twice > 2+*retries/20 {
					t.Errorf("%d users were made without need", twice)
				}
			})
			t.Run("code", func(t *testing.T) {
				t.Parallel()
				g := &persistent{branch: openBranch(t, program, "none", "refuse", 0), lasts: 60 * time.Millisecond}
				spent := 0
				for range *retries {
					if g.codes(kill) {
						spent++
					}
				}
				t.Logf("%d of %d codes were spent for an answer that died with a process", spent, *retries)
				if spent > 0 && !kill {
					t.Error("nothing died")
				}
			})
		})
	}
}

// users returns how many users were made for one.
func (g *persistent) users(n int, kill bool) int {
	g.t.Helper()
	g.slow(rand.N(3*time.Millisecond), rand.N(3*time.Millisecond))
	args := map[string]any{"provider": g.name, "email": "somebody@bank.example"}
	if n%3 == 0 {
		args["id"] = "user-" + strings.ToLower(crypto.Text())
	}
	before := len(g.bank.Truth().Users)
	a := g.insist("create_user", args, kill)
	if a.Error != nil && a.Error.Code == "conflict" {
		return 2 // it has the id of our choice already
	}
	if a.Error != nil {
		g.t.Fatalf("no user: %+v", *a.Error)
	}
	made := len(g.bank.Truth().Users) - before
	g.slow(0, 0)
	r := ride(g.t, g.program, g.env)
	got, ok := r.call("create_access_token", map[string]any{"provider": g.name, "grant_type": "password", "username": a.ID})
	if !ok || got.Error != nil {
		g.t.Fatalf("its password does not work: %+v", got.Error)
	}
	r.part()
	return made
}

// codes reports whether the code was spent for nothing.
func (g *persistent) codes(kill bool) (spent bool) {
	g.t.Helper()
	code := g.code()
	g.slow(rand.N(3*time.Millisecond), rand.N(3*time.Millisecond))
	before := g.bank.Truth().Begun
	a := g.insist("create_access_token", g.exchange(code), kill)
	g.slow(0, 0)
	if begun := g.bank.Truth().Begun - before; begun != 1 {
		g.t.Fatalf("%d grants came of one code", begun)
	}
	if a.Error != nil && !kill && strings.Contains(a.Error.Message, "exchanged already") {
		// Taken back in the instant in which it was answered: the repeat names the token.
		a.Error, a.TokenRef = nil, refIn.FindString(a.Error.Hint)
	}
	if a.Error == nil {
		g.refs = []string{a.TokenRef}
		g.settle()
		return false
	}
	if a.Error.Code != "reauthorize" || !strings.Contains(a.Error.Message, "the answer to an earlier exchange of it was lost") {
		g.t.Fatalf("the code was spent, and the answer was %+v", *a.Error)
	}
	grants := g.bank.Truth().Grants
	if newest := grants[len(grants)-1].Tokens[0].Fingerprint; g.holds(newest) {
		g.t.Fatal("the code is said to be spent for nothing, and the vault has what it brought")
	}
	return true
}
