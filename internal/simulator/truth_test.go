package simulator_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
)

func TestTruthOverHTTP(t *testing.T) {
	c := flinks(t, simulator.Flinks{})
	r := c.flicode(c.code())
	c.flirefresh(r.text("refresh_token"))
	c.flirefresh("never-issued")
	c.send("GET /api/v1/accounts?access_token=x", "")
	c.send("POST /_simulator/elsewhere/token", "x")
	told := c.want(c.send("GET /_simulator/truth", ""), 200)
	var truth simulator.Truth
	if err := json.Unmarshal([]byte(told.body), &truth); err != nil {
		t.Fatal(err)
	}
	if truth.Bank != "flinks" || truth.Posts["/api/v1/token"] != 3 || truth.Unknown != 1 || truth.ByGrant["refresh_token"] != 2 || truth.Confided != 1 ||
		truth.Redirected != 1 || truth.Begun != 1 || truth.Access != 2 || truth.Connections < 3 {
		t.Errorf("truth: %s", told.body)
	}
	g, ok := truth.Refresh(r.text("refresh_token"))
	if !ok || !g.Alive || g.Posts != 1 || g.Fingerprint != simulator.Fingerprint(r.text("refresh_token")) {
		t.Errorf("generation: %+v", g)
	}
	for _, s := range []string{r.text("refresh_token"), r.text("access_token"), clientSecret} {
		if strings.Contains(told.body, s) {
			t.Errorf("the truth gives a secret away: %s", told.body)
		}
	}
}

func TestControlOverHTTP(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	set := func(body string) reply { return c.send("POST /_simulator/fault", body, "Content-Type", asJSON) }
	c.want(set(`{"tool":"create_access_token","times":1,"delay_before":"1ms","status":429,"code":"too_many_requests","headers":{"Retry-After":"3"}}`), 204)
	c.want(c.send("GET /_simulator/fault", ""), 200, `"delay_before":"1ms"`, `"status":429`)
	if r := c.want(c.fintoken(pis), 429, `"too_many_requests"`); r.header.Get("Retry-After") != "3" {
		t.Errorf("headers: %v", r.header)
	}
	c.want(c.fintoken(pis), 200)
	c.want(set(`{"raw_base64":"SFRUUC8xLjEgNDE4IE5vDQoNCg=="}`), 204)
	c.want(c.fintoken(pis), 418)
	c.want(c.send("DELETE /_simulator/fault", ""), 204)
	c.want(c.fintoken(pis), 200)
	c.want(c.send("POST /_simulator/delay", `{"after":"1ms"}`, "Content-Type", asJSON), 204)

	c.want(set(`{"staus":500}`), 400, "staus")
	c.want(set(`{"status":99}`), 400)
	c.want(set(`{"delay_after":"soon"}`), 400)
	c.want(c.send("POST /_simulator/fault", `{}`, "Content-Type", "text/plain"), 415)
}

func TestWireSeesEveryByte(t *testing.T) {
	var mu sync.Mutex
	seen := map[int64]*bytes.Buffer{}
	wire := func(bank string, n int64) io.Writer {
		mu.Lock()
		defer mu.Unlock()
		if seen[n] == nil {
			seen[n] = &bytes.Buffer{}
		}
		return locked{&mu, seen[n]}
	}
	c := startWith(t, simulator.NameFintecture, simulator.Options{Wire: wire})
	c.send("POST /oauth/accesstoken?q=canary-1", "body=canary-2", "X-Any", "canary-3")
	c.bank.SetFault(simulator.Fault{DropAfter: true, Reset: true})
	_, _ = c.try("POST /oauth/accesstoken", "canary-4")
	mu.Lock()
	defer mu.Unlock()
	var all bytes.Buffer
	for _, b := range seen {
		all.Write(b.Bytes())
	}
	for _, canary := range []string{"canary-1", "canary-2", "canary-3", "canary-4"} {
		if !strings.Contains(all.String(), canary) {
			t.Errorf("%s was not recorded", canary)
		}
	}
}

type locked struct {
	mu *sync.Mutex
	io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Writer.Write(p)
}

func TestCredentialsAreMadeUp(t *testing.T) {
	s, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names []string
	var secrets []secret.Value
	for _, b := range s.Banks() {
		names = append(names, b.Name)
		if !strings.HasPrefix(b.URL(), "http://127.0.0.1:") || b.ClientID() == "" || b.ClientSecret().IsZero() {
			t.Errorf("%s: %q %q", b.Name, b.URL(), b.ClientID())
		}
		for _, other := range secrets {
			if other.Equal(b.ClientSecret()) {
				t.Error("two banks share a secret")
			}
		}
		secrets = append(secrets, b.ClientSecret())
	}
	if strings.Join(names, " ") != "fintecture flinks finapi" || s.Bank("finapi") != s.Banks()[2] || s.Bank("x") != nil {
		t.Errorf("banks: %v", names)
	}
}

func TestStartNamesAPortThatIsTaken(t *testing.T) {
	s, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	port := s.Banks()[0].Port()
	if _, err := simulator.Start(t.Context(), simulator.Options{Ports: map[string]int{simulator.NameFinAPI: port}}); err == nil ||
		!strings.Contains(err.Error(), "listening on") {
		t.Errorf("err = %v", err)
	}
}

// TestThePageIsTrue: docs/simulator.md names every path and every member of a
// fault, and its examples are taken.
func TestThePageIsTrue(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "simulator.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	c := start(t, simulator.NameFlinks, simulator.Switches{})
	for path, shape := range map[string]string{"fault": `-d '(\{.*\})'`, "delay": "`(\\{\"before\".*\\})`"} {
		example := regexp.MustCompile(shape).FindStringSubmatch(page)
		if example == nil {
			t.Fatalf("there is no example of /_simulator/%s", path)
		}
		c.want(c.send("POST /_simulator/"+path, example[1], "Content-Type", asJSON), 204)
	}
	for _, path := range []string{"truth", "fault", "delay", "elsewhere", "consent"} {
		if !strings.Contains(page, "/_simulator/"+path) {
			t.Errorf("%s is not there", path)
		}
	}
	members := reflect.TypeFor[simulator.Fault]()
	for i := range members.NumField() {
		name := strings.ToLower(regexp.MustCompile(`(.)([A-Z])`).ReplaceAllString(members.Field(i).Name, "${1}_$2"))
		if name == "raw" {
			name = "raw_base64"
		}
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is not there", name)
		}
	}
}
