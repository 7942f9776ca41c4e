package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// farEnd plays all three providers, and says what none of them should: it
// answers as its manner has it, with every secret that it knows.
type farEnd struct {
	secrets *canaries
	server  *httptest.Server
	manner  atomic.Pointer[manner]
	env     []string // with which bankauth finds it

	mu       sync.Mutex
	requests int
	said     []byte // request lines, and headers that are not for secrets
}

// manner answers a request. It may take the connection over.
type manner func(w http.ResponseWriter, q *asked)

// asked is a request as the far end sees it, with what it can throw back.
type asked struct {
	bank    *farEnd
	tool    string            // token, refresh or user
	grant   string            // grant_type
	fields  map[string]string // of the body
	secrets []string          // that came with it, and then those that it gives
	came    int               // how many of them came with it
	good    map[string]any    // an answer that a provider would give
}

func newFarEnd(t *testing.T, secrets *canaries) *farEnd {
	t.Helper()
	b := &farEnd{secrets: secrets}
	b.behave(well)
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	b.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	b.server.Start()
	t.Cleanup(b.server.Close)
	for _, p := range []string{"FINTECTURE", "FLINKS", "FINAPI"} {
		b.env = append(b.env, p+"_BASE_URL="+b.server.URL, p+"_CLIENT_ID="+secrets.issue("client id"), p+"_CLIENT_SECRET="+secrets.issue("client secret"))
	}
	return b
}

func (b *farEnd) behave(m manner) { b.manner.Store(&m) }

func (b *farEnd) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	q := &asked{bank: b, tool: "token", fields: map[string]string{}}
	b.read(q, r, body)
	b.mu.Lock()
	b.requests++
	b.said = append(b.said, r.Method+" "+r.RequestURI+" "+r.Host+" "+r.UserAgent()+" "+r.Referer()+" "+r.Header.Get("X-Request-Id")+"\n"...)
	b.mu.Unlock()
	switch {
	case q.grant == "refresh_token" || strings.Contains(r.URL.Path, "refresh"):
		q.tool = "refresh"
	case strings.HasSuffix(r.URL.Path, "/users"):
		q.tool = "user"
	}
	q.prepare()
	(*b.manner.Load())(w, q)
}

// read notes every secret of the request.
func (b *farEnd) read(q *asked, r *http.Request, body []byte) {
	form, _ := url.ParseQuery(string(body))
	for name, values := range form {
		q.fields[name] = values[0]
	}
	var object map[string]any
	if json.Unmarshal(body, &object) == nil {
		for name, v := range object {
			q.fields[name], _ = v.(string)
		}
	}
	q.grant = q.fields["grant_type"]
	for _, name := range []string{"client_secret", "refresh_token", "password", "code"} {
		q.note(name, q.fields[name])
	}
	if id, key, ok := r.BasicAuth(); ok {
		q.note("client id", id)
		q.note("client secret", key)
		q.secrets = append(q.secrets, base64.StdEncoding.EncodeToString([]byte(id+":"+key)))
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		q.note("access token", bearer)
	}
}

func (q *asked) note(what, text string) {
	if text != "" {
		q.secrets = append(q.secrets, q.bank.secrets.add(what, text))
	}
}

// prepare makes a good answer.
func (q *asked) prepare() {
	q.came = len(q.secrets)
	if q.tool == "user" {
		q.good = map[string]any{"id": q.fields["id"], "password": q.fields["password"], "email": q.fields["email"], "isAutoUpdateEnabled": false}
		return
	}
	access := q.bank.secrets.issue("access token")
	q.good = map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "scope": "accounts"}
	q.secrets = append(q.secrets, access)
	if q.grant != "client_credentials" {
		refresh := q.bank.secrets.issue("refresh token")
		q.good["refresh_token"] = refresh
		q.secrets = append(q.secrets, refresh)
	}
}

// well answers as a provider should.
func well(w http.ResponseWriter, q *asked) {
	w.Header().Set("Content-Type", "application/json")
	if q.tool == "user" {
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(q.good)
}

// pick returns one of the secrets, another for each n.
func (q *asked) pick(n int) string { return q.secrets[n%len(q.secrets)] }

// places are where a provider can put a text of its own.
var places = []string{"scope", "token_type", "expires_in", "error", "error_description", "error_uri", "code", "message", "status",
	"type", "log_id", "request_id", "id", "email", "phone", "password", "username", "isAutoUpdateEnabled", "state", "customer_id", "detail", "title"}

// echo is the good answer with a secret in every other field.
func (q *asked) echo(n int) map[string]any {
	answer := map[string]any{"errors": []any{map[string]any{"code": q.pick(n), "message": q.pick(n + 1), "title": q.pick(n + 2)}}}
	for i, name := range places {
		answer[name] = q.pick(n + i)
	}
	return answer
}

// headers puts a secret into every header that somebody might read.
func (q *asked) headers(h http.Header, n int) {
	for i, name := range []string{"Location", "Retry-After", "Set-Cookie", "Www-Authenticate", "X-Request-Id", "Etag", "Warning", "Link", "Server", "X-Error"} {
		h.Set(name, q.pick(n+i))
	}
	h.Set("Location", q.bank.server.URL+"/elsewhere?"+q.pick(n)+"#"+q.pick(n+1))
}

// raw answers with bytes of its own and then does with the connection what
// after says.
func raw(w http.ResponseWriter, bytes string, after func(net.Conn)) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, bytes)
	after(c)
}
