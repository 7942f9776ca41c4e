//go:build unix

package clients

import (
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"bankauth/internal/testdb"
)

// TestSDKAtReplicas plays the SDKs' journeys at three servers on one
// PostgreSQL, of which each request gets the next.
func TestSDKAtReplicas(t *testing.T) {
	n := findNode(t)
	program := build(t)
	db := testdb.Postgres(t)
	for i, sdk := range sdks {
		t.Run(sdk.name, func(t *testing.T) {
			s := simulate(t, program)
			s.env["BANKAUTH_STORE"] = db.Create(t, "journey"+strconv.Itoa(i))
			play(t, n, sdk.script, options{URL: replicas(t, program, s.env) + "/mcp", Transport: "http", Banks: s.banks, Era: sdk.era})
		})
	}
}

// replicas starts three servers with data folders of their own, and returns
// the address before them.
func replicas(t *testing.T, program string, env map[string]string) string {
	t.Helper()
	var to [3]*url.URL
	var turn atomic.Int64
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to[turn.Add(1)%int64(len(to))])
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(front.Close)
	for i := range to {
		own := maps.Clone(env)
		own["BANKAUTH_DATA_DIR"], own["BANKAUTH_PUBLIC_URL"] = filepath.Join(t.TempDir(), "data"), front.URL
		at, err := url.Parse(serve(t, program, own, "--egress"))
		if err != nil {
			t.Fatal(err)
		}
		to[i] = at
	}
	return front.URL
}
