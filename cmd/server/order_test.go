//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSyncedBeforeSentAndBeforeSaid looks at the system calls of the program
// from outside. What was begun is on the disk before the request leaves, a
// user's id and password with it, and what came of it before a byte of the
// answer is written. A token that can be had again at any time waits for no
// disk, save that its first one makes the vault.
func TestSyncedBeforeSentAndBeforeSaid(t *testing.T) {
	requires(t, "strace")
	b := openBranch(t, built(t), "none", "refuse", 1)
	code := b.code()
	trace := filepath.Join(t.TempDir(), "trace")
	r := ride(t, append([]string{"strace", "-f", "-s", "96", "-e", "trace=fsync,fdatasync,write", "-o", trace}, b.program...), b.env)
	steps := []struct {
		tool, post string // post is the request that matters; a call may send others before it
		args       map[string]any
		durable    bool
	}{
		{"create_access_token", "POST /api/v1/token", map[string]any{"provider": "flinks", "grant_type": "client_credentials"}, true}, // it opens the vault
		{"refresh_token", "POST /api/v1/token", map[string]any{"token_ref": b.refs[0], "force": true}, true},
		{"create_access_token", "POST /api/v1/token", b.exchange(code), true},
		{"create_access_token", "POST /api/v2/oauth/token", map[string]any{"provider": "finapi", "grant_type": "client_credentials"}, false},
		{"create_access_token", "POST /api/v2/oauth/token", map[string]any{"provider": "finapi", "grant_type": "client_credentials", "force": true}, false},
		{"create_user", "POST /api/v2/users", map[string]any{"provider": "finapi", "id": "somebody"}, true},
		{"create_access_token", "POST /api/v2/oauth/token", map[string]any{"provider": "finapi", "grant_type": "password", "username": "somebody"}, true},
	}
	for _, c := range steps {
		if a, ok := r.call(c.tool, c.args); !ok || a.Error != nil {
			t.Fatalf("%s: %+v", c.tool, a.Error)
		}
	}
	r.part()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for i, c := range steps {
		seen, more, said := strings.Cut(rest, `write(1, "{\"jsonrpc`)
		before, between, sent := strings.Cut(seen, `"`+c.post)
		rest = more
		if !sent || !said {
			t.Fatalf("%s %v: the trace shows no request or no answer:\n%s", c.tool, c.args, seen)
		}
		if got := [2]bool{synced(before), synced(between)}; i > 0 && got != [2]bool{c.durable, c.durable} {
			t.Errorf("%s %v: synced before sending %v, before answering %v; want %v\n%s", c.tool, c.args["grant_type"], got[0], got[1], c.durable, seen)
		}
	}
}

// synced reports that a sync has come to its end.
func synced(calls string) bool {
	return regexp.MustCompile(`f(data)?sync(\(\d+| resumed>)\) += 0`).MatchString(calls)
}

// TestCareIsSynced: a key is on the disk before a vault depends on it, the one
// before is there until it does not, and what was sealed anew or copied is
// there before we say so. A server beside them keeps SQLite from syncing at the end.
func TestCareIsSynced(t *testing.T) {
	requires(t, "strace")
	_, env := simulation(t)
	anew := append(slices.Clone(env), "BANKAUTH_DATA_DIR="+filepath.Join(t.TempDir(), "anew"))
	r := ride(t, []string{"bankauth"}, env)
	if a, ok := r.call("create_access_token", map[string]any{"provider": "flinks", "grant_type": "client_credentials"}); !ok || a.Error != nil {
		t.Fatalf("%+v", a.Error)
	}
	for _, c := range []struct {
		command   string
		env, want []string
	}{
		{"call create_user provider=finapi", anew, []string{"sync vault.key", "sync anew", "sync vault.db.new", "rename vault.db.new", "sync anew", "sync vault.reserve", "sync vault.db"}},
		{"vault rekey", env, []string{"sync vault.key.next", "sync vault", "sync vault.db-wal", "rename vault.key.next", "sync vault", "sync vault.db-wal"}},
		{"vault backup copy", env, []string{"sync copy", "sync here"}},
	} {
		t.Run(c.command, func(t *testing.T) {
			all := stepsOf(t, c.env, strings.Fields(c.command)...)
			rest := slices.Clone(all)
			slices.Reverse(rest)
			for i, step := range slices.Backward(c.want) {
				at := slices.Index(rest, step)
				if at < 0 || at > 0 && i == len(c.want)-1 {
					t.Fatalf("no %s where it should come, in %v", step, all)
				}
				rest = rest[at+1:]
			}
		})
	}
	r.part()
}

// stepsOf are the syncs and renames of a command, in their order.
func stepsOf(t *testing.T, env []string, args ...string) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command("strace", append([]string{"-f", "-y", "-e", "trace=fsync,fdatasync,/^rename", "-o", trace, "bankauth"}, args...)...)
	cmd.Dir, cmd.Env = dir, append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + t.TempDir()}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, m := range regexp.MustCompile(`(?m)^\d+ +(?:f(?:data)?(sync)\(\d+<([^>]*)>|(rename)\w*\([^"]*"([^"]*)")`).FindAllStringSubmatch(string(text), -1) {
		steps = append(steps, m[1]+m[3]+" "+filepath.Base(m[2]+m[4]))
	}
	return steps
}
