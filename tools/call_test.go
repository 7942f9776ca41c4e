package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// Slips that models make and that cost nothing to forgive.
func TestSlipsAreForgiven(t *testing.T) {
	h := open(t)
	for name, args := range map[string]string{
		"case and spaces":          `{"provider":" Fintecture ","grant_type":"CLIENT_CREDENTIALS","scope":"PIS"}`,
		"words of a grant":         `{"provider":"fintecture","grant_type":"Client credentials","scope":"PIS"}`,
		"null and empty optionals": `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS","code":null,"redirect_uri":""}`,
		"the object as a text":     `"{\"provider\":\"fintecture\",\"grant_type\":\"client_credentials\",\"scope\":\"PIS\"}"`,
		"a boolean as a text":      `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS","force":"False"}`,
	} {
		if got := h.ok(schema.CreateAccessToken, args); got["provider"] != "fintecture" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCorrectiveErrors(t *testing.T) {
	h := open(t)
	const canary = "CANARY"
	for _, c := range []struct {
		name, tool, args, code, says string
	}{
		{"no arguments", schema.CreateAccessToken, `{}`, "invalid_argument", "provider is missing"},
		{"arguments that are a list", schema.CreateAccessToken, `["CANARY"]`, "invalid_argument", "not a JSON object"},
		{"arguments that are broken text", schema.CreateAccessToken, `"{CANARY"`, "invalid_argument", "not a JSON object"},
		{"arguments with something behind", schema.CreateAccessToken, `"{\"provider\":\"flinks\"}}"`, "invalid_argument", "not a JSON object"},
		{"unknown provider", schema.CreateAccessToken, `{"provider":"CANARY","grant_type":"client_credentials"}`, "invalid_argument", "no such provider"},
		{"provider of another tool", schema.CreateUser, `{"provider":"flinks"}`, "unsupported", "does not offer create_user"},
		{"no grant", schema.CreateAccessToken, `{"provider":"flinks"}`, "invalid_argument", "grant_type is missing"},
		{"unknown grant", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"CANARY"}`, "invalid_argument", "no such grant_type"},
		{"a grant of others", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"password"}`, "unsupported", "does not offer grant_type=password"},
		{"refreshing with the wrong tool", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"refresh_token"}`, "invalid_argument", "the tool refresh_token"},
		{"missing argument", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"authorization_code","code":"CANARY"}`, "invalid_argument", "missing: redirect_uri"},
		{"foreign argument", schema.CreateAccessToken, `{"provider":"finapi","grant_type":"client_credentials","code":"CANARY"}`, "invalid_argument", "not allowed here: code"},
		{"misspelt argument", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"client_credentials","scop":"CANARY"}`, "invalid_argument", "did you mean scope?"},
		{"secret argument", schema.CreateAccessToken, `{"provider":"finapi","grant_type":"password","username":"u","password":"CANARY"}`, "invalid_argument", "no argument password"},
		{"wrong type", schema.CreateUser, `{"provider":"finapi","isAutoUpdateEnabled":"CANARY"}`, "invalid_argument", "isAutoUpdateEnabled must be a boolean"},
		{"too long", schema.CreateUser, fmt.Sprintf(`{"provider":"finapi","id":%q}`, "CANARY"+strings.Repeat("x", 40)), "invalid_argument", "at most 36 characters"},
		{"force that is no boolean", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"client_credentials","force":"CANARY"}`, "invalid_argument", "force must be true or false"},
		{"no token_ref", schema.RefreshToken, `{}`, "invalid_argument", "token_ref is missing"},
		{"provider of a wrong type", schema.CreateAccessToken, `{"provider":5,"grant_type":"password"}`, "invalid_argument", "provider must be a string"},
		{"provider with a capital", schema.CreateUser, `{"Provider":"finapi"}`, "invalid_argument", "create_user has no argument Provider; did you mean provider?"},
		{"provider and another name", schema.CreateAccessToken, `{"bank":"CANARY"}`, "invalid_argument", "create_access_token has no argument bank"},
		{"grant of a wrong type", schema.CreateAccessToken, `{"provider":"flinks","grant_type":["CANARY"]}`, "invalid_argument", "grant_type must be a string"},
		{"grant with capitals", schema.CreateAccessToken, `{"provider":"flinks","Grant_Type":"CANARY"}`, "invalid_argument", "no argument Grant_Type; did you mean grant_type?"},
		{"consent_ref of a wrong type", schema.CreateAccessToken, `{"provider":"flinks","grant_type":"authorization_code","consent_ref":5}`, "invalid_argument", "consent_ref must be a string"},
		{"token_ref of a wrong type", schema.RefreshToken, `{"token_ref":5}`, "invalid_argument", "token_ref must be a string"},
		{"unknown token_ref", schema.RefreshToken, `{"token_ref":"tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`, "invalid_argument", ""},
		{"broken token_ref", schema.RefreshToken, `{"token_ref":"CANARY"}`, "invalid_argument", ""},
		{"unknown tool", "CANARY", `{}`, "invalid_argument", "no such tool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &house{Set: h.Set, t: t, sim: h.sim}
			got := h.fault(c.tool, c.args)
			if got["code"] != c.code || !strings.Contains(got["message"].(string), c.says) {
				t.Errorf("got %v: %v", got["code"], got["message"])
			}
			if got["hint"] == "" || got["correlation_id"] == "" || got["retryable"] != false {
				t.Errorf("an error names the next step: %v", got)
			}
			if b, _ := json.Marshal(got); bytes.Contains(b, []byte(canary)) {
				t.Errorf("the error quotes a value: %s", b)
			}
		})
	}
	for _, bank := range h.sim.Banks() {
		if n := bank.Truth().Requests; n != 0 {
			t.Errorf("%s got %d requests; a call that does not fit sends nothing", bank.Name, n)
		}
	}
}

// A bank without credentials is listed, and its calls name the variables.
func TestNotConfigured(t *testing.T) {
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	c, err := providers.New(all[0], providers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := tools.New(tools.Options{Banks: []tools.Bank{{Client: c, Missing: []string{"FINTECTURE_CLIENT_ID", "FINTECTURE_CLIENT_SECRET"}}},
		Vault: func(context.Context) (*vault.Vault, error) {
			t.Error("the vault was opened")
			return nil, fault.New(fault.Internal, "", "")
		}})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Tools()) != 3 {
		t.Error("tools are listed without any credential")
	}
	r := s.Call(t.Context(), tools.Local, schema.CreateAccessToken, map[string]any{"provider": "fintecture", "grant_type": "client_credentials"})
	if r.Code != fault.NotConfigured || !bytes.Contains(r.JSON, []byte("FINTECTURE_CLIENT_SECRET")) {
		t.Errorf("got %s", r.JSON)
	}
	line, err := s.Explain(t.Context(), tools.Local, schema.CreateAccessToken, map[string]any{"provider": "fintecture", "grant_type": "client_credentials"})
	if err != nil || !strings.Contains(line, "/oauth/accesstoken") {
		t.Errorf("explaining needs no credentials: %q %v", line, err)
	}
}

func TestExposure(t *testing.T) {
	const args = `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`
	for exposure, want := range map[tools.Exposure]bool{tools.Handle: false, tools.Token: true, tools.Full: true} {
		h := open(t, exposing(exposure))
		got := h.ok(schema.CreateAccessToken, args)
		text, has := got["access_token"].(string)
		if has != want {
			t.Errorf("%s: access_token present: %v", exposure, has)
		}
		if want && !h.sim.Bank("fintecture").Alive(text) {
			t.Errorf("%s: the token handed out is not alive", exposure)
		}
	}
	h := open(t, exposing(tools.Full))
	user := h.ok(schema.CreateUser, `{"provider":"finapi","password":"correct horse battery"}`)
	if user["password"] != "correct horse battery" {
		t.Errorf("full exposure returns the document's fields: %v", user)
	}
	acting := h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q,"password":"correct horse battery"}`, user["id"]))
	example, err := json.Marshal(h.fault(schema.RefreshToken, `{"refresh_token":"x"}`)["example"])
	if err != nil {
		t.Fatal(err)
	}
	if f := h.fault(schema.RefreshToken, string(example)); f["code"] != "reauthorize" { // nobody gave that refresh token
		t.Errorf("the example %s is answered %v", example, f)
	}
	adopted := h.ok(schema.RefreshToken, fmt.Sprintf(`{"provider":"finapi","refresh_token":%q}`, acting["refresh_token"]))
	if adopted["token_ref"] == acting["token_ref"] || adopted["refreshable"] != true {
		t.Errorf("a refresh token that is brought along becomes a record of its own: %v", adopted)
	}
}

// A panic costs the call and nothing else, and its text goes nowhere.
func TestPanicIsContained(t *testing.T) {
	var log bytes.Buffer
	h := open(t, logging(zerolog.New(&log)), func(o *tools.Options) {
		o.Vault = func(context.Context) (*vault.Vault, error) { panic("CANARY") }
	})
	got := h.fault(schema.CreateAccessToken, `{"provider":"flinks","grant_type":"client_credentials"}`)
	if got["code"] != "internal" {
		t.Errorf("got %v", got)
	}
	b, _ := json.Marshal(got)
	if bytes.Contains(b, []byte("CANARY")) || bytes.Contains(log.Bytes(), []byte("CANARY")) {
		t.Errorf("the panic's text got out: %s %s", b, log.Bytes())
	}
	if !bytes.Contains(log.Bytes(), []byte(got["correlation_id"].(string))) {
		t.Error("the log must have the correlation id that the caller was given")
	}
}

// breaking is a way to the provider that is broken.
type breaking struct{}

func (breaking) RoundTrip(*http.Request) (*http.Response, error) { panic("CANARY") }

// A panic on the vault's goroutine leaves the same trace as one on ours.
func TestPanicInAMint(t *testing.T) {
	var log bytes.Buffer
	h := open(t, logging(zerolog.New(&log)), func(o *tools.Options) {
		c, err := providers.New(o.Banks[0].Client.Provider(), providers.Options{Environment: providers.Simulated, BaseURL: o.Banks[0].Client.BaseURL(),
			ClientID: secret.New("id"), ClientSecret: secret.New("secret"), Transport: breaking{}})
		if err != nil {
			t.Fatal(err)
		}
		o.Banks[0].Client = c
	})
	got := h.fault(schema.CreateAccessToken, `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`)
	if got["code"] != "internal" {
		t.Errorf("got %v", got)
	}
	for _, line := range []string{`"message":"recovered"`, got["correlation_id"].(string), "stack"} {
		if !bytes.Contains(log.Bytes(), []byte(line)) {
			t.Errorf("the log has no %s: %s", line, log.Bytes())
		}
	}
	if bytes.Contains(log.Bytes(), []byte("CANARY")) {
		t.Errorf("the panic's text got out: %s", log.Bytes())
	}
}

func TestTooManyCalls(t *testing.T) {
	release := make(chan struct{})
	h := open(t, func(o *tools.Options) {
		o.Limit = 2
		inner := o.Vault
		o.Vault = func(ctx context.Context) (*vault.Vault, error) { <-release; return inner(ctx) }
	})
	results := make(chan tools.Result, 10)
	for range 10 {
		go func() {
			results <- h.Call(context.WithoutCancel(t.Context()), tools.Local, schema.CreateAccessToken, map[string]any{"provider": "flinks", "grant_type": "client_credentials"})
		}()
	}
	for range 8 {
		if r := <-results; r.Code != fault.Busy || !bytes.Contains(r.JSON, []byte(`"retryable":true`)) {
			t.Errorf("got %s", r.JSON)
		}
	}
	close(release)
	for range 2 {
		if r := <-results; r.IsError {
			t.Errorf("a call within the limit failed: %s", r.JSON)
		}
	}
}

// One event a call, and no field in it for a secret or a caller's text.
func TestOneEventACall(t *testing.T) {
	var log bytes.Buffer
	h := open(t, logging(zerolog.New(&log).Level(zerolog.TraceLevel)))
	h.ok(schema.CreateAccessToken, `{"provider":"flinks","grant_type":"client_credentials","scope":"client:admin"}`)
	h.fault("CANARY", `{"x":"CANARY"}`)
	lines := bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n"))
	if len(lines) != 2 || bytes.Contains(log.Bytes(), []byte("CANARY")) {
		t.Fatalf("got %d events:\n%s", len(lines), log.Bytes())
	}
	var event map[string]any
	if err := json.Unmarshal(lines[0], &event); err != nil {
		t.Fatal(err)
	}
	var fields []string
	for name := range event {
		fields = append(fields, name)
	}
	slices.Sort(fields)
	if got := strings.Join(fields, " "); got != "code correlation_id level message ms provider tool" {
		t.Errorf("the event has the fields %s", got)
	}
}
