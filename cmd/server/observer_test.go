package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestMetrics holds the figures against what was done: a refresh, one that had
// to be sent again, and one that ended the grant.
func TestMetrics(t *testing.T) {
	w := newWatch(t)
	far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
	s := w.serve(t, append(far.env, kept.env()...))
	c := &caller{secrets: w.secrets}
	refs := s.good(t, c.code("fintecture"), own("flinks"))
	s.good(t, refresh(refs[0]))
	lost := false
	far.behave(func(w http.ResponseWriter, q *asked) {
		if !lost {
			lost = true
			raw(w, "", func(c net.Conn) { _ = c.Close() })
			return
		}
		well(w, q)
	})
	s.good(t, refresh(refs[0]))
	far.behave(func(w http.ResponseWriter, _ *asked) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
	})
	if got := s.through(t, "/mcp", refresh(refs[0])); !strings.Contains(got.text, "reauthorize") {
		t.Fatal(got.text)
	}
	_, figures := s.send(t, "/metrics", http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`bankauth_calls_total{code="ok",provider="fintecture",tool="create_access_token"} 1`, `bankauth_calls_total{code="ok",provider="fintecture",tool="refresh_token"} 2`,
		`bankauth_calls_total{code="reauthorize",provider="fintecture",tool="refresh_token"} 1`,
		`bankauth_refreshes_total{provider="fintecture"} 3`, `bankauth_replays_total{provider="fintecture"} 1`, `bankauth_reauthorisations_total{provider="fintecture"} 1`,
		`bankauth_tokens{state="live"} 1`, `bankauth_tokens{state="reauthorize"} 1`, `bankauth_tokens{state="suspect"} 0`,
		`bankauth_upstream_seconds_count{provider="fintecture",status="0"} 1`, `bankauth_upstream_seconds_count{provider="fintecture",status="200"} 3`, `bankauth_upstream_seconds_count{provider="fintecture",status="400"} 1`,
		`bankauth_calls_in_flight 0`, `bankauth_streams 0`, `bankauth_http_requests_total{route="/mcp",status="200"} `,
	} {
		if !strings.Contains(figures, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(figures) {
			if strings.HasPrefix(line, "bankauth_") && !strings.Contains(line, "_bucket") {
				t.Log(line)
			}
		}
	}
	s.end(t)
}
