//go:build unix

package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// stepsEach is how many steps a run of the model takes; rapid makes a hundred
// runs, so that CI plays 10,000. `-rapid.checks=1000` plays 100,000.
const stepsEach = 100

// TestModel plays consents, refreshes, lost answers, crashes, revocations and
// clock jumps in random order against the simulator, and holds the vault to
// this: what is alive at the provider is in the vault, or was reported.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, rotation := range []string{"none", "grace", "strict"} {
		t.Run(rotation, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) { play(r, rotation) })
		})
	}
}

func play(t *rapid.T, rotation string) {
	w := newWorld(t, rotation)
	defer w.end()
	actions := map[string]func(*rapid.T){
		"consent": w.consent, "refresh": w.refresh, "lose": w.lose, "fail": w.fail,
		"crash": w.crash, "crash in a refresh": w.crashInRefresh, "revoke": w.revoke, "jump": w.jump,
	}
	names := []string{"consent", "refresh", "refresh", "lose", "fail", "crash", "crash in a refresh", "revoke", "jump"}
	for range stepsEach / 3 { // three rotations share the steps
		actions[rapid.SampledFrom(names).Draw(t, "step")](t)
		w.check(t)
	}
	w.settle(t)
}

// world is the provider, a vault, and what we know of both.
type world struct {
	sim    *simulator.Simulator
	bank   *simulator.Bank
	client *providers.Client
	place  string
	dirs   int
	vault  *vault.Vault
	policy vault.Policy

	mu     sync.Mutex
	offset time.Duration

	grants []*grant
}

// grant is a consent that the vault told us it holds.
type grant struct {
	user, ref string
	lost      bool // an answer to its refresh died; reporting that is right
	late      bool // and the clock has moved since, so that a grace may be over
}

func newWorld(t *rapid.T, rotation string) *world {
	w := &world{policy: vault.Policy{Rotation: rotation, Deadline: 5 * time.Second}}
	if rotation == "grace" {
		w.policy.Grace = time.Minute
	}
	var err error
	w.sim, err = simulator.Start(context.Background(), simulator.Options{Now: w.now, Switches: simulator.Switches{
		Flinks: simulator.Flinks{Rotation: simulator.Rotation{Rotation: rotation}}}})
	must(t, err)
	w.bank = w.sim.Bank("flinks")
	all, err := schema.Bundled()
	must(t, err)
	for _, p := range all {
		if p.Name == "flinks" {
			w.client, err = providers.New(p, providers.Options{BaseURL: w.bank.URL(), Environment: providers.Simulated,
				ClientID: secret.New(w.bank.ClientID()), ClientSecret: w.bank.ClientSecret(), Now: w.now})
			must(t, err)
		}
	}
	w.place, err = os.MkdirTemp("", "bankauth-model-")
	must(t, err)
	w.open(t)
	return w
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatalf("%v (cause: %v)", err, errors.Unwrap(err))
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.offset)
}

func (w *world) dir() string { return filepath.Join(w.place, fmt.Sprint(w.dirs)) }

func (w *world) open(t *rapid.T) {
	o := withKey(w.dir())
	o.Now = w.now
	var err error
	w.vault, err = vault.Open(context.Background(), o)
	must(t, err)
}

func (w *world) end() {
	_ = w.vault.Close(context.Background())
	_ = w.sim.Close()
	_ = os.RemoveAll(w.place)
}

// mint is the way of package tools, without the tools.
func (w *world) mint(tool, grant string, args map[string]any) vault.Mint {
	return func(ctx context.Context, old vault.Record) (token.Token, error) {
		op, g, _ := w.client.Provider().Operation(tool, grant)
		a, err := w.client.Token(ctx, providers.Call{Operation: op, Grant: g, Arguments: args, RefreshToken: old.Token.Refresh})
		return a.Token, err
	}
}

func (w *world) renewal() vault.Mint {
	return w.mint(schema.RefreshToken, schema.GrantRefreshToken, map[string]any{})
}

func (w *world) consent(t *rapid.T) {
	if len(w.grants) >= 6 {
		w.refresh(t)
		return
	}
	g := &grant{}
	code, err := w.bank.CodeFor(context.Background(), fmt.Sprintf("user-%d", len(w.grants)), "https://app.example/cb", "ACCOUNT_BASIC")
	must(t, err)
	p := w.policy
	p.Once = secret.New(code)
	rec, _, err := w.vault.Obtain(context.Background(), identity(schema.GrantAuthorizationCode, ""), p,
		w.mint(schema.CreateAccessToken, schema.GrantAuthorizationCode, map[string]any{"code": code, "redirect_uri": "https://app.example/cb"}))
	must(t, err)
	g.ref, g.user = rec.Ref, rec.Token.Subject // as the truth names it
	w.grants = append(w.grants, g)
}

func (w *world) some(t *rapid.T) *grant {
	if len(w.grants) == 0 {
		w.consent(t)
	}
	return rapid.SampledFrom(w.grants).Draw(t, "grant")
}

func (w *world) refresh(t *rapid.T) {
	g := w.some(t)
	p := w.policy
	p.Force = rapid.Bool().Draw(t, "force")
	before, _ := w.vault.Get(context.Background(), me, g.ref)
	_, reused, err := w.vault.Refresh(context.Background(), me, g.ref, p, w.renewal())
	if err == nil && reused && before.State == vault.Uncertain {
		t.Fatalf("%s was handed out though nobody knows whether it still works", g.user)
	}
	w.judge(t, g, err)
}

// judge: a token that ended must be one whose end has a reason that we know.
func (w *world) judge(t *rapid.T, g *grant, err error) {
	if code(err) != fault.Reauthorize {
		return
	}
	alive, known := w.alive(g.user)
	if known && !alive {
		return // revoked, or idle for too long
	}
	if !g.lost || w.policy.Rotation == "none" || w.policy.Rotation == "grace" && !g.late {
		t.Fatalf("%s was reported as over, and nothing of it was lost: %v", g.user, err)
	}
	if !strings.Contains(err.Error(), "lost") {
		t.Fatalf("%s: the report does not say that an answer was lost: %v", g.user, err)
	}
}

// lose refreshes while answers die on the way, once or for good.
func (w *world) lose(t *rapid.T) {
	g := w.some(t)
	if _, err := w.vault.Get(context.Background(), me, g.ref); err != nil {
		return
	}
	f := simulator.Fault{Tool: schema.RefreshToken, Times: rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "times"), DropAfter: true}
	if rapid.Bool().Draw(t, "truncated") {
		f.DropAfter, f.Truncate = false, 9
	}
	w.bank.SetFault(f)
	before := w.bank.Truth().Struck
	p := w.policy
	p.Force = true
	_, _, err := w.vault.Refresh(context.Background(), me, g.ref, p, w.renewal())
	w.bank.ClearFaults()
	if w.bank.Truth().Struck > before {
		g.lost = true
		if alive, _ := w.alive(g.user); alive && !g.late && err != nil && code(err) != fault.Reauthorize && w.policy.Rotation != "strict" {
			t.Fatalf("%s: a replay would have brought the answer: %v", g.user, err)
		}
	}
	w.judge(t, g, err)
}

// fail refreshes while the provider is out of order and does nothing.
func (w *world) fail(t *rapid.T) {
	g := w.some(t)
	w.bank.SetFault(rapid.SampledFrom([]simulator.Fault{
		{Tool: schema.RefreshToken, Times: 1, DropBefore: true},
		{Tool: schema.RefreshToken, Times: 1, Status: 503},
		{Tool: schema.RefreshToken, Times: 1, Status: 429},
		{Tool: schema.RefreshToken, Times: 1, Status: 500},
		{Tool: schema.RefreshToken, Times: 1, Status: 400, Code: "invalid_client"},
	}).Draw(t, "fault"))
	p := w.policy
	p.Force = true
	_, _, err := w.vault.Refresh(context.Background(), me, g.ref, p, w.renewal())
	w.bank.ClearFaults()
	w.judge(t, g, err)
}

// crash leaves the vault as a killed process leaves it: what is written is
// there, what was to be written later is not, nothing is closed.
func (w *world) crash(t *rapid.T) {
	w.copyAway(t)
	must(t, w.vault.Close(context.Background()))
	w.dirs++
	w.open(t)
}

// crashInRefresh copies the folder in the middle of a refresh: what the old
// vault does after that never happened.
func (w *world) crashInRefresh(t *rapid.T) {
	g := w.some(t)
	answered := rapid.Bool().Draw(t, "answered")
	crashed := false
	renew := w.renewal()
	p := w.policy
	p.Force = true
	_, _, _ = w.vault.Refresh(context.Background(), me, g.ref, p, func(ctx context.Context, old vault.Record) (token.Token, error) {
		if crashed {
			return token.Token{}, fault.New(fault.Unavailable, "the process is dead", "")
		}
		crashed = true
		if !answered {
			w.copyAway(t)
			return token.Token{}, fault.New(fault.Unavailable, "the process is dead", "")
		}
		tok, err := renew(ctx, old)
		g.lost = g.lost || err == nil
		w.copyAway(t)
		return tok, err
	})
	if !crashed { // nothing was sent: over, or cooling down
		return
	}
	must(t, w.vault.Close(context.Background()))
	w.dirs++
	w.open(t)
}

func (w *world) copyAway(t *rapid.T) {
	from, to := w.dir(), filepath.Join(w.place, fmt.Sprint(w.dirs+1))
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if strings.HasSuffix(rel, "-shm") { // shared memory dies with the last process
			return nil
		}
		if rel == "vault.reserve" {
			return os.Link(path, filepath.Join(to, rel))
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}))
}

func (w *world) revoke(t *rapid.T) {
	g := w.some(t)
	rec, err := w.vault.Get(context.Background(), me, g.ref)
	if err == nil && rapid.IntRange(0, 3).Draw(t, "really") == 0 {
		w.bank.Revoke(rec.Token.Refresh.Reveal())
	}
}

func (w *world) jump(t *rapid.T) {
	d := time.Duration(rapid.SampledFrom([]int{-3600, -5, 3, 40, 90, 400, 7200}).Draw(t, "seconds")) * time.Second
	w.mu.Lock()
	w.offset += d
	w.mu.Unlock()
	for _, g := range w.grants {
		g.late = g.late || g.lost
	}
}

// alive reports whether the newest grant of a user can be refreshed.
func (w *world) alive(user string) (alive, known bool) {
	for _, g := range w.bank.Truth().Grants {
		if g.Subject == user {
			alive, known = g.Alive, true
		}
	}
	return alive, known
}

// check: a record that says it is live has a refresh token that works, unless
// the whole grant is over.
func (w *world) check(t *rapid.T) {
	all, err := w.vault.List(context.Background(), me)
	must(t, err)
	held := map[string]vault.Record{}
	for _, r := range all {
		held[r.Ref] = r
	}
	truth := w.bank.Truth()
	for _, g := range w.grants {
		alive, known := w.alive(g.user)
		if known && !alive {
			continue
		}
		r, there := held[g.ref]
		if !there {
			t.Fatalf("%s is alive at the provider, and its record is gone", g.user)
		}
		if line, ok := truth.Refresh(r.Token.Refresh.Reveal()); r.State == vault.Live && (!ok || !line.Alive) {
			t.Fatalf("%s is alive at the provider; the vault says live, and holds a refresh token that is not", g.user)
		}
	}
}

// settle asks for every token once more, without faults and without haste.
func (w *world) settle(t *rapid.T) {
	w.bank.ClearFaults()
	for _, g := range w.grants {
		w.mu.Lock()
		w.offset += 6 * time.Minute // longer than any pause
		w.mu.Unlock()
		g.late = g.late || g.lost
		alive, _ := w.alive(g.user)
		p := w.policy
		p.Force = true
		_, _, err := w.vault.Refresh(context.Background(), me, g.ref, p, w.renewal())
		if err == nil {
			continue
		}
		if alive && code(err) != fault.Reauthorize {
			t.Fatalf("%s: %v", g.user, err)
		}
		w.judge(t, g, err)
	}
}
