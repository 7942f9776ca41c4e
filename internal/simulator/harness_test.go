package simulator_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientID     = "client-1"
	clientSecret = "s3cret"
	callback     = "http://127.0.0.1:1/callback"
)

// clock is a time that the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// caller speaks to one bank as any HTTP client would.
type caller struct {
	*testing.T
	bank  *simulator.Bank
	clock *clock
	http  *http.Client
}

func start(t *testing.T, name string, s simulator.Switches) *caller {
	t.Helper()
	return startWith(t, name, simulator.Options{Switches: s})
}

func startWith(t *testing.T, name string, o simulator.Options) *caller {
	t.Helper()
	c := newClock()
	o.Now, o.Rand = c.now, rand.NewChaCha8([32]byte{1})
	o.Clients = known(name)
	s, err := simulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &caller{T: t, bank: s.Bank(name), clock: c, http: client(t)}
}

// known are credentials that the tests can spell.
func known(bank string) map[string]simulator.Credentials {
	return map[string]simulator.Credentials{bank: {ID: clientID, Secret: secret.New(clientSecret)}}
}

// client follows no redirect.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (r reply) text(name string) string { s, _ := r.json[name].(string); return s }

// send sends "METHOD /path", with headers in pairs.
func (c *caller) send(what, body string, headers ...string) reply {
	c.Helper()
	r, err := c.try(what, body, headers...)
	if err != nil {
		c.Fatalf("%s: %v", what, err)
	}
	return r
}

func (c *caller) try(what, body string, headers ...string) (reply, error) {
	method, path, _ := strings.Cut(what, " ")
	req, err := http.NewRequestWithContext(c.Context(), method, c.bank.URL()+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	r := reply{status: res.StatusCode, header: res.Header, body: string(b)}
	_ = json.Unmarshal(b, &r.json)
	return r, err
}

func (c *caller) want(r reply, status int, parts ...string) reply {
	c.Helper()
	if r.status != status {
		c.Errorf("status %d, want %d: %s", r.status, status, r.body)
	}
	for _, part := range parts {
		if !strings.Contains(r.body, part) {
			c.Errorf("the body lacks %s: %s", part, r.body)
		}
	}
	return r
}

func (c *caller) code() string {
	c.Helper()
	return c.codeFor("")
}

func (c *caller) codeFor(user string) string {
	c.Helper()
	code, err := c.bank.CodeFor(c.Context(), user, callback, "")
	if err != nil {
		c.Fatal(err)
	}
	return code
}

func basic(id, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+password))
}

const (
	asForm = "application/x-www-form-urlencoded"
	asJSON = "application/json"
)
