package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	mostMore = 32 << 20         // bytes that a crowd may cost
	leftOver = 10 << 20         // bytes that may stay
	mostWait = 10 * time.Second // for the client that behaves, on a machine that has other work
	tokens   = 512              // that the callers ask for
)

// TestCrowds lets in by turns what a server beyond a careful gateway has to
// stand. All the while a client that behaves must be answered; the memory must
// stay within bounds; and when it is over, all is as before.
func TestCrowds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	c := newCrowd(t)
	c.warm(t)
	c.settle(t)
	base, before := c.status(t, "VmRSS"), c.figures(t)

	for _, crowd := range []struct {
		name string
		come func(*testing.T)
	}{
		{"8 bodies of 64 MiB", c.bodies}, {"2,000 half-open connections", c.halfOpen},
		{"10,000 initialize", c.initializes}, {"5,000 calls at once", c.calls},
	} {
		c.clear(t)
		stop := c.behave(t)
		crowd.come(t)
		answered, worst := stop()
		peak := c.status(t, "VmHWM")
		t.Logf("%s: +%.1f MiB; %d calls of the client that behaves, the slowest %v", crowd.name, float64(peak-base)/(1<<20), answered, worst.Round(time.Millisecond))
		if peak > base+mostMore {
			t.Errorf("%s: %d MiB more than the %d before", crowd.name, (peak-base)>>20, base>>20)
		}
		if answered == 0 || worst > mostWait {
			t.Errorf("%s: %d calls of the client that behaves, the slowest took %v", crowd.name, answered, worst)
		}
	}
	c.settle(t)
	// What a heap keeps of a crowd is holes and the goroutines' own books.
	eventually(t, "memory is back", func() bool { return c.status(t, "VmRSS") < base+leftOver })
	eventually(t, "nothing is left", func() bool {
		after := c.figures(t)
		return after["go_goroutines"] <= before["go_goroutines"]+5 && after["bankauth_connections"] <= before["bankauth_connections"]+1 &&
			after["bankauth_calls_in_flight"] == 0 && after["process_open_fds"] <= before["process_open_fds"]+8
	})
}

// crowd is a server and those who come to it.
type crowd struct {
	server *program
	addr   string
	client *http.Client
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	// The simulator keeps books of every request; here it would be the crowd.
	bank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"0123456789abcdef0123456789abcdef","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(bank.Close)
	env := []string{"FINTECTURE_CLIENT_ID=id", "FINTECTURE_CLIENT_SECRET=secret", "FINTECTURE_BASE_URL=" + bank.URL, "BANKAUTH_DATA_DIR=" + filepath.Join(t.TempDir(), "vault")}
	c := &crowd{server: start(t, env, "serve", "--listen", "127.0.0.1:0")}
	line := c.server.hear(t)
	_, rest, _ := strings.Cut(line, "http://")
	c.addr, _, _ = strings.Cut(rest, "/")
	c.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	t.Cleanup(c.client.CloseIdleConnections)
	return c
}

func createToken(n int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"fintecture","grant_type":"client_credentials","scope":"caller-%d","force":true}}}`, n%tokens)
}

// post returns the answer's status and body.
func (c *crowd) post(ctx context.Context, client *http.Client, body io.Reader) (int, string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/mcp", body)
	if err != nil {
		return 0, "", err
	}
	q.Header.Set("Content-Type", "application/json")
	a, err := client.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, string(b), err
}

func (c *crowd) call(t *testing.T, client *http.Client, n int) {
	t.Helper()
	status, body, err := c.post(t.Context(), client, strings.NewReader(createToken(n)))
	if err != nil || status != http.StatusOK || !strings.Contains(body, `"token_ref":"tok_`) {
		t.Errorf("a call: %d %.300s %v", status, body, err)
	}
}

// warm serves a usual load first: 64 clients, 5,000 calls.
func (c *crowd) warm(t *testing.T) {
	var left atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for n := left.Add(1); n <= 5000; n = left.Add(1) {
				c.call(t, c.client, int(n))
			}
		})
	}
	all.Wait()
}

// behave has one client list and call, each time on a new connection, until
// the returned function is called.
func (c *crowd) behave(t *testing.T) (stop func() (answered int, worst time.Duration)) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var answered int
	var worst time.Duration
	go func() {
		defer close(done)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
		for ctx.Err() == nil {
			began := time.Now()
			status, body, _, err := c.again(t.Context(), client, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if err != nil || status != http.StatusOK || !strings.Contains(body, "create_user") {
				t.Errorf("the client that behaves: %d %.200s %v", status, body, err)
				return
			}
			answered++
			worst = max(worst, time.Since(began))
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return func() (int, time.Duration) { cancel(); <-done; return answered, worst }
}

// again posts as a client does whose new connection is closed before it has
// said a word: on another. The server lets go of connections that are silent
// for three quarters of a second where others wait, and on a busy machine
// 5,000 clients are slow to speak.
func (c *crowd) again(ctx context.Context, client *http.Client, message string) (status int, body string, tries int, err error) {
	for tries = 1; ; tries++ {
		status, body, err = c.post(ctx, client, strings.NewReader(message))
		if err == nil || tries == 5 || !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "server closed idle connection") {
			return status, body, tries, err
		}
	}
}

// bodies: each of eight clients sends 64 MiB, and says so or does not.
func (c *crowd) bodies(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			body := io.LimitReader(neverending{}, 64<<20)
			var r io.Reader = body
			if i%2 == 0 {
				r = struct{ io.Reader }{body} // without a length: chunked
			}
			status, _, err := c.post(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, r)
			// The server may have closed before all was sent.
			if err == nil && status != http.StatusRequestEntityTooLarge {
				t.Errorf("64 MiB: %d", status)
			}
		})
	}
	all.Wait()
	for range 8 {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", c.addr, 64<<20)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, " 413 ") {
			t.Errorf("64 MiB announced: %q %v", line, err)
		}
		_ = conn.Close()
	}
}

type neverending struct{}

func (neverending) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// halfOpen: two thousand clients begin a request and say no more.
func (c *crowd) halfOpen(t *testing.T) {
	began := time.Now()
	var open []net.Conn
	for range 2000 {
		conn, err := net.DialTimeout("tcp", c.addr, 10*time.Second)
		if err != nil {
			t.Errorf("dialling: %v", err)
			break
		}
		_, _ = io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: "+c.addr+"\r\nContent-")
		open = append(open, conn)
	}
	for _, conn := range open {
		_ = conn.SetReadDeadline(began.Add(12 * time.Second))
		if _, err := conn.Read(make([]byte, 512)); err != nil && os.IsTimeout(err) {
			t.Error("a half-open connection is still there")
			break
		}
		_ = conn.Close()
	}
	t.Logf("all closed after %v", time.Since(began).Round(time.Millisecond))
}

// initializes: ten thousand clients shake hands and are not seen again.
func (c *crowd) initializes(t *testing.T) {
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	var left atomic.Int64
	left.Store(10_000)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				status, body, err := c.post(t.Context(), c.client, strings.NewReader(hello))
				if err != nil || status != http.StatusOK || !strings.Contains(body, "serverInfo") {
					t.Errorf("initialize: %d %.200s %v", status, body, err)
					return
				}
			}
		})
	}
	all.Wait()
	c.client.CloseIdleConnections()
}

// calls: five thousand callers at once, each on a connection of its own, of a
// bank that takes its time. Each is served or told to come again.
func (c *crowd) calls(t *testing.T) {
	const callers = 5000
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 60 * time.Second}
	var served, busy, failed, letGo atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for i := range callers {
		all.Go(func() {
			status, body, tries, err := c.again(t.Context(), client, createToken(i))
			letGo.Add(int64(tries - 1))
			switch {
			case err == nil && status == http.StatusOK && strings.Contains(body, `"token_ref":"tok_`):
				served.Add(1)
			case err == nil && strings.Contains(body, `busy`) && strings.Contains(body, `retryable`):
				busy.Add(1)
			default:
				if failed.Add(1) == 1 {
					t.Logf("a call: %d %.300s %v", status, body, err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d served, %d busy, %d failed in %v; %d connections let go", served.Load(), busy.Load(), failed.Load(), time.Since(began).Round(time.Millisecond), letGo.Load())
	// How many are told to come again depends on how quickly they all arrive.
	if served.Load() < callers/4 || failed.Load() > callers/1000 {
		t.Errorf("%d were served and %d failed", served.Load(), failed.Load())
	}
}

// settle waits until the server has given memory back.
func (c *crowd) settle(t *testing.T) {
	t.Helper()
	c.client.CloseIdleConnections()
	time.Sleep(7 * quietFor)
}

// status returns a figure of /proc/PID/status in bytes.
func (c *crowd) status(t *testing.T, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.server.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == name+":" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// clear has the system forget the peak.
func (c *crowd) clear(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", c.server.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Logf("the peaks add up: %v", err)
	}
}

// figures returns the metrics that have no labels.
func (c *crowd) figures(t *testing.T) map[string]float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Get("http://" + c.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(a.Body); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 2 && !slices.Contains([]byte(f[0]), '{') {
			all[f[0]], _ = strconv.ParseFloat(f[1], 64)
		}
	}
	return all
}
