package hosts_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/hosts"
	"bankauth/schema"
)

var update = flag.Bool("update", false, "write the golden files")

// bundled returns the bundled providers of those names, or all.
func bundled(names ...string) []*schema.Provider {
	all, err := schema.Bundled()
	if err != nil {
		panic(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(p *schema.Provider) bool { return len(names) > 0 && !slices.Contains(names, p.Name) })
}

func live() hosts.Options {
	return hosts.Options{Command: "/opt/bankauth/bin/bankauth", Providers: []*schema.Provider{bundled("fintecture")[0], {Name: "my-bank"}},
		Plain: map[string]string{"BANKAUTH_DATA_DIR": "/home/me/data", "MY_BANK_ENVIRONMENT": "production"}}
}

func simulated() hosts.Options {
	return hosts.Options{Command: `C:\Program Files\bankauth.exe`, Providers: bundled("fintecture"), Simulate: true}
}

func block(t *testing.T, name string, o hosts.Options) hosts.Config {
	t.Helper()
	c, err := hosts.Block(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBlocks(t *testing.T) {
	for _, name := range hosts.Names() {
		for kind, o := range map[string]hosts.Options{"live": live(), "simulated": simulated()} {
			c := block(t, name, o)
			if c.Host != name || c.Title == "" || c.Where == "" {
				t.Errorf("%+v is not whole", c)
			}
			golden(t, name+"-"+kind+"."+c.Format, string(c.Body))
			golden(t, name+"-"+kind+".txt", c.Where+"\n"+c.Note)
		}
	}
	if want := []string{"claude-code", "claude-desktop", "vscode", "cursor", "codex", "gemini"}; !slices.Equal(hosts.Names(), want) {
		t.Errorf("got %v, want %v", hosts.Names(), want)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update writes it):\n%s", name, diff)
	}
}

type entry struct {
	Type    string
	Command string
	Args    []string
	Env     map[string]string
}

func parse(t *testing.T, body []byte) entry {
	t.Helper()
	var file struct {
		McpServers, Servers map[string]entry
		Inputs              []map[string]any
	}
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	for _, servers := range []map[string]entry{file.McpServers, file.Servers} {
		if e, ok := servers[hosts.Server]; ok {
			return e
		}
	}
	t.Fatalf("no server %s in %s", hosts.Server, body)
	return entry{}
}

// As long as nobody fills a block in, everything in it that stands for a
// credential must count as unset.
func TestReferencesCountAsUnset(t *testing.T) {
	for _, name := range hosts.Names() {
		c := block(t, name, live())
		if c.Format != hosts.JSON {
			continue
		}
		got := parse(t, c.Body)
		var environ []string
		for variable, value := range got.Env {
			environ = append(environ, variable+"="+value)
			if !slices.Contains(config.Variables([]string{"fintecture", "my-bank"}), variable) {
				t.Errorf("%s: %s is no setting", name, variable)
			}
		}
		p, err := config.Read(environ, "linux").Provider("my-bank")
		if err != nil || len(p.Missing) != 2 || p.Environment != config.Production {
			t.Errorf("%s: got %+v, %v; want both credentials missing", name, p, err)
		}
		if got.Command != live().Command || !slices.Equal(got.Args, []string{"stdio"}) {
			t.Errorf("%s: starts %s %v", name, got.Command, got.Args)
		}
	}
}

func TestSimulatedNeedsNothing(t *testing.T) {
	for _, name := range hosts.Names() {
		c := block(t, name, simulated())
		if strings.Contains(string(c.Body)+c.Note, "CLIENT_ID") || strings.Contains(c.Note, "Credentials: ") {
			t.Errorf("%s asks for credentials:\n%s%s", name, c.Body, c.Note)
		}
		if c.Format == hosts.JSON {
			if got := parse(t, c.Body); got.Command != simulated().Command || !slices.Equal(got.Args, []string{"stdio", "--simulate"}) {
				t.Errorf("%s: starts %s %v", name, got.Command, got.Args)
			}
		}
	}
}

func TestVisualStudioCodeAsks(t *testing.T) {
	var file struct {
		Inputs []struct {
			Type, ID string
			Password bool
		}
	}
	body := block(t, "vscode", live()).Body
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Inputs) != 4 {
		t.Fatalf("got %v, want an id and a secret for each of two providers", file.Inputs)
	}
	for _, in := range file.Inputs {
		if in.Type != "promptString" || in.Password != strings.HasSuffix(in.ID, "secret") || !strings.Contains(string(body), `"${input:`+in.ID+`}"`) {
			t.Errorf("%+v does not fit its use", in)
		}
	}
}

// VS Code asks for each input at the first start, so what few need is no
// input; elsewhere it stands with the others. A provider whose documents make
// no use of it does not have it.
func TestWhatFewNeed(t *testing.T) {
	o := hosts.Options{Command: "/bankauth", Providers: append(bundled(), &schema.Provider{Name: "my-bank", OwnServers: true})}
	few := []string{"FINTECTURE_PRIVATE_KEY_FILE", "FLINKS_BASE_URL", "MY_BANK_BASE_URL"}
	for _, name := range hosts.Names() {
		body := string(block(t, name, o).Body)
		for _, variable := range few {
			if !strings.Contains(body, variable) {
				t.Errorf("%s: %s has no place", name, variable)
			}
		}
		if n := strings.Count(body, "_PRIVATE_KEY_FILE") + strings.Count(body, "_BASE_URL"); name != "vscode" && n%len(few) != 0 || name == "vscode" && n != 2*len(few) {
			t.Errorf("%s makes room for more than was declared:\n%s", name, body)
		}
		if strings.Contains(body, "${input:fintecture-private-key-file}") {
			t.Errorf("%s asks everybody for Fintecture's key", name)
		}
	}
	o.Plain = map[string]string{"FINTECTURE_PRIVATE_KEY_FILE": "/run/key", "FLINKS_BASE_URL": "https://mine.example"}
	for _, name := range hosts.Names() {
		body := string(block(t, name, o).Body)
		for variable, value := range o.Plain {
			if strings.Count(body, variable) != 1 || !strings.Contains(body, value) {
				t.Errorf("%s: %s is set, and the block has\n%s", name, variable, body)
			}
		}
	}
}

// A variable that is set where the block is printed must reach the server: by
// the path of its file, else by a reference, and never by its value.
func TestWhatIsSetIsPassedOn(t *testing.T) {
	o := live()
	o.Plain["FINTECTURE_CLIENT_ID_FILE"], o.Plain["FINTECTURE_CLIENT_SECRET_FILE"] = "/run/id", "/run/secret"
	o.Refer = []string{"MY_BANK_CLIENT_SECRET_FILE", "FINTECTURE_PRIVATE_KEY", "BANKAUTH_STORE", "BANKAUTH_VAULT_KEY"}
	simulate := simulated()
	simulate.Refer = []string{"BANKAUTH_VAULT_KEY"}
	for _, name := range hosts.Names() {
		c := block(t, name, o)
		golden(t, name+"-set."+c.Format, string(c.Body))
		if c := block(t, name, simulate); !strings.Contains(string(c.Body), "BANKAUTH_VAULT_KEY") || !strings.Contains(c.Note, "Credentials: ") {
			t.Errorf("%s: the vault key of a simulated server is not passed on:\n%s%s", name, c.Body, c.Note)
		}
	}
}

// TOML that consists of nothing but these lines needs no parser to be judged.
func TestCodexIsTOML(t *testing.T) {
	const text = `"(?:[^"\\\x00-\x1f\x7f]|\\["\\]|\\u[0-9A-F]{4})*"`
	line := regexp.MustCompile(`^(?:|\[[a-z_.]+\]|[A-Za-z_]+ = (?:` + text + `|\[` + text + `(?:, ` + text + `)*\]))$`)
	odd := live()
	odd.Command = "C:\\a \"b\"\x7f\n.exe"
	for _, o := range []hosts.Options{live(), simulated(), odd} {
		for l := range strings.Lines(string(block(t, "codex", o).Body)) {
			if !line.MatchString(strings.TrimSuffix(l, "\n")) {
				t.Errorf("%q is not of the TOML that we write", l)
			}
		}
	}
	body := string(block(t, "codex", live()).Body)
	for _, want := range []string{
		`env_vars = ["FINTECTURE_CLIENT_ID", "FINTECTURE_CLIENT_SECRET", "FINTECTURE_PRIVATE_KEY_FILE", "MY_BANK_CLIENT_ID", "MY_BANK_CLIENT_SECRET"]`,
		"[mcp_servers.openbank.env]\nBANKAUTH_DATA_DIR = \"/home/me/data\"\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing in\n%s", want, body)
		}
	}
	if body := string(block(t, "codex", odd).Body); !strings.Contains(body, `command = "C:\\a \"b\"\u007F\u000A.exe"`) {
		t.Errorf("the command is not escaped:\n%s", body)
	}
}

func TestBlockRefused(t *testing.T) {
	with := func(variable string) hosts.Options {
		o := live()
		o.Plain = map[string]string{variable: "canary"}
		return o
	}
	refer := live()
	refer.Refer = []string{"PATH"}
	for name, c := range map[string]struct {
		host string
		o    hosts.Options
		want string
	}{
		"unknown host": {"emacs", live(), "claude-code, claude-desktop, vscode, cursor, codex, gemini"},
		"secret":       {"cursor", with("MY_BANK_CLIENT_SECRET"), "MY_BANK_CLIENT_SECRET"},
		"vault key":    {"cursor", with("BANKAUTH_VAULT_KEY"), "BANKAUTH_VAULT_KEY"},
		"store":        {"cursor", with("BANKAUTH_STORE"), "BANKAUTH_STORE"},
		"no setting":   {"cursor", with("PATH"), "PATH"},
		"no setting 2": {"cursor", refer, "PATH"},
		"no command":   {"cursor", hosts.Options{}, "whole path"},
	} {
		_, err := hosts.Block(c.host, c.o)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Code != fault.InvalidArgument || !strings.Contains(f.Message+f.Hint, c.want) || strings.Contains(f.Message+f.Hint, "canary") {
			t.Errorf("%s: got %v, want a fault that says %q", name, err, c.want)
		}
	}
	if _, err := hosts.Block(" Claude-Code ", live()); err != nil {
		t.Errorf("case and space are forgiven: %v", err)
	}
}
