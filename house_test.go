// Package house holds the rules of the house as tests: which room may know
// which, who may open a secret, and that the docs say what the code does.
package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/config"
)

// rooms says what each room may import of ours, and why no more. A room that
// is not listed fails the test: a new one states its place first.
var rooms = map[string]struct {
	may []string
	why string
}{
	"internal/secret":         {nil, "what must never be printed stands on nothing"},
	"internal/fault":          {nil, "how calls fail stands on nothing"},
	"internal/token":          {[]string{"internal/secret"}, "it says what a provider issues, no more"},
	"internal/typo":           {nil, "it compares words, whatever they are about"},
	"internal/yamlfile":       {nil, "it reads files and keeps their lines; what is in them is its callers' business"},
	"openapi":                 {nil, "it carries files"},
	"schema":                  {[]string{"openapi", "internal/fault", "internal/yamlfile"}, "it knows documents; no network, no provider by name, no mcp-go"},
	"providers":               {[]string{"schema", "internal/fault", "internal/secret", "internal/token"}, "it speaks HTTP; the vault is not its business"},
	"internal/vault":          {[]string{"internal/fault", "internal/secret", "internal/token"}, "it keeps tokens; tools hands it a function that mints"},
	"internal/consent":        {[]string{"internal/fault", "internal/secret", "internal/vault"}, "it waits for a person's browser, in whatever process of a vault; what comes of it others know"},
	"internal/stdio":          {nil, "it carries messages and knows nothing of what is in them"},
	"internal/config":         {[]string{"internal/fault", "internal/secret", "internal/typo"}, "it reads settings"},
	"internal/hosts":          {[]string{"internal/config", "internal/fault", "schema"}, "it writes other programs' configuration; what a provider wants set its documents say"},
	"internal/problem":        {[]string{"internal/fault"}, "it says over HTTP how calls fail, whoever asks"},
	"internal/auth":           {[]string{"schema", "internal/config", "internal/fault", "internal/problem", "internal/secret"}, "it says who calls and what they may; it knows the tools by name, and no answer"},
	"internal/httpd":          {[]string{"internal/auth", "internal/fault", "internal/problem", "internal/stdio"}, "it holds the edge and carries messages; how one is checked and answered is stdio's to say, and what is in it is neither's"},
	"internal/rest":           {[]string{"internal/auth", "internal/fault", "internal/problem", "internal/secret", "internal/vault", "tools"}, "it carries the tools over HTTP; what they answer is theirs, and the vault remembers it"},
	"internal/trace":          {[]string{"internal/config"}, "it carries numbers to a collector"},
	"internal/capability":     {[]string{"internal/config", "internal/fault", "internal/yamlfile", "schema"}, "it writes, checks and reads capability files; what serves them is above it"},
	"skills":                  {nil, "it carries files"},
	"internal/skill":          {[]string{"internal/problem", "skills"}, "it serves files and knows none of the tools that they speak of"},
	"internal/discovery":      {[]string{"internal/problem", "internal/skill"}, "it says what others serve; it is told, and asks none of them"},
	"internal/pack":           {[]string{"internal/hosts", "schema"}, "it puts packages together; what is in them hosts says"},
	"internal/simulator":      {[]string{"internal/secret"}, "it is the bank: were it to know our documents, it would agree with our mistakes"},
	"internal/journey":        {[]string{"internal/simulator", "internal/secret", "internal/vault"}, "it plays an agent and a person, through the wire"},
	"tools":                   {[]string{"providers", "schema", "internal/vault", "internal/consent", "internal/fault", "internal/secret", "internal/token", "internal/typo"}, "it joins provider, vault and answer"},
	"internal/egress":         {[]string{"tools", "providers", "schema", "internal/fault", "internal/problem"}, "it carries requests; what a token is and where it may go, tools and providers know"},
	"cmd/server":              {[]string{"*"}, "it wires"},
	"internal/bench":          {[]string{"openapi"}, "it measures the binary from outside; openapi has files that it copies"},
	"internal/bench/floor":    {[]string{"internal/stdio"}, "it is what we compare with"},
	"internal/bench/provider": {nil, "it is the far end of a benchmark"},
	"internal/clients":        {nil, "it runs clients that others wrote"},
	"internal/testdb":         {nil, "it starts databases for tests, and only tests import it"},
}

// outside says which rooms may import a package of others.
var outside = map[string]struct {
	rooms []string
	why   string
}{
	"github.com/mark3labs/mcp-go":              {[]string{"tools", "cmd/server", "internal/bench/floor"}, "so that the MCP library can be replaced in one place; the others speak to it over a wire"},
	"github.com/pb33f/libopenapi":              {[]string{"schema"}, "only schema reads documents"},
	"github.com/santhosh-tekuri/jsonschema/v6": {[]string{"internal/capability", "internal/yamlfile", "schema"}, "its error texts quote values; those who check write our own"},
	"modernc.org/sqlite":                       {[]string{"internal/vault"}, "only the vault has a store"},
	"github.com/jackc/pgx/v5":                  {[]string{"internal/vault", "internal/testdb"}, "only the vault has a store; tests start one"},
	"database/sql":                             {[]string{"internal/vault", "internal/testdb"}, "only the vault has a store; tests start one"},
	"github.com/VictoriaMetrics/metrics":       {[]string{"internal/httpd"}, "one room counts"},
	"go.opentelemetry.io/otel":                 {[]string{"internal/trace"}, "one room traces"},
	"github.com/alecthomas/kong":               {[]string{"internal/config", "cmd/server"}, "settings and commands are declared there"},
	"net/http":                                 {[]string{"providers", "internal/consent", "internal/egress", "internal/skill", "internal/simulator", "internal/journey", "internal/bench", "internal/bench/floor", "internal/bench/provider", "internal/problem", "internal/auth", "internal/rest", "internal/httpd", "internal/trace", "internal/discovery", "cmd/server"}, "only providers talks to a bank; consent serves a browser, egress the programs that would talk to one; the others serve, or ask an issuer or a collector"},
	"github.com/coreos/go-oidc/v3":             {[]string{"internal/auth"}, "one room judges tokens"},
	"github.com/go-jose/go-jose/v4":            {[]string{"internal/auth"}, "one room judges tokens"},
}

const module = "bankauth"

func TestArrowsPointDown(t *testing.T) {
	all := importsByRoom(t)
	for room, imports := range all {
		rule, listed := rooms[room]
		if !listed {
			t.Errorf("%s is a new room: give it a line in rooms, with what it may import and why", room)
			continue
		}
		for _, path := range imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok {
				if !slices.Contains(rule.may, ours) && (!slices.Contains(rule.may, "*") || ours == "internal/testdb") {
					t.Errorf("%s imports %s; it may not: %s", room, ours, rule.why)
				}
			}
			for prefix, o := range outside {
				if (path == prefix || strings.HasPrefix(path, prefix+"/")) && !slices.Contains(o.rooms, room) {
					t.Errorf("%s imports %s; only %s may: %s", room, path, strings.Join(o.rooms, ", "), o.why)
				}
			}
		}
	}
	for room, rule := range rooms {
		if _, there := all[room]; !there && room != "internal/clients" { // which has tests alone
			t.Errorf("rooms lists %s, which is not there", room)
		}
		for _, ours := range rule.may {
			if ours != "*" && !slices.Contains(all[room], module+"/"+ours) {
				t.Errorf("%s may import %s and does not: take it out of rooms", room, ours)
			}
		}
	}
	for path, o := range outside {
		for _, room := range o.rooms {
			if !slices.ContainsFunc(all[room], func(i string) bool { return i == path || strings.HasPrefix(i, path+"/") }) {
				t.Errorf("%s may import %s and does not: take it out of outside", room, path)
			}
		}
	}
}

// mayReveal lists the files that may open a secret, each with its reason.
var mayReveal = map[string]string{
	"internal/secret/secret.go":          "it defines Reveal",
	"providers/reveal.go":                "puts it into the request",
	"internal/consent/kept.go":           "has the vault seal it",
	"internal/consent/page.go":           "sends the person's browser to the bank, with the state",
	"internal/vault/codec.go":            "seals it",
	"internal/vault/key.go":              "reads the vault's key",
	"internal/vault/postgres.go":         "reads the database's address, which holds a password",
	"tools/result.go":                    "the only exit, beyond the exposure handle",
	"tools/identity.go":                  "fingerprints a client id that a caller brought along",
	"internal/rest/answers.go":           "gives an answer again",
	"internal/auth/reveal.go":            "hashes and judges the token that a caller sends",
	"internal/trace/export.go":           "sends the collector its credentials",
	"cmd/server/clients.go":              "shows a new client's token, once",
	"cmd/server/simulate.go":             "prints the simulator's made-up credentials",
	"cmd/server/exec.go":                 "puts it into the environment of the command that was asked for",
	"cmd/server/tokens_end.go":           "prints it to whoever asked for it by name",
	"internal/journey/secrets.go":        "searches the transcript for the secrets",
	"internal/simulator/finapi_users.go": "finAPI answers with the password",
}

func TestWhoOpensSecrets(t *testing.T) {
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, may := mayReveal[file]
		switch opens := bytes.Contains(b, []byte(".Reveal")) || file == "internal/secret/secret.go"; {
		case opens && !may:
			t.Errorf("%s opens a secret; pass the secret.Value on, or add the file to mayReveal with a reason", file)
		case may && !opens:
			t.Errorf("%s opens no secret; take it out of mayReveal", file)
		}
	}
}

// TestNoSecretsByAccident forbids what has leaked or lost tokens elsewhere.
func TestNoSecretsByAccident(t *testing.T) {
	forbidden := map[string]string{
		"InsecureSkipVerify:":        "TLS is always verified",
		"http.DefaultClient":         "it follows redirects and knows no deadline",
		"http.DefaultTransport":      "it keeps two connections a host",
		"WithInputSchemaValidation(": "mcp-go's texts quote values",
		"WithRecovery(":              "mcp-go sends the panic's text to the client",
		"os.Getenv(":                 "settings come through internal/config",
		"fmt.Println(":               "stdout belongs to MCP messages",
	}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "internal/bench/") || strings.HasPrefix(file, "internal/testdb/") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for text, why := range forbidden {
			// The keyring's own library looks for the session bus there.
			if text == "os.Getenv(" && file == "internal/vault/keyring.go" {
				continue
			}
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s has %s: %s", file, text, why)
			}
		}
	}
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || path == "build" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// importsByRoom parses every file that is no test.
func importsByRoom(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		room := filepath.ToSlash(filepath.Dir(file))
		for _, i := range f.Imports {
			all[room] = append(all[room], strings.Trim(i.Path.Value, `"`))
		}
		if len(f.Imports) == 0 {
			all[room] = append(all[room], "")
		}
	}
	return all
}

// TestDependenciesAreExplained: every module we require by ourselves has its
// line in docs/dependencies.md, and no line speaks of one that is gone.
func TestDependenciesAreExplained(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("go mod edit: %s", exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if r.Indirect {
			continue
		}
		direct = append(direct, r.Path)
		if !bytes.Contains(doc, []byte("| `"+r.Path+"` |")) {
			t.Errorf("docs/dependencies.md has no line for %s: what is it for, why this one?", r.Path)
		}
	}
	for _, line := range strings.Split(string(doc), "\n") {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			if !slices.Contains(direct, name) {
				t.Errorf("docs/dependencies.md speaks of %s, which go.mod does not require", name)
			}
		}
	}
}

var update = flag.Bool("update", false, "rewrite the generated parts of the docs")

// TestReadmeSettings holds the README's table against the declarations.
func TestReadmeSettings(t *testing.T) {
	const from, to = "<!-- settings -->\n", "<!-- /settings -->"
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatal("README.md has lost the marks around its settings table")
	}
	want := before + from + config.Markdown() + to + after
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(b) {
		t.Error("README.md has another settings table than internal/config declares; run go test . -update")
	}
}
