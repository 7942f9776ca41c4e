package providers

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/secret"
	"bankauth/schema"
)

// start is when the tests' clock stands still.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const okToken = `{"access_token":"at-1","token_type":"bearer","expires_in":3600,"refresh_token":"rt-1","scope":"AIS"}`

// wire is a raw TCP server that keeps each request byte for byte and answers
// with what answer says.
func wire(t *testing.T, answer string) (base string, requests <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	seen := make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			seen <- readRaw(c)
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String(), seen
}

// readRaw returns the bytes of one request.
func readRaw(c net.Conn) string {
	var b strings.Builder
	r := bufio.NewReader(io.TeeReader(c, &b))
	req, err := http.ReadRequest(r)
	if err != nil {
		return b.String()
	}
	_, _ = io.Copy(io.Discard, req.Body)
	return b.String()
}

func ok200(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n" + body
}

func client(t *testing.T, p *schema.Provider, base string) *Client {
	t.Helper()
	tr := NewTransport()
	t.Cleanup(tr.CloseIdleConnections)
	c, err := New(p, Options{BaseURL: base, ClientID: secret.New("id-1"), ClientSecret: secret.New("k&y=/ü"),
		Transport: tr, Now: func() time.Time { return start }, UserAgent: "bankauth/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func callOf(t *testing.T, p *schema.Provider, tool, grant string) Call {
	t.Helper()
	op, g, ok := p.Operation(tool, grant)
	if !ok {
		t.Fatalf("%s does not serve %s %s", p.Name, tool, grant)
	}
	call := Call{Operation: op, Grant: g, CorrelationID: "corr-1", Arguments: map[string]any{}, Fields: true}
	switch grant {
	case schema.GrantPassword:
		call.Password = secret.New("pass word")
	case schema.GrantRefreshToken:
		call.RefreshToken = secret.New("rt+0")
	case "":
		call.Password, call.Bearer = secret.New("pass word"), secret.New("bt-1")
	}
	return call
}

type goldenCase struct {
	name        string
	p           *schema.Provider
	tool, grant string
	args        map[string]any
	want        string
}

const (
	formHead = "Accept: application/json\nAccept-Encoding: identity\n"
	basic    = "Authorization: Basic aWQtMTprJnk9L8O8\n"
)

// goldens are the requests that the bundled documents come to.
func goldens(t *testing.T) []goldenCase {
	form := "Content-Type: application/x-www-form-urlencoded\n"
	js := "Content-Type: application/json\n"
	return []goldenCase{
		{"fintecture code", bundled(t, "fintecture"), schema.CreateAccessToken, schema.GrantAuthorizationCode, map[string]any{"code": "c o/de", "scope": "AIS"},
			"POST /oauth/accesstoken HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 54\n" + formHead + basic + form +
				"\ngrant_type=authorization_code&code=c+o%2Fde&scope=AIS"},
		{"fintecture client", bundled(t, "fintecture"), schema.CreateAccessToken, schema.GrantClientCredentials, map[string]any{"scope": "PIS"},
			"POST /oauth/accesstoken HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 50\n" + formHead + basic + form +
				"\ngrant_type=client_credentials&scope=PIS&app_id=id-1"},
		{"fintecture refresh", bundled(t, "fintecture"), schema.RefreshToken, schema.GrantRefreshToken, nil,
			"POST /oauth/refreshtoken HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 45\n" + formHead + basic + form +
				"\ngrant_type=refresh_token&refresh_token=rt%2B0"},
		{"flinks client", bundled(t, "flinks"), schema.CreateAccessToken, schema.GrantClientCredentials, nil,
			"POST /api/v1/token HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 84\n" + formHead + js +
				`\n{"grant_type":"client_credentials","client_id":"id-1","client_secret":"k&y=/ü"}`},
		{"flinks code", bundled(t, "flinks"), schema.CreateAccessToken, schema.GrantAuthorizationCode,
			map[string]any{"code": `q'"\`, "redirect_uri": "https://a.example/cb"},
			"POST /api/v1/token HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 84\n" + formHead + js +
				`\n{"grant_type":"authorization_code","code":"q'\"\\","redirect_uri":"https://a.example/cb","client_id":"id-1","client_secret":"k&y=/ü"}`},
		{"flinks refresh", bundled(t, "flinks"), schema.RefreshToken, schema.GrantRefreshToken, nil,
			"POST /api/v1/token HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 84\n" + formHead + js +
				`\n{"grant_type":"refresh_token","refresh_token":"rt+0","client_id":"id-1","client_secret":"k&y=/ü"}`},
		{"finapi client", bundled(t, "finapi"), schema.CreateAccessToken, schema.GrantClientCredentials, nil,
			"POST /api/v2/oauth/token HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 54\n" + formHead + form +
				"X-Request-Id: corr-1\n\ngrant_type=client_credentials&client_id=id-1&client_secret=k%26y%3D%2F%C3%BC"},
		{"finapi password", bundled(t, "finapi"), schema.CreateAccessToken, schema.GrantPassword, map[string]any{"username": "u@1"},
			"POST /api/v2/oauth/token HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 54\n" + formHead + form +
				"X-Request-Id: corr-1\n\ngrant_type=password&username=u%401&password=pass+word&client_id=id-1&client_secret=k%26y%3D%2F%C3%BC"},
		{"finapi refresh", bundled(t, "finapi"), schema.RefreshToken, schema.GrantRefreshToken, nil,
			"POST /api/v2/oauth/token HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 54\n" + formHead + form +
				"X-Request-Id: corr-1\n\ngrant_type=refresh_token&refresh_token=rt%2B0&client_id=id-1&client_secret=k%26y%3D%2F%C3%BC"},
		{"finapi user", bundled(t, "finapi"), schema.CreateUser, "", map[string]any{"id": "u-1", "isAutoUpdateEnabled": true},
			"POST /api/v2/users HTTP/1.1\nHost: HOST\nUser-Agent: bankauth/test\nContent-Length: 54\n" + formHead +
				"Authorization: Bearer bt-1\n" + js + "X-Request-Id: corr-1\n" +
				`\n{"id":"u-1","password":"pass word","isAutoUpdateEnabled":true}`},
	}
}

// TestGoldenRequests compares what a provider receives byte for byte.
func TestGoldenRequests(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			body := okToken
			if g.tool == schema.CreateUser {
				body = `{"id":"u-1","password":"p"}`
			}
			base, requests := wire(t, ok200(body))
			c := client(t, g.p, base)
			call := callOf(t, g.p, g.tool, g.grant)
			for k, v := range g.args {
				call.Arguments[k] = v
			}
			send := c.Token
			if g.tool == schema.CreateUser {
				send = c.User
			}
			if _, err := send(context.Background(), call); err != nil {
				t.Fatal(err)
			}
			want := expected(g.want, strings.TrimPrefix(base, "http://"))
			if diff := cmp.Diff(want, <-requests); diff != "" {
				t.Errorf("the request differs (-want +got):\n%s", diff)
			}
		})
	}
}

// expected fills in the host and the length, and ends lines as HTTP does.
func expected(s, host string) string {
	s = strings.ReplaceAll(s, `\n{`, "\n{")
	head, body, _ := strings.Cut(s, "\n\n")
	lines := strings.Split(head, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Content-Length: ") {
			lines[i] = "Content-Length: " + strconv.Itoa(len(body))
		}
	}
	return strings.Replace(strings.Join(lines, "\r\n"), "HOST", host, 1) + "\r\n\r\n" + body
}
