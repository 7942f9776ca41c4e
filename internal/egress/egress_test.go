package egress_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bankauth/internal/egress"
	"bankauth/internal/simulator"
	"bankauth/schema"
	"bankauth/tools"
)

var all = []string{simulator.NameFintecture, simulator.NameFlinks, simulator.NameFinAPI}

// Accounts come from each provider for a token_ref, and the token does not.
func TestAccounts(t *testing.T) {
	h := open(t)
	for _, provider := range all {
		ref := h.user(provider)
		got := h.get(h.accounts(provider), ref)
		if got.status != 200 || got.err != nil || !json.Valid([]byte(got.body)) || !strings.Contains(got.body, "1250.42") {
			t.Errorf("%s: got %d %s", provider, got.status, got.body)
		}
		if strings.Contains(got.body, h.access(ref)) {
			t.Errorf("%s: the answer holds the token", provider)
		}
	}
}

// What the program sends of its own credentials, and of where it is, stays here.
func TestWhatTheProviderSees(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	h.wire.take()
	got := h.get("/flinks/api/v1/accounts?from=2026-01-01&q=a%20b", ref, "Cookie", "canary=1", "Proxy-Authorization", "Basic canary2",
		"Referer", "http://"+h.address+"/"+key+"/x", "X-Forwarded-For", "canary3", "Forwarded", "for=canary4", "Connection", "X-Canary", "X-Canary", "canary5",
		"Sec-Fetch-Mode", "canary6", "Accept-Encoding", "gzip", "X-Request-Id", "mine", "Accept", "application/fdx+json")
	if got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	seen := h.wire.take()
	for _, gone := range []string{"canary", key, ref, "gzip", "Referer"} {
		if strings.Contains(seen, gone) {
			t.Errorf("the provider was sent %q", gone)
		}
	}
	for _, there := range []string{"GET /api/v1/accounts?from=2026-01-01&q=a%20b HTTP/1.1\r\n", "Authorization: Bearer " + h.access(ref) + "\r\n",
		"X-Request-Id: mine\r\n", "Accept: application/fdx+json\r\n", "Accept-Encoding: identity\r\n", "Host: " + strings.TrimPrefix(h.sim.Bank("flinks").URL(), "http://") + "\r\n"} {
		if !strings.Contains(seen, there) {
			t.Errorf("the provider was not sent %q", there)
		}
	}
}

// What a provider throws back is not for the program to see, however it is cut.
func TestTheTokenDoesNotComeBack(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	token := h.access(ref)
	bank := h.sim.Bank("flinks")
	for name, f := range map[string]simulator.Fault{
		"in the body":        {Status: 200, Body: `{"a":"` + token + `","b":"x` + token + token + `y"}`},
		"byte by byte":       {Status: 400, Body: `["` + token[:20] + `","` + token + `"]`, Drip: time.Microsecond},
		"in headers":         {Headers: map[string]string{"X-Echo": "got " + token, "X-Escaped": fmt.Sprintf("50%% of %s%%%02x%s", token[:9], token[9], token[10:]), "Set-Cookie": "session=" + token, "Set-Cookie2": "b", "Alt-Svc": `h2="evil:443"`, "X-Kept": "yes"}},
		"at the end, almost": {Status: 200, Body: token[:len(token)-1]},
	} {
		f.Path, f.Times = "/api/v1/accounts", 1
		bank.SetFault(f)
		got := h.get("/flinks/api/v1/accounts", ref)
		if got.err != nil || strings.Contains(got.body, token) || f.Status != 0 && len(got.body) != len(f.Body) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got.body), len(f.Body), got.err)
		}
		for n, values := range got.header {
			if strings.Contains(strings.Join(values, " "), token[10:]) || n == "Set-Cookie" || n == "Alt-Svc" {
				t.Errorf("%s: the header %s came through", name, n)
			}
		}
		if name == "in headers" && got.header.Get("X-Kept") != "yes" {
			t.Error("other headers must come through")
		}
		if name == "at the end, almost" && got.body != f.Body {
			t.Error("what is not the token must come through")
		}
	}
	bank.SetFault(simulator.Fault{Path: "/api/v1/accounts", Times: 1, Status: 200, Body: "x", Headers: map[string]string{"Content-Encoding": "gzip"}})
	if got := h.get("/flinks/api/v1/accounts", ref); got.status != http.StatusBadGateway {
		t.Errorf("compressed: got %d", got.status)
	}
}

// A redirect is followed through us or not at all.
func TestRedirects(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	bank := h.sim.Bank("flinks")
	for location, want := range map[string]string{
		"/api/v1/other?x=1":                                              "/" + key + "/flinks/api/v1/other?x=1",
		"other":                                                          "/" + key + "/flinks/api/v1/other",
		bank.URL() + "/api/v1/other":                                     "/" + key + "/flinks/api/v1/other",
		"https://evil.example/api/v1/accounts":                           "",
		"//evil.example/api/v1/accounts":                                 "",
		h.sim.Bank("finapi").URL() + "/api":                              "",
		strings.Replace(bank.URL(), "http", "https", 1) + "/api":         "",
		"http://x@" + strings.TrimPrefix(bank.URL(), "http://") + "/api": "",
		"ftp://evil.example/":                                            "",
		"javascript:alert(1)":                                            "",
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			before := h.requests()
			bank.SetFault(simulator.Fault{Path: "/api/v1/accounts", Times: 1, Status: status, Headers: map[string]string{"Location": location}})
			got := h.get("/flinks/api/v1/accounts", ref)
			if want != "" && (got.status != status || got.header.Get("Location") != want) {
				t.Errorf("%d %s: got %d to %q", status, location, got.status, got.header.Get("Location"))
			}
			if want == "" && (got.status != http.StatusBadGateway || got.header.Get("Location") != "" || got.header.Get(egress.ErrorHeader) != "unavailable") {
				t.Errorf("%d %s: got %d to %q", status, location, got.status, got.header.Get("Location"))
			}
			if n := h.requests() - before; n != 1 {
				t.Errorf("%d %s: %d requests", status, location, n)
			}
		}
	}
	for _, raw := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n",
	} {
		bank.SetFault(simulator.Fault{Path: "/api/v1/accounts", Times: 1, Raw: raw})
		if got := h.get("/flinks/api/v1/accounts", ref); got.status != http.StatusBadGateway {
			t.Errorf("%q: got %d", raw, got.status)
		}
	}
}

// A token that the provider refuses is refreshed once, and the request is sent
// again where that does no harm.
func TestRefusedToken(t *testing.T) {
	for _, provider := range all {
		for _, method := range []string{"GET", "POST"} {
			t.Run(provider+" "+method, func(t *testing.T) {
				h := open(t)
				ref := h.user(provider)
				bank := h.sim.Bank(provider)
				path := h.accounts(provider)
				_, below, _ := strings.Cut(path[1:], "/")
				bank.SetFault(simulator.Fault{Path: "/" + below, Times: 1, Status: 401})
				before := h.access(ref)
				var body io.Reader
				if method == "POST" {
					body = strings.NewReader("{}")
				}
				got := h.send(method, path, ref, body)
				if want := map[string]int{"GET": 200, "POST": 401}[method]; got.status != want {
					t.Errorf("got %d, want %d: %s", got.status, want, got.body)
				}
				if n := bank.Truth().ByGrant["refresh_token"]; n != 1 || h.access(ref) == before {
					t.Errorf("%d refreshes", n)
				}
				// A 401 that a new token does not mend costs no more of them.
				bank.SetFault(simulator.Fault{Path: "/" + below, Status: 401})
				for range 3 {
					if got := h.send(method, path, ref, nil); got.status != 401 {
						t.Errorf("again: got %d", got.status)
					}
				}
				if n := bank.Truth().ByGrant["refresh_token"]; n != 1 {
					t.Errorf("%d refreshes in a minute", n)
				}
			})
		}
	}
}

// Bodies go through as they come, in both directions, and no further than
// their bounds.
func TestBodies(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	bank := h.sim.Bank("flinks")
	h.wire.take()
	text := strings.Repeat("0123456789", 20_000)
	got := h.send("POST", "/flinks/api/v1/accounts", ref, struct{ io.Reader }{strings.NewReader(text)}) // of unknown length
	if got.status != 404 && got.status != 405 || strings.Count(h.wire.take(), "0123456789") < 19_000 {
		t.Errorf("a body of unknown length: got %d", got.status)
	}
	bank.SetFault(simulator.Fault{Path: "/api/v1/accounts", Times: 1, Status: 200, Body: "begin", Pad: 257 << 20})
	if got := h.get("/flinks/api/v1/accounts", ref); got.err == nil {
		t.Errorf("an answer beyond its bound looks whole: %d bytes", len(got.body))
	}
	bank.SetFault(simulator.Fault{Path: "/api/v1/accounts", Times: 1, Status: 200, Body: "0123456789", Truncate: 5})
	if got := h.get("/flinks/api/v1/accounts", ref); got.err == nil {
		t.Errorf("a cut answer looks whole: %q", got.body)
	}
	// The first byte is there long before the last one.
	bank.SetFault(simulator.Fault{Path: "/api/v1/accounts", Times: 1, Status: 200, Body: "0123456789", Drip: 100 * time.Millisecond})
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+h.address+"/"+key+"/flinks/api/v1/accounts", nil)
	r.Header.Set("Authorization", "Bearer "+ref)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	start := time.Now()
	var first [1]byte
	if _, err := io.ReadFull(resp.Body, first[:]); err != nil || time.Since(start) > 600*time.Millisecond {
		t.Errorf("the first byte came after %v, %v", time.Since(start), err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
}

func TestReadOnly(t *testing.T) {
	h := open(t, func(o *egress.Options) { o.ReadOnly = true })
	ref := h.user("flinks")
	before := h.requests()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		if got := h.send(method, "/flinks/api/v1/accounts", ref, nil); got.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %d", method, got.status)
		}
	}
	if h.requests() != before {
		t.Error("something was sent")
	}
	if got := h.get("/flinks/api/v1/accounts", ref); got.status != 200 {
		t.Errorf("GET: got %d", got.status)
	}
}

// A key is its principal's: whoever asks with it for another's token asks for
// one that is not there.
func TestPrincipals(t *testing.T) {
	h := open(t)
	for _, who := range []string{tools.Local, "neighbour"} {
		r := h.tools.Call(t.Context(), who, schema.CreateAccessToken, map[string]any{"provider": "flinks", "grant_type": "client_credentials"})
		var made struct {
			TokenRef string `json:"token_ref"`
		}
		if err := json.Unmarshal(r.JSON, &made); err != nil || r.IsError {
			t.Fatalf("%s, %v", r.JSON, err)
		}
		for _, other := range []string{tools.Local, "neighbour"} {
			line := h.raw("GET /" + keys.Of(other) + "/flinks/api/v1/accounts HTTP/1.1\r\nHost: " + h.address + "\r\nConnection: close\r\nAuthorization: Bearer " + made.TokenRef + "\r\n\r\n")
			// Flinks has no accounts for an application: 403 is its own word.
			if got, want := status(line), map[bool]int{true: http.StatusForbidden, false: http.StatusBadRequest}[other == who]; got != want {
				t.Errorf("%s's token with %s's key: got %d, want %d", who, other, got, want)
			}
		}
	}
}

// A grant that is over says so in our words.
func TestOver(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	h.sim.Bank("flinks").Revoke(h.access(ref))
	first := h.get("/flinks/api/v1/accounts", ref) // the provider's own 401: it cannot be mended
	second := h.get("/flinks/api/v1/accounts", ref)
	if first.status != 401 || first.header.Get(egress.ErrorHeader) != "" {
		t.Errorf("first: got %d %s", first.status, first.body)
	}
	if second.status != 401 || second.header.Get(egress.ErrorHeader) != "reauthorize" || !strings.Contains(second.body, "create_access_token") {
		t.Errorf("then: got %d %s", second.status, second.body)
	}
}

// A Unix socket is its owner's alone, and needs no key.
func TestSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of sockets are a Unix matter")
	}
	h := open(t)
	ref := h.user("flinks")
	dir, err := os.MkdirTemp("", "egress") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	for range 2 { // the second time over what a killed process left
		l, err := egress.ListenSocket(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("got %v, %v", info.Mode(), err)
		}
		if _, err := egress.ListenSocket(t.Context(), path); err == nil {
			t.Error("a socket that is in use was taken over")
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- egress.Serve(ctx, l, egress.New(egress.Options{Tokens: h.tools})) }()
		unix := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://bankauth/flinks/api/v1/accounts", nil)
		r.Header.Set("Authorization", "Bearer "+ref)
		resp, err := unix.Do(r)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		_ = resp.Body.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is still there")
		}
		stale, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		stale.(*net.UnixListener).SetUnlinkOnClose(false)
		_ = stale.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := egress.ListenSocket(t.Context(), filepath.Join(dir, "file")); err == nil {
		t.Error("a file was taken for a socket")
	}
}

// Many at once are served, and those beyond the bound are told to come again.
func TestManyAtOnce(t *testing.T) {
	h := open(t)
	ref := h.user("flinks")
	h.sim.Bank("flinks").SetDelay(0, 400*time.Millisecond)
	codes := make(chan int, 300)
	for range cap(codes) {
		go func() {
			line := h.raw("GET /" + key + "/flinks/api/v1/accounts HTTP/1.1\r\nHost: " + h.address + "\r\nConnection: close\r\nAuthorization: Bearer " + ref + "\r\n\r\n")
			codes <- status(line)
		}()
	}
	got := map[int]int{}
	for range cap(codes) {
		got[<-codes]++
	}
	if got[200] < 256 || got[200]+got[503] != cap(codes) {
		t.Errorf("got %v", got)
	}
}
