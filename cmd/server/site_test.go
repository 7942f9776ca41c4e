package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"bankauth/internal/config"
	"bankauth/internal/hosts"
	"bankauth/tools"
)

const (
	root     = "../.."
	listings = "/.well-known/api-catalog /.well-known/ai-catalog.json /mcp/server-card /llms.txt /apis.yml"
)

var address = regexp.MustCompile(`https?://[^\s"'<>)]+`)

// identifiers name things and are not there to be fetched.
var identifiers = []string{"https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json", hosts.Repository}

// TestServeDocuments asks a running server for every document that says what
// is served, follows all that they name, and holds what they say against what
// the surfaces themselves say.
func TestServeDocuments(t *testing.T) {
	_, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	kinds := map[string]string{"/.well-known/api-catalog": `application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"`,
		"/.well-known/ai-catalog.json": "application/ai-catalog+json", "/mcp/server-card": "application/mcp-server-card+json",
		"/llms.txt": "text/plain; charset=utf-8", "/apis.yml": "application/yaml"}
	said := map[string]string{}
	for path := range strings.FieldsSeq(listings) {
		a, body := fetchFrom(t, "GET", url, path)
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != kinds[path] || a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("ETag") == "" {
			t.Errorf("%s: %s %v", path, a.Status, a.Header)
		}
		said[path] = body
		follow(t, url, body)
	}
	if a, _ := fetchFrom(t, "HEAD", url, "/.well-known/api-catalog"); a.Header.Get("Link") != "<"+url+`/.well-known/api-catalog>; rel="api-catalog"` {
		t.Errorf("HEAD answers with the Link %q", a.Header.Get("Link"))
	}

	var mcp struct {
		ServerInfo        struct{ Name, Title, Version, Description string }
		SupportedVersions []string
		Tools             []struct{ Name, Title, Description string }
	}
	ask := func(method, params string, header ...string) {
		t.Helper()
		_, body, err := post(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`, header...)
		var answer struct{ Result json.RawMessage }
		if err == nil {
			err = json.Unmarshal([]byte(body), &answer)
		}
		if err == nil {
			err = json.Unmarshal(answer.Result, &mcp)
		}
		if err != nil {
			t.Fatalf("%s: %v %s", method, err, body)
		}
	}
	ask("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`)
	ask("tools/list", `{}`)
	ask("server/discover", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}`,
		"Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: server/discover")
	var api struct {
		Info  struct{ Title, Version, Description string }
		Paths map[string]any
	}
	_, text := fetchFrom(t, "GET", url, "/openapi.json")
	if err := json.Unmarshal([]byte(text), &api); err != nil {
		t.Fatal(err)
	}

	var card struct {
		Name, Title, Version, Description string
		Remotes                           []struct {
			URL                       string
			SupportedProtocolVersions []string
		}
	}
	if err := json.Unmarshal([]byte(said["/mcp/server-card"]), &card); err != nil {
		t.Fatal(err)
	}
	var registry struct{ Name, Title, Description string }
	b, err := os.ReadFile(root + "/server.json")
	if err == nil {
		err = json.Unmarshal(b, &registry)
	}
	if err != nil {
		t.Fatal(err)
	}
	info := mcp.ServerInfo
	if card.Title != info.Title || card.Version != info.Version || card.Description != info.Description || card.Version != api.Info.Version || info.Name != api.Info.Title ||
		card.Name != registry.Name || card.Title != registry.Title || card.Description != registry.Description {
		t.Errorf("the card says %+v, initialize %+v, the OpenAPI document %+v, server.json %+v", card, info, api.Info, registry)
	}
	if len(card.Remotes) != 2 || card.Remotes[0].URL != url+"/mcp" || !slices.Equal(card.Remotes[0].SupportedProtocolVersions, mcp.SupportedVersions) {
		t.Errorf("the card has %+v, server/discover %v", card.Remotes, mcp.SupportedVersions)
	}
	var apis struct {
		Name, Description string
		APIs              []struct{ Name, Description string } `yaml:"apis"`
	}
	if err := yaml.Unmarshal([]byte(said["/apis.yml"]), &apis); err != nil {
		t.Fatal(err)
	}
	if apis.Name != info.Name || apis.Description != info.Description || len(apis.APIs) != 2 || apis.APIs[0].Description != info.Description || apis.APIs[1].Description != api.Info.Description {
		t.Errorf("apis.yml says %+v", apis)
	}
	llms, _, _ := strings.Cut(said["/llms.txt"], "\n## Interfaces")
	if !strings.Contains(llms, "# "+info.Name+"\n\n> "+info.Description+"\n") || !strings.Contains(llms, info.Version) || strings.Count(llms, "\n- [") != len(mcp.Tools) || len(mcp.Tools) == 0 {
		t.Errorf("llms.txt says %s", llms)
	}
	for _, tool := range mcp.Tools {
		about, _, _ := strings.Cut(tool.Description, "\n")
		if !strings.Contains(llms, "- ["+tool.Name+"]("+url+"/openapi.json): "+tool.Title+". "+about+"\n") || api.Paths["/v1/"+tool.Name] == nil {
			t.Errorf("llms.txt or the OpenAPI document lacks %s", tool.Name)
		}
	}
	terminate(t, s)
}

// follow fetches every address in a document: of the server, or of a file in
// the repository, which is looked for where it lies.
func follow(t *testing.T, url, document string) {
	t.Helper()
	found := address.FindAllString(document, -1)
	if len(found) == 0 {
		t.Errorf("no address in %s", document)
	}
	for _, a := range found {
		path, ours := strings.CutPrefix(a, url)
		file, stored := strings.CutPrefix(a, hosts.Repository+"/blob/main/")
		switch {
		case slices.Contains(identifiers, a):
		case stored:
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Error(err)
			}
		case !ours:
			t.Errorf("%s is not the server's", a)
		case path == "/sse": // which would not end
			if a, _ := fetchFrom(t, "POST", url, path); a.StatusCode != http.StatusMethodNotAllowed && a.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s: %s", path, a.Status)
			}
		default: // /mcp takes POST alone
			if a, _ := fetchFrom(t, "GET", url, path); a.StatusCode >= 400 && !(path == "/mcp" && a.StatusCode == http.StatusMethodNotAllowed) {
				t.Errorf("%s: %s", path, a.Status)
			}
		}
	}
}

// TestAPIsFile holds apis.yml in the repository against what a server says that
// runs with the default settings, and lists the capability files besides.
func TestAPIsFile(t *testing.T) {
	listen, _ := reflect.TypeFor[config.Serving]().FieldByName("Listen")
	set, err := tools.New(tools.Options{})
	if err != nil {
		t.Fatal(err)
	}
	site, err := siteAt("http://"+listen.Tag.Get("default"), set.Tools())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(root + "/capabilities/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		site.Capabilities = append(site.Capabilities, "capabilities/"+filepath.Base(f))
	}
	want, err := site.APIs()
	if err != nil {
		t.Fatal(err)
	}
	file := root + "/apis.yml"
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("apis.yml is stale; run go test ./cmd/server -run TestAPIsFile -update (%v)", err)
	}
	_, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	follow(t, url, strings.ReplaceAll(string(want), site.Base, url))
	terminate(t, s)
}
