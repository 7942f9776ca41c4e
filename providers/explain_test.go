package providers

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/schema"
)

func TestExplain(t *testing.T) {
	p := fintecture()
	c, err := New(p, Options{UserAgent: "bankauth/test"}) // no credentials
	if err != nil {
		t.Fatal(err)
	}
	call := callOf(t, p, schema.CreateAccessToken, schema.GrantClientCredentials)
	call.Arguments["scope"] = "it's"
	got, err := c.Explain(call)
	if err != nil {
		t.Fatal(err)
	}
	want := `curl --request POST 'https://api-sandbox.fintecture.com/oauth/accesstoken' --header 'Accept: application/json'` +
		` --header 'Accept-Encoding: identity' --header 'Authorization: Basic [secret]'` +
		` --header 'Content-Type: application/x-www-form-urlencoded' --header 'User-Agent: bankauth/test'` +
		` --data-raw 'grant_type=client_credentials&scope=it%27s&app_id=[secret]'`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestExplainIsWhatIsSent sends each golden request and compares it with its
// explanation: the same but for the secrets, of which none is shown.
func TestExplainIsWhatIsSent(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			base, requests := wire(t, ok200(okToken))
			c := client(t, g.p, base)
			call := callOf(t, g.p, g.tool, g.grant)
			for k, v := range g.args {
				call.Arguments[k] = v
			}
			line, err := c.Explain(call)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{"id-1", "k&y", "k%26y", "pass word", "pass+word", "c+o%2Fde", `q'`, "rt+0", "rt%2B0", "bt-1", "aWQtMTpr"} {
				if strings.Contains(line, s) {
					t.Errorf("the line shows a secret: %s", line)
				}
			}
			_, _ = c.Token(context.Background(), call)
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(<-requests)))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(req.Body)
			code, _ := g.args["code"].(string)
			quoted, _ := json.Marshal(code)
			uncovered := strings.NewReplacer("code=[secret]", "code="+url.QueryEscape(code), `"code":"[secret]"`, `"code":`+strings.ReplaceAll(string(quoted), "'", `'\''`),
				"client_id=[secret]", "client_id=id-1", "client_secret=[secret]", "client_secret=k%26y%3D%2F%C3%BC", "app_id=[secret]", "app_id=id-1",
				"password=[secret]", "password=pass+word", "refresh_token=[secret]", "refresh_token=rt%2B0",
				`"client_id":"[secret]"`, `"client_id":"id-1"`, `"client_secret":"[secret]"`, `"client_secret":"k&y=/ü"`,
				`"password":"[secret]"`, `"password":"pass word"`, `"refresh_token":"[secret]"`, `"refresh_token":"rt+0"`,
				"Basic [secret]", "Basic aWQtMTprJnk9L8O8", "Bearer [secret]", "Bearer bt-1").Replace(line)
			words := shellWords(t, uncovered)
			if got := words[len(words)-1]; got != string(body) {
				t.Errorf("body %q, explained as %q", body, got)
			}
			for name, values := range req.Header {
				if name != "Content-Length" && !slices.Contains(words, name+": "+values[0]) {
					t.Errorf("header %s: %s is not in %s", name, values[0], line)
				}
			}
			if !slices.Contains(words, base+req.URL.Path) {
				t.Errorf("address %s%s is not in %s", base, req.URL.Path, line)
			}
		})
	}
}

// shellWords has a real shell split the line.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to read the line: " + err.Error())
	}
	out, err := exec.Command(sh, "-c", `for w in `+line+`; do printf '%s\0' "$w"; done`).Output()
	if err != nil {
		t.Fatalf("the shell refuses %s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestAddress(t *testing.T) {
	for base, want := range map[string]string{
		"": "https://sandbox.finapi.io", "https://a.example": "https://a.example", "https://A.example:8443/v2/": "https://a.example:8443/v2",
		"http://127.0.0.1:80": "http://127.0.0.1:80", "http://[::1]:9": "http://[::1]:9", "http://localhost:9/": "http://localhost:9",
		"http://a.example": "", "http://127.0.0.1.example": "", "http://10.0.0.1": "", "ftp://a.example": "", "a.example": "", "//a.example": "",
		"https://u:p@a.example": "", "https://u@a.example": "", "https://a.example?x=y": "", "https://a.example?": "", "https://a.example#x": "",
		"https://a.example#": "", "https://": "", "https://a.example:0": "", "https://a.example:99999": "", "https://a.example/a b": "",
		"https://a.example\\@b.example": "", "https:a.example": "", "https://a.exa mple": "", "https://a.example/%0d%0aX": "", "javascript:x": "",
	} {
		c, err := New(finapi(), Options{BaseURL: base})
		switch {
		case want == "" && (err == nil || fault.From(err).Code != fault.NotConfigured):
			t.Errorf("%q: %v", base, err)
		case want == "":
			if host := "a.example"; strings.Contains(fault.From(err).Message, host) || fault.From(err).Hint == "" {
				t.Errorf("%q: the fault quotes the value: %+v", base, fault.From(err))
			}
		case err != nil:
			t.Errorf("%q: %v", base, err)
		case c.BaseURL() != want:
			t.Errorf("%q became %q, want %q", base, c.BaseURL(), want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	c, err := New(finapi(), Options{Environment: "production"})
	if err != nil || c.BaseURL() != "https://live.finapi.io" || c.Environment() != "production" {
		t.Errorf("got %v, %v", c, err)
	}
	c, err = New(finapi(), Options{Environment: Simulated, BaseURL: "http://127.0.0.1:1"})
	if err != nil || c.Environment() != Simulated {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err = New(finapi(), Options{Environment: Simulated}); err == nil {
		t.Error("a simulated provider needs an address")
	}
	_, err = New(finapi(), Options{Environment: "live"})
	if f := fault.From(err); f == nil || f.Code != fault.NotConfigured || !strings.Contains(f.Hint, "sandbox, production, simulated") {
		t.Errorf("got %+v", f)
	}
	_, err = New(finapi(), Options{ClientSecret: secret.New("x\n")})
	if f := fault.From(err); f == nil || !strings.Contains(f.Message, "FINAPI_CLIENT_SECRET") {
		t.Errorf("got %+v", f)
	}
}

func TestFingerprint(t *testing.T) {
	of := func(o Options) string {
		c, err := New(finapi(), o)
		if err != nil {
			t.Fatal(err)
		}
		return c.Fingerprint()
	}
	a := of(Options{ClientID: secret.New("a"), ClientSecret: secret.New("x")})
	if a != of(Options{ClientID: secret.New("a"), ClientSecret: secret.New("y")}) {
		t.Error("the client secret has no part in a fingerprint")
	}
	if a == of(Options{ClientID: secret.New("b")}) || a == of(Options{ClientID: secret.New("a"), Environment: "production"}) || len(a) != 16 {
		t.Error("another client or address must have another fingerprint")
	}
}

// TestOverlayCannotWeaken refuses what would make net/http repeat a POST or
// send our secrets in a place of the overlay's choice.
func TestOverlayCannotWeaken(t *testing.T) {
	for name, change := range map[string]func(op *schema.Operation){
		"idempotency key": func(op *schema.Operation) { op.Headers = map[string]string{"idempotency-key": "x"} },
		"authorization":   func(op *schema.Operation) { op.Headers = map[string]string{"Authorization": "x"} },
		"line break":      func(op *schema.Operation) { op.Headers = map[string]string{"X-A": "a\r\nB: c"} },
		"GET":             func(op *schema.Operation) { op.Method = "GET" },
		"media":           func(op *schema.Operation) { op.Media = "text/plain" },
		"auth":            func(op *schema.Operation) { op.Auth.Style = "" },
		"pointer":         func(op *schema.Operation) { op.Answer.AccessToken = "access_token" },
	} {
		p := finapi()
		change(p.Operations[0])
		if _, err := New(p, Options{}); fault.From(err) == nil || fault.From(err).Code != fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestID(t *testing.T) {
	c, err := New(finapi(), Options{Rand: strings.NewReader(strings.Repeat("\xff", 64))})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"x-1": "x-1", strings.Repeat("a", 255): strings.Repeat("a", 255)} {
		if got := c.requestID(id); got != want {
			t.Errorf("%q became %q", id, got)
		}
	}
	for _, id := range []string{"", strings.Repeat("a", 256), "a\r\nX: y", "ü"} {
		if got := c.requestID(id); got != "ffffffff-ffff-4fff-bfff-ffffffffffff" {
			t.Errorf("%q became %q", id, got)
		}
	}
}
