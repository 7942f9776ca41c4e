package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/rs/zerolog"

	"bankauth/internal/auth"
	"bankauth/internal/httpd"
	"bankauth/internal/stdio"
)

// issuer is the npm package oidc-provider, running.
type issuer struct {
	URL    string `json:"issuer"`
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`

	stdin io.Writer
	lines *bufio.Scanner
}

func startIssuer(t *testing.T, n node) *issuer {
	t.Helper()
	cmd := exec.Command(n.program, "issuer.mjs")
	cmd.Dir = n.folder
	cmd.Env = []string{"HOME=" + n.home}
	var said strings.Builder
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting the issuer: %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the issuer said:\n%s", said.String())
		}
	})
	i := &issuer{stdin: stdin, lines: bufio.NewScanner(stdout)}
	if !i.lines.Scan() || json.Unmarshal(i.lines.Bytes(), i) != nil || i.URL == "" {
		t.Fatalf("the issuer did not say where it is: %s\n%s", i.lines.Bytes(), said.String())
	}
	return i
}

// rotate gives the issuer new keys and takes the old ones away.
func (i *issuer) rotate(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(i.stdin, "rotate\n"); err != nil || !i.lines.Scan() {
		t.Fatalf("rotating the issuer's keys: %v", err)
	}
}

// token is what the issuer gives the machine for the resource; "" asks for
// none.
func (i *issuer) token(t *testing.T, resource, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	if resource != "" {
		form.Set("resource", resource)
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.SetBasicAuth(i.ID, i.Secret)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		Token string `json:"access_token"`
		Error string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("the issuer gave no token: %s %s %v", res.Status, got.Error, err)
	}
	return got.Token
}

// gated is a real mcp-go server behind our edge and a real gate.
type gated struct {
	URL   string
	ahead atomic.Int64 // of our clock, in nanoseconds
}

func startGated(t *testing.T, i *issuer) *gated {
	t.Helper()
	m := server.NewMCPServer("gated", "1", server.WithToolCapabilities(false))
	for _, name := range []string{"create_access_token", "refresh_token", "create_user"} {
		m.AddTool(mcp.NewTool(name), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			caller, _ := auth.FromContext(ctx)
			return mcp.NewToolResultText(caller.Principal), nil
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gated{URL: "http://" + l.Addr().String()}
	gate := auth.New(auth.Options{PublicURL: g.URL, Issuer: auth.NewIssuer(auth.IssuerOptions{
		URL: i.URL, Audiences: auth.Audiences(g.URL), Now: func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }})})
	edge := httpd.New(httpd.Options{
		Handle: func(ctx context.Context, message httpd.Message) stdio.Reply {
			switch answer := m.HandleMessage(ctx, message.Raw).(type) {
			case mcp.JSONRPCResponse:
				return stdio.Reply{Result: answer.Result}
			case mcp.JSONRPCError:
				return stdio.Reply{Error: &stdio.Error{Code: answer.Error.Code, Message: answer.Error.Message}}
			}
			return stdio.Reply{}
		},
		Allow: func(w http.ResponseWriter, r *http.Request, _, name string) bool {
			scope, needed := auth.ScopeOf(name)
			return !needed || gate.Require(w, r, scope)
		},
		Gate: gate.Handler,
		Open: map[string]http.Handler{auth.MetadataPath: gate.Metadata(), auth.MetadataPath + "/": gate.Metadata()},
		Log:  zerolog.Nop(),
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- edge.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return g
}

// ask returns the status of an initialize with the token.
func (g *gated) ask(t *testing.T, token string) int {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Accept", "application/json, text/event-stream")
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestIssuer: the tokens of a real OpenID provider, and its rotation of keys.
func TestIssuer(t *testing.T) {
	n := findNode(t)
	i := startIssuer(t, n)
	g := startGated(t, i)
	const scope = "tokens:create tokens:refresh"
	old := i.token(t, g.URL+"/mcp", scope)
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"ours":                     {old, http.StatusOK},
		"the server as a whole":    {i.token(t, g.URL, scope), http.StatusOK},
		"a sibling's":              {i.token(t, "https://sibling.example/mcp", scope), http.StatusUnauthorized},
		"a path beside":            {i.token(t, g.URL+"/mcp2", scope), http.StatusUnauthorized},
		"opaque, for any resource": {i.token(t, "", scope), http.StatusUnauthorized},
	} {
		if got := g.ask(t, c.token); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	i.rotate(t)
	g.ahead.Store(int64(11 * time.Second))
	if got := g.ask(t, i.token(t, g.URL+"/mcp", scope)); got != http.StatusOK {
		t.Errorf("signed with a key that has come: %d", got)
	}
	if got := g.ask(t, old); got != http.StatusUnauthorized {
		t.Errorf("signed with a key that was withdrawn: %d", got)
	}
}

// TestOAuthClient: the SDKs' own OAuth clients get in, knowing nothing but the
// server's URL, and step up when a tool needs more than their token has.
func TestOAuthClient(t *testing.T) {
	n := findNode(t)
	i := startIssuer(t, n)
	g := startGated(t, i)
	for _, sdk := range []string{"v1", "v2"} {
		for name, token := range map[string]string{"unaided": "", "steps up": i.token(t, g.URL+"/mcp", "tokens:create")} {
			t.Run(sdk+" "+name, func(t *testing.T) {
				playOAuth(t, n, map[string]string{"sdk": sdk, "url": g.URL + "/mcp", "token": token, "issuer": i.URL})
			})
		}
	}
}

func playOAuth(t *testing.T, n node, o map[string]string) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	got := n.run(t, "oauth.mjs", string(text))
	got.judge(t, "oauth.mjs")
}
