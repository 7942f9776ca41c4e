package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bankauth/internal/capability"
	"bankauth/schema"
)

var portIn = regexp.MustCompile(`port: (\d+)`)

// moved writes a capability file anew with free ports, and reads what it asks for.
func moved(t *testing.T, data []byte) (file string, d *capability.Deployment) {
	t.Helper()
	data = portIn.ReplaceAllFunc(data, func([]byte) []byte {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return []byte("port: " + strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	})
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	if d, err = capability.Read(data, all); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "capability.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, d
}

// send posts JSON and returns the status and the answer.
func send(t *testing.T, url, body string, header ...string) (int, map[string]any) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	var v map[string]any
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatalf("%s: %v %s", url, err, b)
	}
	return a.StatusCode, v
}

// rpc asks an MCP server and returns the result.
func rpc(t *testing.T, url, method string, params any) map[string]any {
	t.Helper()
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	_, v := send(t, url, string(b))
	result, ok := v["result"].(map[string]any)
	if !ok {
		t.Fatalf("%s: %v", method, v)
	}
	return result
}

// member returns the object in v, whatever it is.
func member(v any) map[string]any { m, _ := v.(map[string]any); return m }

// handshake is what initialize is asked with.
var handshake = map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"}}

// calling calls a tool of an adapter and returns its result, and the code of
// the error where it is one.
type calling func(t *testing.T, tool capability.Tool, args map[string]any) (result map[string]any, code any)

func callingMCP(url string) calling {
	return func(t *testing.T, tool capability.Tool, args map[string]any) (map[string]any, any) {
		t.Helper()
		result := rpc(t, url, "tools/call", map[string]any{"name": tool.Name, "arguments": args})
		if result["isError"] == true {
			var said map[string]any
			text := member(result["content"].([]any)[0])["text"].(string)
			if err := json.Unmarshal([]byte(text), &said); err != nil {
				t.Fatal(err)
			}
			return nil, member(said["error"])["code"]
		}
		return member(result["structuredContent"]), nil
	}
}

func callingREST(url string) calling {
	return func(t *testing.T, tool capability.Tool, args map[string]any) (map[string]any, any) {
		t.Helper()
		b, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		status, v := send(t, url+tool.Path, string(b))
		if status != http.StatusOK {
			return nil, v["code"]
		}
		return v, nil
	}
}

// useAll calls every tool of an adapter: each works, except that a code which no
// bank gave is found to be none.
func useAll(t *testing.T, call calling, all []capability.Tool) {
	t.Helper()
	refs := map[string]any{}
	var user any = "nobody"
	rank := func(x capability.Tool) int { // a user before its token, a token before its renewal
		return slices.Index([]string{"create_user ", "create_access_token client_credentials", "create_access_token password", "create_access_token authorization_code"}, x.Tool+" "+x.Grant)
	}
	ordered := slices.Clone(all)
	slices.SortStableFunc(ordered, func(a, b capability.Tool) int {
		return (rank(a)+9)%9 - (rank(b)+9)%9
	})
	for _, tool := range ordered {
		args, want := map[string]any{}, any(nil)
		switch tool.Tool + " " + tool.Grant {
		case "create_access_token authorization_code":
			args["code"], args["redirect_uri"], want = "made-up", "https://app.example/back", "reauthorize"
			if tool.Provider == "fintecture" {
				args["scope"] = "AIS"
			}
		case "create_access_token password":
			if args["username"] = user; user == "nobody" {
				want = "invalid_argument" // whose password is not held
			}
		case "refresh_token refresh_token", "refresh_token ":
			args["token_ref"], args["force"] = refs[tool.Provider], nil
			if tool.Provider == "finapi" && refs["user"] != nil {
				args["token_ref"] = refs["user"]
			}
		}
		got, code := call(t, tool, args)
		if code != want {
			t.Errorf("%s %v: %v, want %v", tool.Name, args, code, want)
			continue
		}
		if code != nil {
			continue
		}
		if got["provider"] != tool.Provider || got["environment"] != "simulated" {
			t.Errorf("%s: %v", tool.Name, got)
		}
		switch {
		case tool.Tool == schema.CreateUser:
			user = got["id"]
		case tool.Grant == schema.GrantPassword:
			refs["user"] = got["token_ref"]
		case tool.Tool == schema.CreateAccessToken:
			refs[tool.Provider] = got["token_ref"]
		case got["token_ref"] != args["token_ref"]:
			t.Errorf("%s: %v", tool.Name, got)
		}
	}
}

// TestDeployFiles starts each file of capabilities/ and uses everything that
// it exposes, on every adapter.
func TestDeployFiles(t *testing.T) {
	files, err := filepath.Glob(root + "/capabilities/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, source := range files {
		t.Run(filepath.Base(source), func(t *testing.T) {
			data, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			file, d := moved(t, data)
			s := start(t, nil, "serve", "--simulate", "--capability", file)
			for _, a := range d.Adapters {
				base := "http://127.0.0.1:" + strconv.Itoa(a.Port)
				at := map[string]string{"rest": "REST (" + a.Namespace + ") at " + base, "mcp": "MCP (" + a.Namespace + ") at " + base + "/", "skill": "skills (" + a.Namespace + ") at " + base + "/skills"}
				if line := s.hear(t); line != "bankauth serves "+at[a.Kind] {
					t.Errorf("it says %q, want %q", line, at[a.Kind])
				}
				for path, want := range map[string]int{"/health/ready": 200, "/mcp": 404, "/sse": 404, "/metrics": 404, "/openapi.json": 404, "/v1/tokens": 404, "/v1/create_user": 404,
					"/llms.txt": 404, "/.well-known/api-catalog": 404, "/skills": map[bool]int{true: 200, false: 404}[a.Kind == "skill"]} {
					if got, _ := fetchFrom(t, "GET", base, path); got.StatusCode != want {
						t.Errorf("%s%s: %s, want %d", a.Namespace, path, got.Status, want)
					}
				}
				if got, _ := fetchFrom(t, "GET", base, "/", "Host: rebound.example"); got.StatusCode != 403 {
					t.Errorf("%s under a strange name: %s", a.Namespace, got.Status)
				}
				switch a.Kind {
				case "rest":
					useAll(t, callingREST(base), a.Tools)
				case "mcp":
					hello := rpc(t, base, "initialize", handshake)
					if member(hello["serverInfo"])["name"] != a.Namespace || hello["instructions"] != a.Description {
						t.Errorf("%s: %v", a.Namespace, hello)
					}
					if listed := namesIn(t, rpc(t, base, "tools/list", map[string]any{})); !slices.Equal(listed, namesIn(t, map[string]any{"tools": a.Tools})) {
						t.Errorf("%s lists %v", a.Namespace, listed)
					}
					useAll(t, callingMCP(base), a.Tools)
				case "skill":
					skills(t, base, d, a)
				}
			}
			if rest := terminate(t, s); rest != "" {
				t.Errorf("more on stdout: %q", rest)
			}
		})
	}
}

// namesIn are those of the tools in a result.
func namesIn(t *testing.T, result map[string]any) []string {
	t.Helper()
	b, err := json.Marshal(result)
	var v struct{ Tools []struct{ Name string } }
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, tool := range v.Tools {
		all = append(all, tool.Name)
	}
	slices.Sort(all)
	return all
}

// skills holds a catalogue against the file.
func skills(t *testing.T, base string, d *capability.Deployment, a capability.Adapter) {
	t.Helper()
	for _, k := range a.Skills {
		_, text := fetchFrom(t, "GET", base, "/skills/"+k.Name)
		var got struct {
			Name, Description string
			Tools             []struct {
				Name          string
				InvocationRef struct{ TargetNamespace, Action, Mode string }
			}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Name != k.Name || got.Description != k.Description || len(got.Tools) != len(k.Tools) {
			t.Fatalf("%s: %s", k.Name, text)
		}
		for _, tool := range got.Tools {
			if !slices.ContainsFunc(d.Adapters, func(a capability.Adapter) bool {
				return a.Namespace == tool.InvocationRef.TargetNamespace && a.Kind == tool.InvocationRef.Mode &&
					slices.ContainsFunc(a.Tools, func(t capability.Tool) bool { return t.Name == tool.InvocationRef.Action })
			}) {
				t.Errorf("%s leads to %+v, which nobody serves", k.Name, tool)
			}
		}
		if a, body := fetchFrom(t, "GET", base, "/skills/"+k.Name+"/download"); a.StatusCode != 200 || !bytes.HasPrefix([]byte(body), []byte("PK")) {
			t.Errorf("%s cannot be downloaded: %s", k.Name, a.Status)
		}
	}
}

// subset is a file of somebody's own: three tools of two providers over stdio,
// under other names and hints, one path with a fixed scope, and figures.
const subset = `ikanos: 1.0.0-beta4
info: {display: Mine, description: Mine., tags: [Bank]}
binds:
- {namespace: env, keys: {FINTECTURE_CLIENT_ID: FINTECTURE_CLIENT_ID, FINTECTURE_CLIENT_SECRET: FINTECTURE_CLIENT_SECRET, FINAPI_CLIENT_ID: FINAPI_CLIENT_ID, FINAPI_CLIENT_SECRET: FINAPI_CLIENT_SECRET}}
capability:
  consumes:
  - type: http
    namespace: fintecture
    description: Fintecture.
    baseUri: https://api-sandbox.fintecture.com
    authentication: {type: basic, username: '{{FINTECTURE_CLIENT_ID}}', password: '{{FINTECTURE_CLIENT_SECRET}}'}
    resources:
      token:
        path: /oauth/accesstoken
        operations:
          get: {method: POST, body: {type: formUrlEncoded, data: {grant_type: client_credentials, scope: '{{scope}}', app_id: '{{FINTECTURE_CLIENT_ID}}'}}}
      renewal:
        path: /oauth/refreshtoken
        operations:
          renew: {method: POST, body: {type: formUrlEncoded, data: {grant_type: refresh_token, refresh_token: '{{refresh_token}}'}}}
  - type: http
    namespace: finapi
    description: finAPI.
    baseUri: https://sandbox.finapi.io
    resources:
      token:
        path: /api/v2/oauth/token
        operations:
          get: {method: POST, body: {type: formUrlEncoded, data: {grant_type: client_credentials, client_id: '{{FINAPI_CLIENT_ID}}', client_secret: '{{FINAPI_CLIENT_SECRET}}'}}}
  exposes:
  - type: mcp
    namespace: mine-mcp
    transport: stdio
    description: Mine, and nobody else's.
    tools:
      pay:
        display: Payments
        description: A token for payments.
        hints: {readOnly: true, destructive: true, idempotent: true, openWorld: false}
        inputParameters: {scope: {type: string, description: Which.}}
        call: fintecture.get
      again:
        description: Renew it.
        inputParameters: {token_ref: {type: string, description: The handle.}}
        call: fintecture.renew
        with: {refresh_token: '{{token_ref}}'}
      plain: {description: A token of finAPI., call: finapi.get}
  - type: rest
    namespace: mine-rest
    port: 8080
    resources:
      pis: {path: /pay/, description: Payments., operations: {pis: {method: POST, call: fintecture.get, with: {scope: PIS}}}}
  - type: skill
    namespace: mine-skill
    port: 4000
    skills:
      paying:
        description: How to pay.
        license: MIT
        argument-hint: amount
        tools: {pay: {description: Get it., from: {sourceNamespace: mine-mcp, action: pay}}}
  - {type: control, port: 9100, address: 127.0.0.1}
`

// TestDeploySubset: what the file leaves out is not there, what it names has
// its names and hints, what it fixes nobody changes. MCP over stdio keeps
// stdout to itself, and its end ends the rest.
func TestDeploySubset(t *testing.T) {
	file, d := moved(t, []byte(subset))
	_, env := simulation(t)
	secret := strings.TrimSpace(shell(t, env, "clients", "add", "ci", "--scope", "tokens:create"))
	s := start(t, env, "serve", "--capability", file)
	ask := func(method string, params any) map[string]any {
		t.Helper()
		b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
		if err != nil {
			t.Fatal(err)
		}
		s.say(t, string(b))
		var v map[string]any
		if err := json.Unmarshal([]byte(s.hear(t)), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	call := func(name string, args map[string]any) string {
		t.Helper()
		b, err := json.Marshal(ask("tools/call", map[string]any{"name": name, "arguments": args}))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if hello := member(ask("initialize", handshake)["result"]); hello["instructions"] != "Mine, and nobody else's." || member(hello["capabilities"])["resources"] != nil || member(hello["capabilities"])["prompts"] != nil {
		t.Errorf("it says %v", hello)
	}
	var pay map[string]any
	listed := member(ask("tools/list", map[string]any{})["result"])["tools"].([]any)
	for _, one := range listed {
		if member(one)["name"] == "pay" {
			pay = member(one)
		}
	}
	hints := member(pay["annotations"])
	if len(listed) != 3 || pay["title"] != "Payments" || pay["description"] != "A token for payments." || hints["readOnlyHint"] != true || hints["destructiveHint"] != true || hints["idempotentHint"] != true || hints["openWorldHint"] != false {
		t.Errorf("it lists %v", listed)
	}
	input := member(pay["inputSchema"])
	if len(member(input["properties"])) != 1 || member(member(input["properties"])["scope"])["description"] != "Which." || !slices.Equal(input["required"].([]any), []any{"scope"}) {
		t.Errorf("pay takes %v", input)
	}
	tokens := map[string]string{}
	for name, args := range map[string]map[string]any{"pay": {"scope": "PIS"}, "plain": nil} {
		said := call(name, args)
		if _, rest, ok := strings.Cut(said, `"token_ref":"`); ok {
			tokens[name], _, _ = strings.Cut(rest, `"`)
		} else {
			t.Fatalf("%s: %s", name, said)
		}
	}
	for _, c := range []struct {
		name string
		args map[string]any
		part string
	}{
		{"again", map[string]any{"token_ref": tokens["pay"]}, tokens["pay"]},
		{"again", map[string]any{"token_ref": tokens["plain"]}, "renews tokens of fintecture"},
		{"again", nil, "lacks token_ref"},
		{"again", map[string]any{"token_ref": "tok_" + strings.Repeat("a", 32)}, "call pay and use the token_ref that it returns"},
		{"pay", map[string]any{"scope": "PIS", "provider": "flinks"}, "has no argument provider"},
		{"pay", nil, "lacks scope"},
		{"plain", map[string]any{"grant_type": "password"}, "takes no arguments"},
		{"create_access_token", map[string]any{"provider": "flinks", "grant_type": "client_credentials"}, "there is no such tool"},
	} {
		if said := call(c.name, c.args); !strings.Contains(said, c.part) {
			t.Errorf("%s %v: %s, want %s", c.name, c.args, said, c.part)
		}
	}
	if said := ask("resources/list", map[string]any{}); said["error"] == nil {
		t.Errorf("there are resources: %v", said)
	}

	base := func(i int) string { return "http://127.0.0.1:" + strconv.Itoa(d.Adapters[i].Port) }
	bearer := "Authorization: Bearer " + secret
	for _, c := range []struct {
		path, body, header string
		status             int
		key, value         string
	}{
		{"/pay/", ``, bearer, 200, "scope", "PIS"},
		{"/pay/", `{"scope":"AIS"}`, bearer, 400, "code", "invalid_argument"},
		{"/pay/", ``, "X: y", 401, "code", "credentials_rejected"},
		{"/pay/more", ``, bearer, 404, "", ""},
		{"/v1/create_access_token", `{}`, bearer, 404, "", ""},
	} {
		if status, v := send(t, base(1)+c.path, c.body, c.header); status != c.status || c.key != "" && v[c.key] != c.value {
			t.Errorf("%s %s: %d %v", c.path, c.body, status, v)
		}
	}
	for i, paths := range map[int]map[string]string{
		2: {"/skills": `"license":"MIT","tools":["pay"]`, "/skills/paying": `"argument-hint":"amount"`, "/skills/paying/download": "no files"},
		3: {"/metrics": "a bearer token is needed", "/health/live": "ok", "/skills": "nothing at this path"},
	} {
		for path, part := range paths {
			if _, body := fetchFrom(t, "GET", base(i), path); !strings.Contains(body, part) {
				t.Errorf("%s: %s", path, body)
			}
		}
	}
	if a, body := fetchFrom(t, "GET", base(3), "/metrics", bearer); a.StatusCode != 200 || !strings.Contains(body, `bankauth_connections{adapter="mine-rest"}`) {
		t.Errorf("/metrics: %s", a.Status)
	}
	s.end(t)
}

// TestDeployRefuses: what cannot be honoured is named, and nothing listens.
func TestDeployRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, env := simulation(t)
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(subset) }
	for name, c := range map[string]struct {
		file string
		args []string
		part string
	}{
		"another environment": {swap("https://api-sandbox.fintecture.com", "https://api.fintecture.com"), nil,
			"pay of mine-mcp (line 36) is for fintecture in production, and bankauth is set to sandbox"},
		"a provider that is not offered": {subset, []string{"--providers", "finapi"}, "calls fintecture.get, which is no operation of finapi"},
		"a port that is taken": {swap("port: 8080", "port: "+taken.Addr().String()[len("127.0.0.1:"):]), []string{"--simulate"},
			"cannot listen on the address of the adapter mine-rest"},
		"beyond loopback":    {swap("    port: 8080", "    port: 8080\n    address: 0.0.0.0"), []string{"--simulate"}, "the adapter mine-rest is beyond loopback, and anybody could call"},
		"its own callers":    {swap("    port: 4000", "    port: 4000\n    authentication: {type: bearer, token: '{{FINAPI_CLIENT_ID}}'}"), nil, "the adapter mine-skill has an authentication of its own"},
		"a path of ours":     {swap("/pay/", "/health/live"), nil, "where bankauth says how it is (line"},
		"a path like a host": {swap("path: /pay/", "path: '/a b'"), nil, "not made of plain names (line"},
		"a mistake":          {swap("call: finapi.get", "call: finapi.none"), nil, "mistake on line"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "capability.yaml")
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("bankauth", append([]string{"serve", "--capability", file}, c.args...)...)
			cmd.Env = outside(t, env)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.part) || strings.Contains(string(out), "bankauth serves") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
