package capability_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"bankauth/internal/simulator"
)

// TestPlayExported takes each file as it lies in capabilities/, fills its binds
// and makes every request that its functions describe, against the simulated
// banks. The player below knows the format and nothing of bankauth.
func TestPlayExported(t *testing.T) {
	files, err := filepath.Glob("../../capabilities/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, empty := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s empty=%v", strings.TrimSuffix(filepath.Base(file), ".yaml"), empty), func(t *testing.T) {
				play(t, file, empty)
			})
		}
	}
}

// journey is how each function of a file is played, in this order: what is
// given, and what is wanted of the answer.
type journey struct {
	ref    string
	inputs func(w *world) map[string]any
	wants  string
}

func journeys() []journey {
	token := func(w *world) map[string]any { return map[string]any{"token_ref": w.refresh} }
	code := func(w *world) map[string]any {
		c, err := w.bank.Code(w.t.Context(), "http://127.0.0.1:7777/cb", w.scope)
		if err != nil {
			w.t.Fatal(err)
		}
		return map[string]any{"code": c, "redirect_uri": "http://127.0.0.1:7777/cb", "scope": "AIS"}
	}
	return []journey{
		{"fintecture-oauth.create-access-token-client-credentials", func(*world) map[string]any { return map[string]any{"scope": "PIS"} }, "access_token"},
		{"fintecture-oauth.create-access-token-authorization-code", code, "access_token"},
		{"fintecture-oauth.refresh-token", token, "access_token"},
		{"flinks-oauth.create-access-token-client-credentials", func(*world) map[string]any { return nil }, "access_token"},
		{"flinks-oauth.create-access-token-authorization-code", code, "access_token"},
		{"flinks-oauth.refresh-token", token, "access_token"},
		{"finapi-users.create-user", func(*world) map[string]any {
			return map[string]any{"id": "ada", "email": "ada@example.com", "phone": "+49 89 1234567", "isAutoUpdateEnabled": false}
		}, "id"},
		{"finapi-oauth.create-access-token-client-credentials", func(*world) map[string]any { return nil }, "access_token"},
		{"finapi-oauth.create-access-token-password", func(*world) map[string]any { return map[string]any{"username": "ada"} }, "access_token"},
		{"finapi-oauth.refresh-token", token, "access_token"},
	}
}

// world is what goes from one request to the next.
type world struct {
	t              *testing.T
	bank           *simulator.Bank
	scope, refresh string
}

func play(t *testing.T, file string, empty bool) {
	sim, err := simulator.Start(t.Context(), simulator.Options{Redirects: nil})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	p := newPlayer(t, file, empty)
	for _, b := range sim.Banks() {
		prefix := strings.ToUpper(b.Name)
		p.environment[prefix+"_CLIENT_ID"], p.environment[prefix+"_CLIENT_SECRET"] = b.ClientID(), b.ClientSecret().Reveal()
	}
	w := &world{t: t}
	left := slices.DeleteFunc(p.functions(), func(ref string) bool {
		name, _, _ := strings.Cut(ref, "-")
		return sim.Bank(name) == nil // nobody plays it
	})
	for _, j := range journeys() {
		i := slices.Index(left, j.ref)
		if i < 0 {
			continue
		}
		left = slices.Delete(left, i, i+1)
		name, _, _ := strings.Cut(j.ref, "-")
		w.bank, w.scope = sim.Bank(name), map[string]string{"flinks": "ACCOUNT_BASIC"}[name]
		p.host = w.bank.URL()
		if j.ref == "finapi-oauth.create-access-token-password" && p.environment["FINAPI_USER_PASSWORD"] == "" {
			p.environment["FINAPI_USER_PASSWORD"] = someUser(t, w.bank)
		}
		answer := p.call(j.ref, j.inputs(w))
		got, _ := answer[j.wants].(string)
		if got == "" {
			t.Fatalf("%s answers without %s", j.ref, j.wants)
		}
		if j.wants == "access_token" && !w.bank.Alive(got) {
			t.Errorf("%s: the bank does not know the token that it issued", j.ref)
		}
		w.refresh, _ = answer["refresh_token"].(string)
		if password, ok := answer["password"].(string); ok {
			p.environment["FINAPI_USER_PASSWORD"] = password
		}
	}
	if len(left) > 0 {
		t.Errorf("never played: %v", left)
	}
}

// someUser makes a user whose password the operator would know.
func someUser(t *testing.T, b *simulator.Bank) string {
	t.Helper()
	p := newPlayer(t, "../../capabilities/finapi-users.ikanos.yaml", false)
	p.host = b.URL()
	p.environment["FINAPI_CLIENT_ID"], p.environment["FINAPI_CLIENT_SECRET"] = b.ClientID(), b.ClientSecret().Reveal()
	return p.call("finapi-users.create-user", map[string]any{"id": "ada"})["password"].(string)
}

// player runs the functions of a document.
type player struct {
	t           *testing.T
	capability  map[string]any
	binds       any
	environment map[string]string
	host        string // in place of every baseUri's
	// empty: what is not given is an empty text, as in Ikanos's own engine,
	// not left out.
	empty bool
}

func newPlayer(t *testing.T, file string, empty bool) *player {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return &player{t: t, capability: doc["capability"].(map[string]any), binds: doc["binds"], environment: map[string]string{}, empty: empty}
}

type object = map[string]any

// named returns what has names, from a list or a map.
func named(v any) map[string]object {
	all := map[string]object{}
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			o := one.(object)
			name, ok := o["name"].(string)
			if !ok {
				name = fmt.Sprint(i)
			}
			all[name] = o
		}
	case object:
		for name, one := range v {
			all[name] = one.(object)
		}
	}
	return all
}

func (p *player) aggregates() map[string]map[string]object {
	all := map[string]map[string]object{}
	for _, a := range named(p.capability["aggregates"]) {
		functions := a["functions"]
		if functions == nil {
			functions = a["flows"]
		}
		all[a["namespace"].(string)] = named(functions)
	}
	return all
}

func (p *player) functions() []string {
	var all []string
	for namespace, functions := range p.aggregates() {
		for name := range functions {
			all = append(all, namespace+"."+name)
		}
	}
	return all
}

// call runs a function with inputs and returns the last answer.
func (p *player) call(ref string, inputs map[string]any) object {
	p.t.Helper()
	namespace, name, _ := strings.Cut(ref, ".")
	f := p.aggregates()[namespace][name]
	values := map[string]any{}
	for name := range named(f["inputParameters"]) {
		if v, given := inputs[name]; given {
			values[name] = v
		}
	}
	for _, b := range p.binds.([]any) {
		for variable, outside := range b.(object)["keys"].(object) {
			values[variable] = p.environment[outside.(string)]
		}
	}
	p.with(values, f["with"])
	if call, ok := f["call"].(string); ok {
		return p.request(call, values)
	}
	var answer object
	for _, s := range p.steps(f["steps"]) {
		p.with(values, s["with"])
		answer = p.request(s["call"].(string), values)
		for name, v := range answer {
			values[s["name"].(string)+"."+name] = v
		}
	}
	return answer
}

// steps are in order, which a map of Go does not keep: the one with a `with`
// comes after the one that it refers to.
func (p *player) steps(v any) []object {
	var all []object
	for name, s := range named(v) {
		s["name"] = name
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b object) int { return len(fmt.Sprint(a["with"])) - len(fmt.Sprint(b["with"])) })
	return all
}

func (p *player) with(values map[string]any, with any) {
	if with == nil {
		return
	}
	for name, text := range with.(object) {
		v, _ := p.fill(text.(string), values)
		values[name] = v
	}
}

var placeholder = regexp.MustCompile(`\{\{([^}]+)\}\}`)

// fill fills the placeholders of a text. One that is the whole text keeps its
// value's type; given is false where there is no value for it.
func (p *player) fill(text string, values map[string]any) (v any, given bool) {
	if m := placeholder.FindStringSubmatch(text); m != nil && m[0] == text {
		v, ok := values[m[1]]
		if !ok && p.empty {
			return "", true
		}
		return v, ok
	}
	return placeholder.ReplaceAllStringFunc(text, func(m string) string { return fmt.Sprint(values[m[2:len(m)-2]]) }), true
}

func (p *player) text(v any, values map[string]any) string {
	filled, _ := p.fill(v.(string), values)
	return fmt.Sprint(filled)
}

// request makes the request that call names and returns its JSON answer.
func (p *player) request(call string, values map[string]any) object {
	p.t.Helper()
	namespace, name, _ := strings.Cut(call, ".")
	for _, c := range named(p.capability["consumes"]) {
		if c["namespace"] != namespace {
			continue
		}
		for _, r := range named(c["resources"]) {
			if op, ok := named(r["operations"])[name]; ok {
				return p.send(c, r["path"].(string), op, values)
			}
		}
	}
	p.t.Fatalf("nothing is consumed as %s", call)
	return nil
}

func (p *player) send(c object, path string, op object, values map[string]any) object {
	p.t.Helper()
	at, err := url.Parse(c["baseUri"].(string))
	if err != nil || at.Scheme != "https" || at.Host == "" {
		p.t.Fatalf("baseUri %v: %v", c["baseUri"], err)
	}
	media, body := p.body(op["body"].(object), values)
	q, err := http.NewRequestWithContext(p.t.Context(), op["method"].(string), p.host+at.Path+path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	q.Header.Set("Content-Type", media)
	for name, in := range named(op["inputParameters"]) {
		if in["in"] == "header" {
			q.Header.Set(name, p.text(in["value"], values))
		}
	}
	if a, ok := c["authentication"].(object); ok {
		switch a["type"] {
		case "basic":
			q.SetBasicAuth(p.text(a["username"], values), p.text(a["password"], values))
		case "bearer":
			q.Header.Set("Authorization", "Bearer "+p.text(a["token"], values))
		}
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	var answer object
	if err != nil || res.StatusCode/100 != 2 || json.Unmarshal(data, &answer) != nil {
		p.t.Fatalf("%s answers %s %s (%v)", q.URL, res.Status, data, err)
	}
	return answer
}

func (p *player) body(b object, values map[string]any) (media string, data []byte) {
	members := object{}
	for name, text := range b["data"].(object) {
		if v, given := p.fill(text.(string), values); given {
			members[name] = v
		}
	}
	if b["type"] == "json" {
		data, err := json.Marshal(members)
		if err != nil {
			p.t.Fatal(err)
		}
		return "application/json", data
	}
	form := url.Values{}
	for name, v := range members {
		form.Set(name, fmt.Sprint(v))
	}
	return "application/x-www-form-urlencoded", []byte(form.Encode())
}
