package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"bankauth/internal/hosts"
)

// TestMain works from the repository's root, as the command does.
func TestMain(m *testing.M) {
	if err := os.Chdir(filepath.Join("..", "..")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestManifestsAreCurrent(t *testing.T) {
	files, err := hosts.Manifests(release())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if body, err := os.ReadFile(f.Path); err != nil || !bytes.Equal(body, f.Body) {
			t.Errorf("%s is not what go run ./internal/pack writes: %v", f.Path, err)
		}
	}
}

// fits holds a document against the schema in testdata.
func fits(t *testing.T, schema, format string, body []byte) error {
	t.Helper()
	var v any
	var err error
	if format == "yaml" {
		if err = yaml.Unmarshal(body, &v); err == nil {
			body, err = json.Marshal(v)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("internal", "pack", "testdata", schema))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestManifestsFitTheirSchemas(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "a.mcpb")
	if err := os.WriteFile(bundle, []byte("a bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	var registry bytes.Buffer
	if err := printRegistry(&registry, bundle); err != nil || !strings.Contains(registry.String(), "/releases/download/v"+version+"/bankauth-"+version+".mcpb") {
		t.Errorf("%v: %s", err, registry.Bytes())
	}
	for _, c := range []struct {
		schema, format, file string
		body                 []byte
		drop                 string // without this it must not fit
	}{
		{"server.schema.json", "json", "server.json", nil, `"version"`},
		{"server.schema.json", "json", "", registry.Bytes(), `"version"`},
		{"mcpb.schema.json", "json", "packaging/mcpb/manifest.json", nil, `"entry_point"`},
		{"goreleaser.schema.json", "yaml", ".goreleaser.yaml", nil, "goarch"},
	} {
		body := c.body
		if c.file != "" {
			var err error
			if body, err = os.ReadFile(c.file); err != nil {
				t.Fatal(err)
			}
		}
		if err := fits(t, c.schema, c.format, body); err != nil {
			t.Errorf("%s: %v", c.file, err)
		}
		if fits(t, c.schema, c.format, bytes.Replace(body, []byte(c.drop), []byte(c.drop[:len(c.drop)-1]+"X"+c.drop[len(c.drop)-1:]), 1)) == nil {
			t.Errorf("%s also fits without %s", c.file, c.drop)
		}
	}
}

// TestReleaseIsBuiltInOneWay: goreleaser, the Dockerfile and this command build
// with the same flags and for the same platforms.
func TestReleaseIsBuiltInOneWay(t *testing.T) {
	var config struct {
		Builds []struct {
			Env, Flags, LDFlags, GoOS, GoArch []string
		}
	}
	body, err := os.ReadFile(".goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(body, &raw); err != nil {
		t.Fatal(err)
	}
	if body, err = json.Marshal(raw); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &config); err != nil {
		t.Fatal(err)
	}
	b := config.Builds[0]
	var platforms []hosts.Platform
	for _, system := range b.GoOS {
		for _, processor := range b.GoArch {
			platforms = append(platforms, hosts.Platform{OS: system, Arch: processor})
		}
	}
	if !slices.Equal(platforms, hosts.Platforms()) || !slices.Equal(b.Env, []string{"CGO_ENABLED=0"}) || !slices.Equal(b.Flags, []string{"-trimpath", "-modfile=build/release/go.mod"}) || !slices.Equal(b.LDFlags, []string{stripped}) {
		t.Errorf(".goreleaser.yaml builds otherwise: %+v", b)
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(ci, []byte("go install "+lister+" ")) {
		t.Errorf(".ci/run has not %s", lister)
	}
	docker, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nRUN go run ./internal/pack -prepare\n",
		`RUN CGO_ENABLED=0 go build -trimpath -modfile=build/release/go.mod -ldflags="` + stripped + `" `,
		`LABEL io.modelcontextprotocol.server.name="` + hosts.RegistryID + `"`,
		`"` + hosts.Repository + `"`,
		"\nUSER 65532:65532\n", "\nENTRYPOINT [\"/usr/local/bin/bankauth\"]\nCMD [\"stdio\"]\n",
	} {
		if !bytes.Contains(docker, []byte(want)) {
			t.Errorf("the Dockerfile does not have %s", want)
		}
	}
}

// TestCatalogue holds the entry to what Docker's cmd/validate refuses; its form,
// which prettier judges, is TestPrettier's.
func TestCatalogue(t *testing.T) {
	var entry bytes.Buffer
	commit := strings.Repeat("0123456789", 4)
	if err := printCatalogue(&entry, commit); err != nil {
		t.Fatal(err)
	}
	var c struct {
		Name, Type string
		About      struct{ Title, Description string }
		Source     struct{ Project, Commit, Dockerfile string }
		Config     struct {
			Description string
			Secrets     []struct{ Name string }
			Env         []struct{ Name, Value string }
			Parameters  struct {
				Properties map[string]struct{ Type string }
			}
		}
	}
	if err := yaml.Unmarshal(entry.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(c.Name) || c.Type != "server" {
		t.Errorf("it is named %q, of type %q", c.Name, c.Type)
	}
	for word := range strings.FieldsSeq(c.About.Title) {
		if word[:1] != strings.ToUpper(word[:1]) || strings.Contains(word, "MCP") || strings.Contains(word, "Server") {
			t.Errorf("its title is %q", c.About.Title)
		}
	}
	if c.Source.Commit != commit || c.Source.Project != hosts.Repository || c.About.Description == "" || c.Config.Description == "" {
		t.Errorf("it is %+v", c)
	}
	if _, err := os.Stat(c.Source.Dockerfile); err != nil {
		t.Error(err)
	}
	for _, s := range c.Config.Secrets {
		if !strings.HasPrefix(s.Name, c.Name+".") {
			t.Errorf("a secret is named %q", s.Name)
		}
	}
	for _, e := range c.Config.Env {
		key := strings.TrimSuffix(strings.TrimPrefix(e.Value, "{{"+c.Name+"."), "}}")
		if c.Config.Parameters.Properties[key].Type == "" {
			t.Errorf("%s is %q, which is no parameter", e.Name, e.Value)
		}
	}
	for _, moved := range []string{"main", "v1.0.0", commit[:12], strings.ToUpper(commit[:39] + "a")} {
		if err := printCatalogue(io.Discard, moved); err == nil {
			t.Errorf("%q passes for a commit", moved)
		}
	}
}

// TestNothingRunsAtInstallation: no npm package has a script, and each is for
// one platform or for all.
func TestNothingRunsAtInstallation(t *testing.T) {
	all := map[string][]byte{}
	for _, p := range hosts.Platforms() {
		body, err := release().NPMBinary(p)
		if err != nil {
			t.Fatal(err)
		}
		all[p.OS+"/"+p.Arch] = body
	}
	main, err := os.ReadFile("packaging/npm/package.json")
	if err != nil {
		t.Fatal(err)
	}
	all["main"] = main
	var named struct{ Name string }
	if err := json.Unmarshal(main, &named); err != nil {
		t.Fatal(err)
	}
	mainName := named.Name // which the launcher reads from its own package.json
	names := map[string]string{}
	var optional map[string]string
	for where, body := range all {
		var p struct {
			Name, Version, McpName string
			Scripts, Optional      map[string]string
			OptionalDependencies   map[string]string
			OS, CPU                []string
		}
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		if p.Scripts != nil {
			t.Errorf("%s has scripts", where)
		}
		if where == "main" {
			optional = p.OptionalDependencies
			if p.McpName != hosts.RegistryID {
				t.Errorf("mcpName is %q", p.McpName)
			}
			continue
		}
		names[p.Name] = p.Version
		if want := mainName + "-" + strings.Join(p.OS, ",") + "-" + strings.Join(p.CPU, ","); p.Name != want {
			t.Errorf("%s is called %s, and the launcher looks for %s", where, p.Name, want)
		}
	}
	if len(names) != 6 || len(optional) != 6 {
		t.Errorf("%d packages, %d dependencies", len(names), len(optional))
	}
	for name, version := range names {
		if optional[name] != version {
			t.Errorf("%s is not among the dependencies", name)
		}
	}
}

// TestReleaseIsSmall builds the binary as it is released: stripped below 30 MB,
// without cgo, and on Linux without a dynamic linker.
func TestReleaseIsSmall(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bankauth")
	if err := compile(hosts.Platform{OS: "linux", Arch: runtime.GOARCH}, program, stripped); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of %d", len(file), most)
	if len(file) >= most {
		t.Errorf("the release binary has %d bytes, and may have %d; go run ./internal/pack -sizes says what is in it", len(file), most)
	}
	if bytes.Contains(file, []byte("/ld-linux")) || bytes.Contains(file, []byte("/ld-musl")) {
		t.Error("it wants a dynamic linker")
	}
	if home, err := os.UserHomeDir(); err == nil && len(home) > 5 && bytes.Contains(file, []byte(home)) {
		t.Error("it has the path of this machine's home folder")
	}
}

// TestSizes: the table of docs/dependencies.md says what a release is made of
// today, to a tenth.
func TestSizes(t *testing.T) {
	var out bytes.Buffer
	if err := printSizes(&out); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	now, said := sizes(t, out.String()), sizes(t, string(page))
	for _, want := range []string{"modernc.org/sqlite", "github.com/pb33f/libopenapi", "github.com/mark3labs/mcp-go", "bankauth", "**the binary, stripped**"} {
		if now[want] == 0 {
			t.Errorf("there is no row for %s:\n%s", want, out.Bytes())
		}
	}
	for module, n := range now {
		if math.Abs(n-said[module]) > n/10+0.05 {
			t.Errorf("%s has %.2f MB, and docs/dependencies.md says %.2f; put in what go run ./internal/pack -sizes prints", module, n, said[module])
		}
	}
}

// sizes reads the rows of a table: megabytes, without the linker's tables, by
// module.
func sizes(t *testing.T, table string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for _, row := range regexp.MustCompile(`(?m)^\| \**(\d+\.\d\d) MB\** \| \**\d+\.\d\d MB\** \| (.+) \|$`).FindAllStringSubmatch(table, -1) {
		n, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		all[row[2]] = n
	}
	return all
}

// TestLaunchScriptPicks runs the bundle's script with a uname that says what it
// is told.
func TestLaunchScriptPicks(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh on the PATH")
	}
	dir, bin := t.TempDir(), t.TempDir()
	script, err := os.ReadFile("packaging/mcpb/launch.sh")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		filepath.Join(dir, "launch.sh"): string(script),
		filepath.Join(bin, "uname"):     "#!/bin/sh\n[ \"$1\" = -s ] && echo \"$S\" || echo \"$M\"\n",
	}
	for _, p := range hosts.Platforms() {
		name := "bankauth-" + p.OS + "-" + p.Arch
		files[filepath.Join(dir, name)] = "#!/bin/sh\necho " + name + " \"$@\"\n"
	}
	for path, text := range files {
		mode := os.FileMode(0o644) // as some hosts unpack
		if strings.HasSuffix(path, "uname") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ system, machine, want string }{
		{"Linux", "x86_64", "linux-amd64"}, {"Linux", "aarch64", "linux-arm64"}, {"Darwin", "arm64", "darwin-arm64"}, {"Darwin", "x86_64", "darwin-amd64"},
	} {
		cmd := exec.Command(sh, filepath.Join(dir, "launch.sh"), "stdio", "a b")
		cmd.Env = []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "S=" + c.system, "M=" + c.machine}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != "bankauth-"+c.want+" stdio a b" {
			t.Errorf("%s %s: %v, %s", c.system, c.machine, err, got)
		}
	}
}
