//go:build unix

package vault_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

func instant(refresh bool) vault.Mint {
	t := token.Token{Access: secret.New("an access token of about the length that one has in practice, a JWT is longer"), Type: "Bearer",
		Scope: "accounts", Expiry: token.ExpiresAt, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	if refresh {
		t.Refresh = secret.New("a refresh token of about the length that one has in practice")
	}
	return func(context.Context, vault.Record) (token.Token, error) { return t, nil }
}

// cancellable contexts, because those are what callers bring.
func cancellable(b *testing.B) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	return ctx
}

func BenchmarkReuse(b *testing.B) {
	v, ctx, mint := open(b, withKey(folder(b))), cancellable(b), instant(false)
	id := identity("client_credentials", "ais")
	obtain(b, v, id, vault.Policy{}, mint)
	cpu := used()
	b.ReportAllocs()
	for b.Loop() {
		if _, reused, err := v.Obtain(ctx, id, vault.Policy{}, mint); err != nil || !reused {
			b.Fatal(reused, err)
		}
	}
	b.ReportMetric(float64(used()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
}

func BenchmarkForced500(b *testing.B) {
	v, ctx, mint := open(b, withKey(folder(b))), cancellable(b), instant(false)
	ids := make([]vault.Identity, 500)
	for i := range ids {
		ids[i] = identity("client_credentials", fmt.Sprintf("scope %d", i))
		obtain(b, v, ids[i], vault.Policy{}, mint)
	}
	var next atomic.Int64
	b.SetParallelism(250)
	b.ReportAllocs()
	cpu := used()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		id := ids[int(next.Add(1))%len(ids)]
		for pb.Next() {
			if _, _, err := v.Obtain(ctx, id, vault.Policy{Force: true}, mint); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(used()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
}

func BenchmarkForcedAlone(b *testing.B) {
	v, ctx, mint := open(b, withKey(folder(b))), cancellable(b), instant(false)
	id := identity("client_credentials", "ais")
	obtain(b, v, id, vault.Policy{}, mint)
	cpu := used()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := v.Obtain(ctx, id, vault.Policy{Force: true}, mint); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
}

// BenchmarkForcedPaced is the load that the server has to bear: 8,500 calls a
// second over 500 identities. Its figure is the CPU of a call with all that is
// written behind it.
func BenchmarkForcedPaced(b *testing.B) {
	v, ctx, mint := open(b, withKey(folder(b))), cancellable(b), instant(false)
	ids := make([]vault.Identity, 500)
	for i := range ids {
		ids[i] = identity("client_credentials", fmt.Sprintf("scope %d", i))
		obtain(b, v, ids[i], vault.Policy{}, mint)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	cpu, n := used(), 0
	for b.Loop() {
		if n%85 == 0 {
			<-tick.C
		}
		if _, _, err := v.Obtain(ctx, ids[n%500], vault.Policy{Force: true}, mint); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(used()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
}

func BenchmarkFirst(b *testing.B) {
	for _, many := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers=%d", 2*many), func(b *testing.B) {
			v, ctx, mint := open(b, withKey(folder(b))), cancellable(b), instant(false)
			var n atomic.Int64
			b.SetParallelism(many)
			cpu := used()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := identity("client_credentials", fmt.Sprintf("scope %d", n.Add(1)))
					if _, _, err := v.Obtain(ctx, id, vault.Policy{}, mint); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(used()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
		})
	}
}

func BenchmarkRefresh(b *testing.B) {
	v, ctx, mint := open(b, withKey(folder(b))), cancellable(b), instant(true)
	r := obtain(b, v, identity("authorization_code", ""), vault.Policy{}, mint)
	cpu := used()
	for b.Loop() {
		if _, _, err := v.Refresh(ctx, me, r.Ref, vault.Policy{Force: true}, mint); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used()-cpu)/float64(b.N)/1e3, "cpu-µs/op")
}

func BenchmarkOpen(b *testing.B) {
	o := withKey(folder(b))
	shut(b, open(b, o))
	for b.Loop() {
		v, err := vault.Open(context.Background(), o)
		if err != nil {
			b.Fatal(err)
		}
		shut(b, v)
	}
}
