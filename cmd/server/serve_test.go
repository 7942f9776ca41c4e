package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// post sends one message to a server's /mcp.
func post(ctx context.Context, client *http.Client, url, body string, header ...string) (int, string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	q.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	a, err := client.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, string(b), err
}

// where returns the address that a server says, without a path.
func where(t *testing.T, p *program) string {
	t.Helper()
	url, ok := strings.CutPrefix(p.hear(t), "bankauth serves MCP at ")
	if !ok {
		t.Fatal("the server does not say where it is")
	}
	return strings.TrimSuffix(url, "/mcp")
}

// terminate tells a server to end, and returns what it still had to say.
func terminate(t *testing.T, p *program) string {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

// A server that is told to end answers the call that is under way, and what it
// answered is in the vault.
func TestServeDrains(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of Unix, which this system has not")
	}
	bank, env := simulation(t)
	bank.SetDelay(0, 300*time.Millisecond)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer := make(chan string, 1)
	go func() {
		_, body, _ := post(t.Context(), client, url, callFlinks)
		answer <- body
	}()
	eventually(t, "the call reaches the provider", func() bool { return bank.Truth().Requests > 0 })
	if rest := terminate(t, s); rest != "" {
		t.Errorf("more on stdout: %q", rest)
	}
	if got := <-answer; !strings.Contains(got, `"token_ref":"tok_`) {
		t.Errorf("got %q, want the answer of the call", got)
	}
	if listed := shell(t, env, "tokens", "list", "--json"); !strings.Contains(listed, `"state": "live"`) {
		t.Errorf("the vault holds %s", listed)
	}
}

// The first client closes a server that runs; scopes hold for each tool, on
// every way in.
func TestServeClients(t *testing.T) {
	_, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if status, body, err := post(t.Context(), client, url, callFlinks); status != http.StatusOK {
		t.Fatalf("an open server: %d %s %v", status, body, err)
	}
	token := strings.TrimSpace(shell(t, env, "clients", "add", "reader", "--scope", "tokens:use"))
	maker := strings.TrimSpace(shell(t, env, "clients", "add", "maker"))
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"nobody": {nil, 401}, "reader": {[]string{"Authorization: Bearer " + token}, 403}, "maker": {[]string{"Authorization: Bearer " + maker}, 200},
	} {
		if status, body, err := post(t.Context(), client, url, callFlinks, c.header...); status != c.status || err != nil {
			t.Errorf("%s: %d %s %v", name, status, body, err)
		}
	}
	terminate(t, s)
}

// A call beyond its caller's scopes is refused before MCP sees it, and the
// challenge names what is lacking; how its message is written changes nothing.
func TestServeScopes(t *testing.T) {
	_, env := simulation(t)
	token := strings.TrimSpace(shell(t, env, "clients", "add", "ci", "--scope", "tokens:create"))
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	for message, want := range map[string]int{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`:                                                                                 200,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"no_such_tool"}}`:                                                200,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_access_token","arguments":{}}}`:                          200,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_user"}}`:                                                 403,
		`{"params":{"arguments":{"name":"create_access_token"},"name":"create\u005fuser"},"method":"tools/call","id":1,"jsonrpc":"2.0"}`: 403,
		`{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","Params":{"NAME":"create_user"}}`:                                                 400,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_access_token","name":"create_user"}}`:                    400,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_user"}} {}`:                                              400,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"bankauth://tokens"}}`:                                        403,
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp", strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Authorization", "Bearer "+token)
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(a.Body)
		_ = a.Body.Close()
		challenge := a.Header.Get("WWW-Authenticate")
		lacks := strings.Contains(challenge, `error="insufficient_scope"`) && strings.Contains(challenge, "tokens:create") &&
			(strings.Contains(challenge, "users:create") || strings.Contains(challenge, "tokens:use"))
		if a.StatusCode != want || lacks != (want == 403) {
			t.Errorf("%s: %s %s %s", message, a.Status, challenge, body)
		}
	}
	terminate(t, s)
}

// SIGHUP asks the issuer for its keys and reads the file of clients; an issuer
// that is not there ends nothing.
func TestServeRereads(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of Unix, which this system has not")
	}
	var asked atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer issuer.Close()
	_, env := simulation(t)
	token := strings.TrimSpace(shell(t, env, "clients", "add", "ci"))
	s := start(t, append(env, "BANKAUTH_ISSUER="+issuer.URL), "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	if asked.Load() != 0 {
		t.Error("the issuer was asked before anybody came")
	}
	for n := range int64(2) {
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the issuer is asked", func() bool { return asked.Load() > n })
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if status, body, err := post(t.Context(), client, url, callFlinks, "Authorization: Bearer "+token); status != http.StatusOK {
		t.Errorf("%d %s %v", status, body, err)
	}
	terminate(t, s)
}

// Readiness names what is missing: the key, the store, or room for a file. What
// an operator mends is seen without a new start.
func TestServeReady(t *testing.T) {
	t.Parallel() // what it says is good for some seconds
	ready := func(t *testing.T, url string) string {
		t.Helper()
		a, err := http.Get(url + "/health/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, _ := io.ReadAll(a.Body)
		return a.Status[:3] + " " + strings.TrimSpace(string(b))
	}
	const well = `200 {"status":"ok","checks":{"disk":true,"key":true,"store":true}}`
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string) (mend func())
		env   string
		said  string
	}{
		"key": {func(*testing.T, string) func() { return nil }, "BANKAUTH_VAULT_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), `503 {"status":"unavailable","checks":{"disk":true,"key":false,"store":false}}`},
		"store": {func(t *testing.T, dir string) func() {
			for _, name := range []string{"vault.db-wal", "vault.db-shm"} {
				_ = os.Remove(filepath.Join(dir, name))
			}
			whole, err := os.ReadFile(dir + "/vault.db")
			if err == nil {
				err = os.WriteFile(dir+"/vault.db", []byte("not a store"), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = os.WriteFile(dir+"/vault.db", whole, 0o600) }
		}, "", `503 {"status":"unavailable","checks":{"disk":true,"key":true,"store":false}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, env := simulation(t)
			shell(t, env, "call", "create_access_token", "provider=flinks", "grant_type=client_credentials")
			dir, _ := strings.CutPrefix(env[len(env)-1], "BANKAUTH_DATA_DIR=")
			mend := c.spoil(t, dir)
			if c.env != "" {
				env = append(env, c.env)
			}
			s := start(t, env, "serve", "--listen", "127.0.0.1:0")
			url := where(t, s)
			if got := ready(t, url); got != c.said {
				t.Errorf("got %s, want %s", got, c.said)
			}
			if mend != nil {
				mend()
				eventually(t, "it is ready", func() bool { return ready(t, url) == well })
			}
			terminate(t, s)
		})
	}
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		_, env := simulation(t)
		dir, _ := strings.CutPrefix(env[len(env)-1], "BANKAUTH_DATA_DIR=")
		s := start(t, env, "serve", "--listen", "127.0.0.1:0")
		url := where(t, s)
		if got := ready(t, url); got != well {
			t.Errorf("got %s, want %s", got, well)
		}
		if err := os.Rename(dir, dir+".gone"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is not ready", func() bool {
			return ready(t, url) == `503 {"status":"unavailable","checks":{"disk":false,"key":true,"store":true}}`
		})
		if err := os.Rename(dir+".gone", dir); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is ready again", func() bool { return ready(t, url) == well })
		terminate(t, s)
	})
}

// certify writes a certificate for 127.0.0.1 and its key.
func certify(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// HTTPS, in HTTP/1.1 and 2; SIGHUP reads the certificate again, and one that
// cannot be read changes nothing.
func TestServeTLS(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of Unix, which this system has not")
	}
	dir := t.TempDir()
	certify(t, dir, "first")
	_, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0", "--tls-cert", dir+"/cert.pem", "--tls-key", dir+"/key.pem")
	url := where(t, s)
	// named returns whose certificate the server shows now.
	named := func(http2 bool) string {
		pool := x509.NewCertPool()
		b, _ := os.ReadFile(dir + "/trusted.pem")
		pool.AppendCertsFromPEM(b)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2, DisableKeepAlives: true}
		client := &http.Client{Transport: transport}
		q, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp", strings.NewReader(callFlinks))
		q.Header.Set("Content-Type", "application/json")
		a, err := client.Do(q)
		if err != nil {
			return err.Error()
		}
		defer a.Body.Close()
		body, _ := io.ReadAll(a.Body)
		if want := map[bool]int{false: 1, true: 2}[http2]; a.ProtoMajor != want || !bytes.Contains(body, []byte(`"token_ref":"tok_`)) {
			return a.Proto + " " + string(body)
		}
		return a.TLS.PeerCertificates[0].Subject.CommonName
	}
	trust := func() {
		b, err := os.ReadFile(dir + "/cert.pem")
		if err == nil {
			err = os.WriteFile(dir+"/trusted.pem", b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	trust()
	for _, http2 := range []bool{false, true} {
		if got := named(http2); got != "first" {
			t.Errorf("HTTP/2 %v: %s", http2, got)
		}
	}
	certify(t, dir, "second")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	trust()
	eventually(t, "the second certificate is shown", func() bool { return named(true) == "second" })
	terminate(t, s)
}
