package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/capability"
	"bankauth/schema"
)

// restAnswer is an answer over REST.
type restAnswer struct {
	status int
	after  string // Retry-After
	body   map[string]any
	err    error
}

// askREST sends a request on a connection of its own; the answer comes later.
func askREST(t *testing.T, method, url, body string, header ...string) chan restAnswer {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	answers := make(chan restAnswer, 1)
	go func() {
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
		if err != nil {
			answers <- restAnswer{err: err}
			return
		}
		defer a.Body.Close()
		r := restAnswer{status: a.StatusCode, after: a.Header.Get("Retry-After")}
		r.err = json.NewDecoder(a.Body).Decode(&r.body)
		answers <- r
	}()
	return answers
}

func (r restAnswer) busy() bool {
	return r.status == http.StatusServiceUnavailable && r.body["code"] == "busy" && r.after == "1" && r.err == nil
}

// figure returns the value of a metric, "" where it is not there.
func figure(t *testing.T, url, name string) string {
	t.Helper()
	a, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

const tokenFlinks = `{"provider":"flinks","grant_type":"client_credentials"}`

// Calls over MCP and over REST have one limit: a REST call over it is answered
// busy, and an answer that is given again takes no place.
func TestServeOneLimit(t *testing.T) {
	bank, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0", "--max-calls", "2")
	url := where(t, s)
	path := url + "/v1/create_access_token"
	kept := <-askREST(t, "POST", path, tokenFlinks, "Idempotency-Key: kept")
	if kept.status != http.StatusOK {
		t.Fatalf("%+v", kept)
	}
	bank.SetDelay(0, time.Second)
	forced := strings.Replace(tokenFlinks, "{", `{"force":true,`, 1)
	first, second := askREST(t, "POST", path, forced, "Idempotency-Key: k"), make(chan string, 1)
	go func() {
		_, body, _ := post(t.Context(), http.DefaultClient, url, callFlinksForced)
		second <- body
	}()
	eventually(t, "two calls are at work", func() bool { return figure(t, url, "bankauth_calls_in_flight") == "2" })
	for what, ask := range map[string]chan restAnswer{
		"plain": askREST(t, "POST", path, forced), "with a key": askREST(t, "POST", path, forced, "Idempotency-Key: other"),
		"revoke": askREST(t, "DELETE", url+"/v1/tokens/"+kept.body["token_ref"].(string), ""),
	} {
		if r := <-ask; !r.busy() {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if _, body, _ := post(t.Context(), http.DefaultClient, url, callFlinksForced); !strings.Contains(body, `\"busy\"`) {
		t.Errorf("over MCP: %s", body)
	}
	if r := <-askREST(t, "POST", path, tokenFlinks, "Idempotency-Key: kept"); r.status != http.StatusOK {
		t.Errorf("an answer that is given again: %+v", r)
	}
	if n := figure(t, url, "bankauth_busy_total"); n != "4" {
		t.Errorf("bankauth_busy_total is %s", n)
	}
	if r := <-first; r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	if body := <-second; !strings.Contains(body, `"token_ref":"tok_`) {
		t.Errorf("got %s", body)
	}
	eventually(t, "no call is at work", func() bool { return figure(t, url, "bankauth_calls_in_flight") == "0" })
	bank.SetDelay(0, 0)
	// What was answered busy is not the answer for good.
	if r := <-askREST(t, "POST", path, forced, "Idempotency-Key: other"); r.status != http.StatusOK {
		t.Errorf("afterwards: %+v", r)
	}
	terminate(t, s)
}

var callFlinksForced = strings.Replace(callFlinks, `"provider"`, `"force":true,"provider"`, 1)

// A caller's own share holds over REST too, and so does the limit of a
// capability file's adapter.
func TestServeLimitEach(t *testing.T) {
	t.Run("caller", func(t *testing.T) {
		bank, env := simulation(t)
		bank.SetDelay(0, time.Second)
		var tokens []string
		for _, name := range []string{"one", "other"} {
			tokens = append(tokens, "Authorization: Bearer "+strings.TrimSpace(shell(t, env, "clients", "add", name)))
		}
		s := start(t, env, "serve", "--listen", "127.0.0.1:0", "--max-calls-per-caller", "1")
		url := where(t, s)
		path := url + "/v1/create_access_token"
		first := askREST(t, "POST", path, tokenFlinks, tokens[0])
		eventually(t, "the call reaches the provider", func() bool { return bank.Truth().Requests > 0 })
		if r := <-askREST(t, "POST", path, tokenFlinks, tokens[0]); !r.busy() {
			t.Errorf("a second of one caller: %+v", r)
		}
		for _, one := range []chan restAnswer{first, askREST(t, "POST", path, tokenFlinks, tokens[1])} {
			if r := <-one; r.status != http.StatusOK {
				t.Errorf("%+v", r)
			}
		}
		terminate(t, s)
	})
	t.Run("adapter", func(t *testing.T) {
		bank, env := simulation(t)
		bank.SetDelay(0, time.Second)
		data, err := os.ReadFile(root + "/capabilities/flinks-oauth.ikanos.yaml")
		if err != nil {
			t.Fatal(err)
		}
		file, d := moved(t, data)
		s := start(t, env, "serve", "--capability", file, "--max-calls", "1")
		path := ""
		for _, a := range d.Adapters {
			s.hear(t)
			for _, tool := range a.Tools {
				if a.Kind == capability.REST && tool.Tool == schema.CreateAccessToken && tool.Grant == schema.GrantClientCredentials {
					path = "http://127.0.0.1:" + strconv.Itoa(a.Port) + tool.Path
				}
			}
		}
		first := askREST(t, "POST", path, "{}")
		eventually(t, "the call reaches the provider", func() bool { return bank.Truth().Requests > 0 })
		if r := <-askREST(t, "POST", path, "{}"); !r.busy() {
			t.Errorf("a second: %+v", r)
		}
		if r := <-first; r.status != http.StatusOK {
			t.Errorf("%+v", r)
		}
		terminate(t, s)
	})
}

// A REST call that takes longer than a server that is to end waits is
// cancelled, and answered: at once where it can leave its exchange to the
// vault, else when the provider has answered.
func TestServeOverdue(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of Unix, which this system has not")
	}
	t.Parallel() // the server waits for the bank
	const code = `{"provider":"flinks","grant_type":"authorization_code","code":"a-code","redirect_uri":"https://app.example.com/callback"}`
	for name, key := range map[string]string{"plain": "X-Nothing: 1", "with a key": "Idempotency-Key: k"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bank, env := simulation(t)
			bank.SetDelay(0, 3*time.Second)
			s := start(t, env, "serve", "--listen", "127.0.0.1:0", "--drain", "100ms")
			path := where(t, s) + "/v1/create_access_token"
			stays, leaves := askREST(t, "POST", path, tokenFlinks, key), askREST(t, "POST", path, code, strings.Replace(key, "k", "l", 1))
			eventually(t, "the calls reach the provider", func() bool { return bank.Truth().Requests == 2 })
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if r := <-leaves; r.status != http.StatusServiceUnavailable || r.body["code"] != "unavailable" || r.err != nil {
				t.Errorf("%+v", r)
			}
			select {
			case r := <-stays:
				t.Errorf("before the provider answered: %+v", r)
			default:
			}
			if r := <-stays; r.status != http.StatusOK || r.err != nil {
				t.Errorf("%+v", r)
			}
			s.wait(t)
		})
	}
}
