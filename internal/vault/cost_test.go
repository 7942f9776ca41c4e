//go:build unix

package vault_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// What the vault costs, in ratios of one run and in counts:
//
//	go test ./internal/vault -run TestCost -v -count=1 -refreshes 100000 -timeout 1h
var refreshes = flag.Int("refreshes", 5000, "how many refreshes TestCostOfGrowth makes")

// prompt is a provider on loopback that answers at once.
func prompt(t *testing.T) vault.Mint {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, rand.Int64()) }))
	t.Cleanup(s.Close)
	return postTo(s.URL)
}

// TestCostOfAFreshToken compares the same call with a token that is fresh and
// with one that is sent upstream, to a provider that answers at once. The two
// take turns.
func TestCostOfAFreshToken(t *testing.T) {
	v, mint, ctx := open(t, withKey(folder(t))), prompt(t), context.Background()
	code := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, mint)
	client := identity("client_credentials", "a")
	for name, call := range map[string]func(force bool) (vault.Record, bool, error){
		"a code's token": func(force bool) (vault.Record, bool, error) {
			return v.Refresh(ctx, me, code.Ref, vault.Policy{Force: force}, mint)
		},
		"a client's token": func(force bool) (vault.Record, bool, error) {
			return v.Obtain(ctx, client, vault.Policy{Force: force}, mint)
		},
	} {
		if _, _, err := call(true); err != nil {
			t.Fatal(err)
		}
		var fresh, sent []time.Duration
		for turn := range 40 {
			force := turn%2 == 1
			for range 20 {
				began := time.Now()
				_, reused, err := call(force)
				took := time.Since(began)
				if err != nil || reused == force {
					t.Fatalf("%s: reused %v, %v", name, reused, err)
				}
				if force {
					sent = append(sent, took)
				} else {
					fresh = append(fresh, took)
				}
			}
		}
		ratio := float64(quantile(fresh, 0.5)) / float64(quantile(sent, 0.5))
		t.Logf("%s: fresh %v, sent upstream %v at the median: %.1f %%", name, quantile(fresh, 0.5), quantile(sent, 0.5), 100*ratio)
		if ratio >= 0.05 {
			t.Errorf("%s: a fresh one costs %.1f %% of one that is sent upstream, want less than 5 %%", name, 100*ratio)
		}
	}
}

// quantile returns the q-quantile of all, which it sorts.
func quantile(all []time.Duration, q float64) time.Duration {
	slices.Sort(all)
	return all[int(float64(len(all)-1)*q)]
}

// TestCostInSyncs counts a process's syncs: none for a client's tokens, and
// fewer than two for each of 64 refreshes at once, because they share commits.
func TestCostInSyncs(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace: apt-get install strace")
	}
	const callers, each = 64, 10
	dir, bank := folder(t), newProvider(t, 0)
	v := open(t, withKey(dir))
	for _, grant := range []string{"client_credentials", "authorization_code"} {
		o := order{Do: "refresh all", Dir: dir, URL: bank.URL, Calls: each}
		for i := range callers {
			o.Refs = append(o.Refs, obtain(t, v, identity(grant, fmt.Sprint(i)), vault.Policy{}, (&bank1{}).mint).Ref)
		}
		trace := filepath.Join(t.TempDir(), "trace")
		p := spawn(t, o, strace, "-f", "-e", "trace=fsync,fdatasync,write", "-o", trace)
		p.push()
		p.expect("done")
		p.end()
		b, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		b = regexp.MustCompile(`(?s)^.*"ready\\n"|write\(1, "done.*$`).ReplaceAll(b, nil)
		n := len(regexp.MustCompile(`(?m)f(data)?sync(\(\d+| resumed>)\) += 0`).FindAll(b, -1))
		ratio := float64(n) / (callers * each)
		t.Logf("%s: %d syncs for %d refreshes: %.2f each", grant, n, callers*each, ratio)
		if grant == "client_credentials" && n > 0 || ratio >= 2 || grant != "client_credentials" && n == 0 {
			t.Errorf("%s: %d syncs for %d refreshes", grant, n, callers*each)
		}
	}
}

// refreshAll forces each of the order's tokens, all at once, again and again.
func refreshAll(v *vault.Vault, o order) error {
	errs := make(chan error, len(o.Refs))
	for _, ref := range o.Refs {
		go func() {
			var err error
			for range o.Calls {
				if err == nil {
					_, _, err = v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, postTo(o.URL))
				}
			}
			errs <- err
		}()
	}
	for range o.Refs {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// TestCostOfGrowth refreshes very often: the log of SQLite stays within its
// bound, and the file grows by the audit's entries alone, of which 100,000 are
// kept. It prints what a refresh takes beyond the provider's own time.
func TestCostOfGrowth(t *testing.T) {
	const callers = 64
	dir := folder(t)
	v := open(t, withKey(dir))
	refs := make([]string, callers)
	for i := range refs {
		refs[i] = obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint).Ref
	}
	var mu sync.Mutex
	var beyond []time.Duration
	var largest int64 // of the log
	half := 0
	sizes := make([]int64, 0, 2)
	began := time.Now()
	for _, rounds := range []int{*refreshes / callers / 2, *refreshes / callers / 2} {
		var all sync.WaitGroup
		for _, ref := range refs {
			all.Go(func() {
				for range rounds {
					var its time.Duration
					start := time.Now()
					_, _, err := v.Refresh(context.Background(), me, ref, vault.Policy{Force: true}, func(ctx context.Context, old vault.Record) (token.Token, error) {
						began := time.Now()
						time.Sleep(5 * time.Millisecond)
						defer func() { its = time.Since(began) }()
						return instant(true)(ctx, old)
					})
					took := time.Since(start) - its
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					beyond = append(beyond, took)
					half++
					if half%500 == 0 {
						largest = max(largest, length(t, filepath.Join(dir, "vault.db-wal")))
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		sizes = append(sizes, length(t, filepath.Join(dir, "vault.db")))
	}
	n := len(beyond)
	t.Logf("%d refreshes by %d callers, %.0f each second; beyond the provider's own time: %v at the median, p99 %v",
		n, callers, float64(n)/time.Since(began).Seconds(), quantile(beyond, 0.5), quantile(beyond, 0.99))
	t.Logf("vault.db %d KiB after half of them and %d KiB at the end, %d bytes a refresh; its log never above %d KiB",
		sizes[0]>>10, sizes[1]>>10, (sizes[1]-sizes[0])/int64(n/2), largest>>10)
	if largest > 16<<20 {
		t.Errorf("the log grew to %d bytes", largest)
	}
	if grown := sizes[1] - sizes[0]; grown > 400*int64(min(n/2, 100_000)) {
		t.Errorf("the file grew by %d bytes in %d refreshes", grown, n/2)
	}
}

func length(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return 0
	}
	return info.Size()
}
