package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestStdioEgress: a server with a proxy beside it tells the agent where it
// is, in whatever the agent reads.
func TestStdioEgress(t *testing.T) {
	s := start(t, nil, "stdio", "--simulate", "--egress", "--egress-read-only")
	says := func(method, params string) string {
		s.say(t, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`)
		return s.hear(t)
	}
	if hello := says("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`); !strings.Contains(hello, "egress_url") {
		t.Errorf("the instructions do not say how a token is used: %s", hello)
	}
	var got struct {
		Result struct {
			StructuredContent struct {
				TokenRef  string `json:"token_ref"`
				EgressURL string `json:"egress_url"`
			}
		}
	}
	const create = `{"name":"create_access_token","arguments":{"provider":"flinks","grant_type":"client_credentials"}}`
	if err := json.Unmarshal([]byte(says("tools/call", create)), &got); err != nil {
		t.Fatal(err)
	}
	made := got.Result.StructuredContent
	base, err := url.Parse(made.EgressURL)
	if err != nil || base.Hostname() != "127.0.0.1" || !strings.HasPrefix(base.Path, "/key_") || !strings.HasSuffix(base.Path, "/flinks") {
		t.Fatalf("the address is %q, %v", made.EgressURL, err)
	}
	if listed := says("resources/read", `{"uri":"bankauth://tokens"}`); !strings.Contains(listed, made.EgressURL) {
		t.Errorf("the list of tokens lacks the address: %s", listed)
	}
	if prompt := says("prompts/get", `{"name":"connect_bank","arguments":{"provider":"flinks"}}`); !strings.Contains(prompt, "egress_url") {
		t.Errorf("the prompt ends before the token is used: %s", prompt)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method string) (int, string) {
		r, _ := http.NewRequestWithContext(t.Context(), method, made.EgressURL+"/api/v1/accounts", nil)
		r.Header.Set("Authorization", "Bearer "+made.TokenRef)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	// An application has no accounts: 403 is the bank's own word, to a token that it knows.
	if status, body := ask(http.MethodGet); status != http.StatusForbidden {
		t.Errorf("GET: %d %s", status, body)
	}
	if status, body := ask(http.MethodPost); status != http.StatusMethodNotAllowed || !strings.Contains(body, "read only") {
		t.Errorf("POST: %d %s", status, body)
	}
	s.end(t)
}

// TestBesideEnds: the port is free once close has returned, whether the proxy
// was started, a signal came, or the server could not be put together.
func TestBesideEnds(t *testing.T) {
	s := bareService(t)
	for name, use := range map[string]func(context.Context, *besideProxy){
		"closed": func(ctx context.Context, b *besideProxy) { b.start(ctx, s, nil) },
		"signalled": func(ctx context.Context, b *besideProxy) {
			gone, stop := context.WithCancel(ctx)
			b.start(gone, s, nil)
			stop()
		},
		"never started": func(context.Context, *besideProxy) {},
	} {
		b, err := besideFlags{Egress: true}.listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		use(t.Context(), b)
		if err := b.close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c, err := net.Dial("tcp", b.listener.Addr().String()); err == nil {
			_ = c.Close()
			t.Errorf("%s: the port is still listened on", name)
		}
	}
}

// TestStdioEgressPort: a port that is taken is said at once, and without
// --egress nothing is listened on and nothing speaks of it.
func TestStdioEgressPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	got := tryShell(t, nil, "stdio", "--simulate", "--egress", "--egress-port="+port)
	if got.code == 0 || got.out != "" || !strings.Contains(got.err, "cannot listen") {
		t.Errorf("got %+v", got)
	}
	s := start(t, nil, "stdio", "--simulate")
	s.say(t, callFlinks)
	if said := s.hear(t); strings.Contains(said, "egress") {
		t.Errorf("got %s", said)
	}
	s.end(t)
}
