package providers

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/schema"
)

// refresh calls base once with a short deadline and returns the fault.
func refresh(t *testing.T, c *Client, limit time.Duration) (Answer, *fault.Fault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begun := time.Now()
	a, err := c.Token(ctx, callOf(t, c.Provider(), schema.RefreshToken, schema.GrantRefreshToken))
	if took := time.Since(begun); took > limit+2*time.Second {
		t.Errorf("took %s, longer than its deadline", took)
	}
	var f *fault.Fault
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("not a fault: %v", err)
	}
	return a, f
}

const patience = 400 * time.Millisecond

// TestMisbehaving has a provider take the whole request and then do wrong.
func TestMisbehaving(t *testing.T) {
	write := func(s string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, s) } }
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	cut := okToken[:len(okToken)-14] // behind the refresh token
	tests := []struct {
		name    string
		do      func(net.Conn)
		code    fault.Code
		refresh string
	}{
		{"no answer", stall, fault.Uncertain, ""},
		{"closed without an answer", func(net.Conn) {}, fault.Uncertain, ""},
		{"reset without an answer", reset, fault.Uncertain, ""},
		{"status line only", func(c net.Conn) { write("HTTP/1.1 200 OK\r\n")(c); stall(c) }, fault.Uncertain, ""},
		{"slow headers", func(c net.Conn) { drip(c, head+"\r\n") }, fault.Uncertain, ""},
		{"slow body", func(c net.Conn) { write(head + "Content-Length: 500\r\n\r\n")(c); drip(c, okToken) }, fault.Uncertain, ""},
		{"body stalls behind the refresh token", func(c net.Conn) { write(head + "Content-Length: 500\r\n\r\n" + cut)(c); stall(c) }, fault.Uncertain, "rt-1"},
		{"reset mid-body", func(c net.Conn) { write(head + "Content-Length: 500\r\n\r\n" + okToken[:20])(c); reset(c) }, fault.Uncertain, ""},
		{"closed mid-body", write(head + "Content-Length: 500\r\n\r\n" + cut), fault.Uncertain, "rt-1"},
		{"length too long", write(head + "Content-Length: 500\r\n\r\n" + okToken), fault.Uncertain, "rt-1"},
		{"length too short", write(head + "Connection: close\r\nContent-Length: 20\r\n\r\n" + okToken), fault.Uncertain, ""},
		{"length twice", write(head + "Content-Length: 20\r\nContent-Length: 21\r\n\r\n" + okToken), fault.Uncertain, ""},
		{"length no number", write(head + "Content-Length: x\r\n\r\n" + okToken), fault.Uncertain, ""},
		{"junk in the chunks", write(head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\nzz\r\n"), fault.Uncertain, ""},
		{"chunks without an end", write(head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n"), fault.Uncertain, ""},
		{"too large", write(head + "\r\n" + `{"access_token":"a","refresh_token":"rt-1","x":"` + strings.Repeat("x", maxBody) + `"}`), fault.Uncertain, "rt-1"},
		{"endless", func(c net.Conn) { endless(c, head+"\r\n") }, fault.Uncertain, ""},
		{"endless headers", func(c net.Conn) { endless(c, "HTTP/1.1 200 OK\r\nX: ") }, fault.Uncertain, ""},
		{"not HTTP", write("SSH-2.0-x\r\n\r\n"), fault.Uncertain, ""},
		{"100 and no more", func(c net.Conn) { write("HTTP/1.1 100 Continue\r\n\r\n")(c); stall(c) }, fault.Uncertain, ""},
		{"100 and the answer", write("HTTP/1.1 100 Continue\r\n\r\n" + ok200(okToken)), "", "rt-1"},
		{"gzip", write(head + "Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + okToken), fault.Uncertain, ""},
		{"deflate", write(head + "Content-Encoding: deflate\r\nConnection: close\r\n\r\n" + okToken), fault.Uncertain, ""},
		{"br", write(head + "Content-Encoding: br\r\nConnection: close\r\n\r\n" + okToken), fault.Uncertain, ""},
		{"gzip of a refusal", write("HTTP/1.1 401 X\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nxx"), fault.CredentialsRejected, ""},
		{"identity", write(head + "Content-Encoding: identity\r\nConnection: close\r\n\r\n" + okToken), "", "rt-1"},
		{"cut refusal", write("HTTP/1.1 401 X\r\nContent-Length: 99\r\n\r\n{"), fault.CredentialsRejected, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s *server
			ready := make(chan struct{})
			s = serve(t, nil, func(c net.Conn) {
				<-ready
				if readRaw(c) != "" {
					s.posts.Add(1)
				}
				tt.do(c)
			})
			close(ready)
			a, f := refresh(t, client(t, finapi(), "http://"+s.addr), patience)
			code := fault.Code("")
			if f != nil {
				code = f.Code
			}
			if code != tt.code || a.Token.Refresh.Reveal() != tt.refresh {
				t.Errorf("code %q and refresh token %q, want %q and %q", code, a.Token.Refresh.Reveal(), tt.code, tt.refresh)
			}
			time.Sleep(20 * time.Millisecond) // a second request would be on its way by now
			if n := s.posts.Load(); n != 1 {
				t.Errorf("the provider got %d requests, want 1", n)
			}
		})
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func drip(c net.Conn, s string) {
	for i := range len(s) {
		if _, err := io.WriteString(c, s[i:i+1]); err != nil {
			return
		}
		time.Sleep(30 * time.Millisecond)
	}
}

func endless(c net.Conn, head string) {
	_, _ = io.WriteString(c, head)
	chunk := strings.Repeat("x", 4096)
	for {
		if _, err := io.WriteString(c, chunk); err != nil {
			return
		}
	}
}

// TestRedirect counts what arrives where a redirect points to.
func TestRedirect(t *testing.T) {
	elsewhere := replying(t, ok200(okToken))
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		_, f := ask(t, finapi(), schema.RefreshToken, schema.GrantRefreshToken,
			answered(status, "Location: http://"+elsewhere.addr+"/\r\nSet-Cookie: a=b\r\n", ""))
		if f == nil || f.Code != fault.Unavailable || !strings.Contains(f.Hint, "FINAPI_BASE_URL") {
			t.Errorf("%d: %+v", status, f)
		}
	}
	if n := elsewhere.conns.Load(); n != 0 {
		t.Errorf("%d connections went where the redirect pointed", n)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	for name, base := range map[string]string{"refused": "http://" + refused, "no such name": "https://provider.invalid"} {
		t.Run(name, func(t *testing.T) {
			c := client(t, finapi(), base)
			_, f := refresh(t, c, 3*time.Second)
			if f == nil || f.Code != fault.Unavailable {
				t.Errorf("got %+v", f)
			}
			if err := c.Reachable(context.Background()); fault.From(err) == nil || fault.From(err).Code != fault.Unavailable {
				t.Errorf("Reachable: %v", err)
			}
		})
	}
}

// TestDescriptors makes sure that no connection is left behind.
func TestDescriptors(t *testing.T) {
	count := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc to count descriptors in: " + err.Error())
		}
		return len(all)
	}
	s := serve(t, nil, func(c net.Conn) { readRaw(c); _, _ = io.WriteString(c, answered(500, "", "x")); stall(c) })
	tr := NewTransport()
	c, err := New(finapi(), Options{BaseURL: "http://" + s.addr, ClientID: secret.New("a"), ClientSecret: secret.New("b"), Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	before := count()
	for range 100 {
		if _, f := refresh(t, c, time.Second); f == nil || f.Code != fault.Uncertain {
			t.Fatalf("got %+v", f)
		}
	}
	tr.CloseIdleConnections()
	time.Sleep(50 * time.Millisecond)
	if after := count(); after > before+2 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
