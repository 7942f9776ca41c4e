package providers

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/schema"
)

// TestClosedKeptConnection has the provider close a connection that we keep.
// Whether it is noticed before or while the next request is written, no
// request may arrive twice, and one that was not sent must not be lost.
func TestClosedKeptConnection(t *testing.T) {
	var s *server
	ready := make(chan struct{})
	kept := okToken
	s = serve(t, nil, func(c net.Conn) {
		<-ready
		if readRaw(c) == "" {
			return
		}
		s.posts.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(kept))+"\r\n\r\n"+kept)
		// and close, although keep-alive was promised
	})
	close(ready)
	c := client(t, finapi(), "http://"+s.addr)
	good := int64(0)
	for range 300 {
		a, f := refresh(t, c, time.Second)
		switch {
		case f == nil && a.Token.Access.Reveal() == "at-1":
			good++
		case f == nil || f.Code != fault.Uncertain:
			t.Fatalf("got %+v", f)
		}
	}
	if n := s.posts.Load(); n != good {
		t.Errorf("%d requests arrived, %d were answered", n, good)
	}
	if good < 150 {
		t.Errorf("only %d of 300 calls were answered", good)
	}
}

// TestSentOnKeptConnection has the provider take a request on a kept
// connection and close without an answer: it may have carried it out, so it is
// not sent again. This is what net/http does to a POST that it thinks
// repeatable.
func TestSentOnKeptConnection(t *testing.T) {
	for name, end := range map[string]func(net.Conn){"closed": func(net.Conn) {}, "reset": reset} {
		t.Run(name, func(t *testing.T) {
			var s *server
			ready := make(chan struct{})
			s = serve(t, nil, func(c net.Conn) {
				<-ready
				for n := 1; readRaw(c) != ""; n++ {
					s.posts.Add(1)
					if n == 2 {
						end(c)
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(okToken))+"\r\n\r\n"+okToken)
				}
			})
			close(ready)
			c := client(t, finapi(), "http://"+s.addr)
			for call := int64(1); call <= 20; call++ {
				_, f := refresh(t, c, time.Second)
				if call%2 == 1 && f != nil || call%2 == 0 && (f == nil || f.Code != fault.Uncertain) {
					t.Fatalf("call %d: %+v", call, f)
				}
				if n := s.posts.Load(); n != call {
					t.Fatalf("%d requests arrived for %d calls", n, call)
				}
			}
		})
	}
}

// closing is a connection whose writes fail once it is told to.
type closing struct {
	net.Conn
	broken *atomic.Bool
}

func (c closing) Write(b []byte) (int, error) {
	if c.broken.Load() {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// TestNotSentIsSentOnce breaks the kept connection in the moment of writing:
// nothing left, so the request goes out on a new connection, once.
func TestNotSentIsSentOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		posts int64 // after the second call
		alive bool  // a new connection works
	}{{"a new connection works", 2, true}, {"none works", 1, false}} {
		t.Run(tt.name, func(t *testing.T) {
			var posts, dials atomic.Int64
			var broken atomic.Bool
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				posts.Add(1)
				_, _ = io.WriteString(w, okToken)
			}))
			defer s.Close()
			tr := NewTransport()
			defer tr.CloseIdleConnections()
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				inner, err := dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				if broken.Load() && tt.alive {
					return &conn{Conn: inner}, nil
				}
				return &conn{Conn: closing{inner, &broken}}, nil
			}
			c, err := New(finapi(), Options{BaseURL: s.URL, ClientID: secret.New("a"), ClientSecret: secret.New("b"), Transport: tr})
			if err != nil {
				t.Fatal(err)
			}
			if _, f := refresh(t, c, time.Second); f != nil {
				t.Fatal(f)
			}
			broken.Store(true)
			_, f := refresh(t, c, time.Second)
			if tt.alive != (f == nil) || f != nil && f.Code != fault.Unavailable {
				t.Errorf("got %+v", f)
			}
			if posts.Load() != tt.posts || dials.Load() != 2 {
				t.Errorf("%d requests and %d connections, want %d and 2", posts.Load(), dials.Load(), tt.posts)
			}
		})
	}
}

// halting writes nothing until it is told to.
type halting struct {
	net.Conn
	entered, leave chan struct{}
}

func (c halting) Write([]byte) (int, error) {
	close(c.entered)
	<-c.leave
	return 0, net.ErrClosed
}

// TestWriteUnderWayIsSent: whoever gives a request up while it is being
// written must not take it for one that never left.
func TestWriteUnderWayIsSent(t *testing.T) {
	inner := halting{entered: make(chan struct{}), leave: make(chan struct{})}
	c, done := &conn{Conn: inner}, make(chan struct{})
	go func() { _, _ = c.Write([]byte("grant")); close(done) }()
	<-inner.entered
	if c.written.Load() == 0 {
		t.Error("a write that is under way counts as nothing sent")
	}
	close(inner.leave)
	<-done
	if n := c.written.Load(); n != 0 {
		t.Errorf("%d bytes counted of a write that wrote none", n)
	}
}

// TestManyCallers makes sure that callers share connections, and that under
// load no answer reaches another caller.
func TestManyCallers(t *testing.T) {
	s := serveOK(t)
	tr := NewTransport()
	c, err := New(finapi(), Options{BaseURL: s.URL, ClientID: secret.New("a"), ClientSecret: secret.New("b"), Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.CloseIdleConnections()
	run := func(callers, calls int) {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					call := callOf(t, c.Provider(), schema.RefreshToken, schema.GrantRefreshToken)
					if _, err := c.Token(context.Background(), call); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	run(100, 2)
	// On a busy machine the callers that warmed up may never have been at work
	// all at once; the next ones then dial what was missing, once.
	least := int64(1000)
	for range 5 {
		before := int64(s.dials.Load())
		run(100, 10)
		least = min(least, int64(s.dials.Load())-before)
	}
	if least > 5 {
		t.Errorf("%d new connections for 1,000 calls", least)
	}
}

type okServer struct {
	*httptest.Server
	dials atomic.Int64
}

func serveOK(t testing.TB) *okServer {
	s := &okServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, okToken)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.dials.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func BenchmarkToken(b *testing.B) {
	s := serveOK(b)
	tr := NewTransport()
	defer tr.CloseIdleConnections()
	c, err := New(finapi(), Options{BaseURL: s.URL, ClientID: secret.New("a"), ClientSecret: secret.New("b"), Transport: tr})
	if err != nil {
		b.Fatal(err)
	}
	op, g, _ := c.Provider().Operation(schema.CreateAccessToken, schema.GrantClientCredentials)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Token(context.Background(), Call{Operation: op, Grant: g, CorrelationID: "x"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPost is the floor: the same exchange with net/http alone.
func BenchmarkPost(b *testing.B) {
	s := serveOK(b)
	tr := NewTransport()
	defer tr.CloseIdleConnections()
	plain := &http.Client{Transport: tr}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := plain.PostForm(s.URL, map[string][]string{"grant_type": {"client_credentials"}, "client_id": {"a"}, "client_secret": {"b"}})
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
}

// BenchmarkWork is what we add: composing a message and reading an answer.
func BenchmarkWork(b *testing.B) {
	c, err := New(finapi(), Options{ClientID: secret.New("a"), ClientSecret: secret.New("b")})
	if err != nil {
		b.Fatal(err)
	}
	op, g, _ := c.Provider().Operation(schema.CreateAccessToken, schema.GrantClientCredentials)
	call := Call{Operation: op, Grant: g, CorrelationID: "x"}
	b.ReportAllocs()
	for b.Loop() {
		m, err := c.compose(&call, false)
		if err != nil {
			b.Fatal(err)
		}
		r := reply{status: 200, body: []byte(okToken)}
		if _, err := c.answer(&call, m.plan, &r, start, c.readToken); err != nil {
			b.Fatal(err)
		}
	}
}
