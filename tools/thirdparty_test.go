package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// norrbank is a bank that is unlike the three: other names for everything,
// credentials in headers, JSON both ways, an end of life that is a time, and
// a customer who is logged in as soon as there is one. It answers over real
// HTTP and keeps what reached it, byte for byte.
type norrbank struct {
	url  string
	mu   sync.Mutex
	raw  []*bytes.Buffer // one connection each, in order
	made int             // answers that gave a token
	fail string          // problem id to answer with; "STATUS id"
	live time.Duration   // of the tokens
}

// recording keeps what each connection carried; each carries one request.
type recording struct {
	net.Listener
	bank *norrbank
}

type recorded struct {
	net.Conn
	read *bytes.Buffer
	mu   *sync.Mutex
}

func (l recording) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.bank.mu.Lock()
	defer l.bank.mu.Unlock()
	b := &bytes.Buffer{}
	l.bank.raw = append(l.bank.raw, b)
	return &recorded{c, b, &l.bank.mu}, nil
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.Write(p[:n])
	return n, err
}

func openNorrbank(t *testing.T) *norrbank {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &norrbank{url: "http://" + l.Addr().String() + "/open/v3", live: time.Hour}
	s := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	s.SetKeepAlivesEnabled(false)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(recording{l, b}) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return b
}

func (b *norrbank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if status, id, _ := strings.Cut(b.fail, " "); id != "" {
		w.Header().Set("Content-Type", "application/problem+json")
		var code int
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"problem":{"id":%q,"text":"what only Norrbank says"}}`, id)
		return
	}
	b.made++
	answer := map[string]any{
		"data":        map[string]any{"access": fmt.Sprintf("access-%d", b.made), "renewal": fmt.Sprintf("renewal-%d", b.made)},
		"valid_until": time.Now().Add(b.live).UTC().Format(time.RFC3339),
	}
	if r.URL.Path == "/open/v3/customers" {
		answer["customer"], answer["branch"] = map[string]any{"no": fmt.Sprintf("K-%d", b.made)}, "Umeå"
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(answer)
}

var (
	port = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	call = regexp.MustCompile(`(?m)^X-Norr-Call: [0-9a-f]{16}\r$`)
)

// requests returns what reached the bank since the last call.
func (b *norrbank) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, raw := range b.raw {
		text := port.ReplaceAllString(raw.String(), "HOST")
		all = append(all, strings.ReplaceAll(call.ReplaceAllString(text, "X-Norr-Call: ID\r"), "\r\n", "\n"))
	}
	b.raw = nil
	return all
}

func (b *norrbank) failing(how string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = how
}

// withNorrbank reads the two files and opens the tools over all four banks.
func withNorrbank(t *testing.T, options ...option) (*house, *norrbank) {
	t.Helper()
	found, err := schema.Dir("testdata/thirdparty")
	if err != nil || len(found) != 1 {
		t.Fatalf("%d providers, %v", len(found), err)
	}
	bank := openNorrbank(t)
	transport := providers.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	client, err := providers.New(found[0], providers.Options{BaseURL: bank.url, ClientID: secret.New("app-1"), ClientSecret: secret.New("k3y"), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, append(options, with(tools.Bank{Client: client}))...), bank
}

// sent compares what reached the bank with requests written as
// "METHOD path\nheaders…\n\nbody".
func (b *norrbank) sent(t *testing.T, want ...string) {
	t.Helper()
	got := b.requests()
	if strings.Join(got, "\n---\n") != strings.Join(want, "\n---\n") {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n---\n"), strings.Join(want, "\n---\n"))
	}
}

// request writes the one form that all requests have.
func request(line, auth, body string) string {
	return line + " HTTP/1.1\nHost: HOST\nUser-Agent: bankauth\nContent-Length: " + fmt.Sprint(len(body)) + "\n" +
		"Accept: application/json\nAccept-Encoding: identity\n" + bearer(auth) + "Content-Type: application/json\nNorr-Version: 2026-01\n" + headers(auth) + "\n" + body
}

const app = "X-Norr-App: app-1\nX-Norr-Call: ID\nX-Norr-Key: k3y\n"

func bearer(auth string) string {
	if auth == app {
		return ""
	}
	return "Authorization: Bearer " + auth + "\n"
}

func headers(auth string) string {
	if auth == app {
		return app
	}
	return "X-Norr-Call: ID\n"
}

func TestThirdPartyTokens(t *testing.T) {
	h, bank := withNorrbank(t)
	machine := h.ok(schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"client_credentials","scope":"accounts"}`)
	bank.sent(t, request("POST /open/v3/sessions", app, `{"flow":"machine","reach":"accounts"}`))
	if left := machine["expires_in"].(float64); left < 3590 || left > 3600 {
		t.Errorf("an RFC 3339 time became %v seconds", left)
	}
	for name, want := range map[string]any{"provider": "norrbank", "environment": "sandbox", "grant_type": "client_credentials", "token_type": "Bearer", "refreshable": true, "reused": false} {
		if machine[name] != want {
			t.Errorf("%s is %v, want %v", name, machine[name], want)
		}
	}
	if again := h.ok(schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"client_credentials","scope":"accounts"}`); again["reused"] != true {
		t.Errorf("unexpected result %v", again)
	}
	bank.sent(t)

	user := h.ok(schema.CreateAccessToken, `{"provider":" Norrbank","grant_type":"authorization_code","code":"T-000001","device_no":7}`)
	bank.sent(t, request("POST /open/v3/sessions", app, `{"flow":"consent","ticket":"T-000001","device_no":7}`))
	for _, renewal := range []string{"renewal-2", "renewal-3"} { // it rotates
		fresh := h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, user["token_ref"]))
		bank.sent(t, request("POST /open/v3/sessions/renewal", app, `{"renewal_key":"`+renewal+`","keep":true}`))
		if fresh["token_ref"] != user["token_ref"] || fresh["refreshable"] != true {
			t.Errorf("unexpected result %v", fresh)
		}
	}
}

func TestThirdPartyUsers(t *testing.T) {
	h, bank := withNorrbank(t)
	made := h.ok(schema.CreateUser, `{"provider":"norrbank","email":"kund@example.se","terms":"2026","newsletter":true}`)
	bank.sent(t,
		request("POST /open/v3/sessions", app, `{"flow":"machine"}`),
		request("PUT /open/v3/customers", "access-1", `{"mail":"kund@example.se","terms":"2026","newsletter":true}`))
	if made["id"] != "K-2" || made["branch"] != "Umeå" || made["password_stored"] != false || made["token_ref"] == nil {
		t.Errorf("unexpected result %v", made)
	}
	if b, _ := json.Marshal(made); bytes.Contains(b, []byte("access-")) || bytes.Contains(b, []byte("renewal-")) {
		t.Errorf("the result shows a secret: %s", b)
	}
	fresh := h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, made["token_ref"]))
	bank.sent(t, request("POST /open/v3/sessions/renewal", app, `{"renewal_key":"renewal-2","keep":true}`))
	if fresh["token_ref"] != made["token_ref"] {
		t.Errorf("unexpected result %v", fresh)
	}
	other := h.ok(schema.CreateUser, `{"provider":"norrbank","email":"ny@example.se","terms":"2025"}`)
	bank.sent(t, request("PUT /open/v3/customers", "access-1", `{"mail":"ny@example.se","terms":"2025"}`))
	if other["token_ref"] == made["token_ref"] || other["id"] == made["id"] {
		t.Errorf("two users share something: %v %v", made, other)
	}
	// The first user's token is still the first user's.
	h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, made["token_ref"]))
	bank.sent(t, request("POST /open/v3/sessions/renewal", app, `{"renewal_key":"renewal-3","keep":true}`))
}

func TestThirdPartyChecks(t *testing.T) {
	h, bank := withNorrbank(t)
	for _, c := range []struct{ tool, args, message string }{
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code"}`, "this server cannot receive the user's consent"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code","device_no":100}`, "device_no must be at most 99"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code","code":"T-1"}`, "code has characters or a form that are not allowed (pattern ^T-[0-9]{6}$)"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code","code":"T-000001","device_no":100}`, "device_no must be at most 99"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code","code":"T-000001","device_no":"7"}`, "device_no must be an integer"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"client_credentials","device_no":7}`, "not allowed here: device_no"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"client_credentials","flow":"consent"}`, "create_access_token has no argument flow"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"client_credentials","ticket":"T-000001"}`, "create_access_token has no argument ticket"},
		{schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"password","username":"x"}`, "norrbank does not offer grant_type=password"},
		{schema.CreateAccessToken, `{"provider":"finapi","grant_type":"client_credentials","device_no":7}`, "not allowed here: device_no"},
		{schema.CreateUser, `{"provider":"norrbank"}`, "create_user does not fit norrbank; missing: email, terms"},
		{schema.CreateUser, `{"provider":"norrbank","email":"kund","terms":"2024"}`, "email must be a valid email; terms must be one of 2025, 2026"},
	} {
		e := h.fault(c.tool, c.args)
		if !strings.Contains(e["message"].(string), c.message) {
			t.Errorf("%s %s: %v", c.tool, c.args, e)
		}
	}
	bank.sent(t)
}

func TestThirdPartyErrors(t *testing.T) {
	h, bank := withNorrbank(t)
	for _, c := range []struct{ fail, code, message, provider string }{
		{"400 TICKET_SPENT", "reauthorize", "the ticket is spent", "TICKET_SPENT"},
		{"401 WHO_ARE_YOU", "credentials_rejected", "Norrbank does not know this app", "WHO_ARE_YOU"},
		{"503 NIGHT", "unavailable", "Norrbank is out of service for the moment", "NIGHT"},
		{"500 NIGHT", "unavailable", "Norrbank sleeps", "NIGHT"},
		{"409 SOMETHING_ELSE", "unavailable", "Norrbank refused the request (HTTP 409) for a reason that it does not document", ""},
		{"403 SOMETHING_ELSE", "credentials_rejected", "Norrbank refused the credentials of the sandbox environment", ""},
	} {
		bank.failing(c.fail)
		e := h.fault(schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code","code":"T-000001"}`)
		got, _ := e["provider_code"].(string)
		if e["code"] != c.code || e["message"] != c.message || got != c.provider || e["provider"] != "norrbank" || e["hint"] == "" {
			t.Errorf("%s: unexpected error %v", c.fail, e)
		}
		if b, _ := json.Marshal(e); bytes.Contains(b, []byte("only Norrbank says")) {
			t.Errorf("the provider's text got through: %s", b)
		}
	}
	bank.failing("")
	user := h.ok(schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"authorization_code","code":"T-000001"}`)
	bank.failing("400 RENEWAL_GONE")
	if e := h.fault(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, user["token_ref"])); e["code"] != "reauthorize" || e["message"] != "the session can be renewed no longer" {
		t.Errorf("unexpected error %v", e)
	}
	bank.failing("")
	h.ok(schema.CreateAccessToken, `{"provider":"norrbank","grant_type":"client_credentials"}`)
	bank.failing("409 ENROLLED_ALREADY")
	if e := h.fault(schema.CreateUser, `{"provider":"norrbank","email":"kund@example.se","terms":"2026"}`); e["code"] != "conflict" || e["hint"] != "use another email" {
		t.Errorf("unexpected error %v", e)
	}
}

func TestThirdPartyIsListed(t *testing.T) {
	h, _ := withNorrbank(t)
	list := string(listed(t, h.Set))
	if len(list) > mostList {
		t.Errorf("the list has %d bytes", len(list))
	}
	for _, want := range []string{`"norrbank"`, `"device_no":{"type":"integer","description":"Number of the device.`, `"terms":{"type":"string","enum":["2025","2026"]`, `"branch":{"type":"string"`} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %s", want)
		}
	}
	for _, held := range []string{`"flow"`, `"ticket"`, "renewal", "X-Norr"} {
		if strings.Contains(list, held) {
			t.Errorf("the list shows %s", held)
		}
	}
	lines, err := h.Explain(context.Background(), tools.Local, schema.CreateUser, map[string]any{"provider": "norrbank", "email": "a@example.se", "terms": "2026"})
	if err != nil || strings.Contains(lines, "k3y") || !strings.Contains(lines, "/open/v3/customers") {
		t.Errorf("%s %v", lines, err)
	}
}
