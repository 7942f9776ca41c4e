package hosts_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/config"
	"bankauth/internal/hosts"
)

func manifests(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := hosts.Manifests(hosts.Release{Version: "1.2.3", Providers: bundled()})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		all[f.Path] = f.Body
	}
	return all
}

// started is what a package's manifest says of how the server is started.
type started struct {
	McpServers map[string]entry
	Server     struct {
		Config entry `json:"mcp_config"`
	}
	UserConfig  map[string]answer `json:"user_config"`
	UserConfig2 map[string]answer `json:"userConfig"`
	Settings    []struct {
		EnvVar    string
		Sensitive bool
	}
}

type answer struct {
	Type      string
	Sensitive bool
	Required  bool
	Default   any
}

func (s started) env() map[string]string {
	if s.Server.Config.Env != nil {
		return s.Server.Config.Env
	}
	return s.McpServers[hosts.Server].Env
}

// TestBlankAnswersCountAsUnset: hosts hand on the reference where nothing was
// filled in. A server that is started so has no credentials, and is no
// simulation.
func TestBlankAnswersCountAsUnset(t *testing.T) {
	for _, path := range []string{"packaging/mcpb/manifest.json", ".claude-plugin/plugin.json", "gemini-extension.json", "packaging/gemini/gemini-extension.json"} {
		var m started
		if err := json.Unmarshal(manifests(t)[path], &m); err != nil {
			t.Fatal(err)
		}
		env := m.env()
		if len(env) != 3*len(shipped)+3 { // Fintecture's key, Flinks' server, and whether to simulate
			t.Errorf("%s: env is %v", path, env)
		}
		var environ []string
		for variable, value := range env {
			environ = append(environ, variable+"="+value)
			if !slices.Contains(config.Variables(shipped), variable) {
				t.Errorf("%s: %s is no setting", path, variable)
			}
		}
		read := config.Read(environ, "linux")
		for _, provider := range shipped {
			p, err := read.Provider(provider)
			if err != nil || len(p.Missing) != 2 || p.Environment != config.Sandbox || !p.PrivateKey.IsZero() || p.BaseURL != "" {
				t.Errorf("%s: %s: got %+v, %v", path, provider, p, err)
			}
		}
		if read.Has("BANKAUTH_SIMULATE") {
			t.Errorf("%s: it counts as simulated", path)
		}
	}
}

// TestSecretsAreSensitive: what the settings declare to be a secret is one in
// every package, and is nowhere a plain setting.
func TestSecretsAreSensitive(t *testing.T) {
	all := manifests(t)
	secrets := map[string]bool{}
	for _, variable := range config.Variables(shipped) {
		secrets[variable] = config.IsSecret(variable)
	}
	for path, body := range all {
		if !strings.HasSuffix(path, ".json") {
			continue
		}
		var m started
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		asked := map[string]bool{}
		for _, answers := range []map[string]answer{m.UserConfig, m.UserConfig2} {
			for key, a := range answers {
				asked[strings.ToUpper(key)] = a.Sensitive
				if a.Required || a.Sensitive && a.Default != nil {
					t.Errorf("%s: %s is %+v", path, key, a)
				}
			}
		}
		for _, s := range m.Settings {
			asked[s.EnvVar] = s.Sensitive
		}
		for variable, sensitive := range asked {
			if sensitive != secrets[variable] {
				t.Errorf("%s: %s is sensitive: %v", path, variable, sensitive)
			}
		}
		if m.Settings != nil { // Gemini asks one after the other, and not for what few need
			asked["FINTECTURE_PRIVATE_KEY_FILE"], asked["FLINKS_BASE_URL"] = false, false
		}
		if env := m.env(); len(env) > 0 && !slices.Equal(slices.Sorted(maps.Keys(env)), slices.Sorted(maps.Keys(asked))) {
			t.Errorf("%s: asks for %v and passes %v", path, slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(env)))
		}
	}
	var registry struct {
		Packages []struct {
			EnvironmentVariables []struct {
				Name     string
				IsSecret bool
			}
		}
	}
	if err := json.Unmarshal(all["server.json"], &registry); err != nil {
		t.Fatal(err)
	}
	for _, p := range registry.Packages {
		for _, v := range p.EnvironmentVariables {
			if v.IsSecret != secrets[v.Name] {
				t.Errorf("server.json: %s is secret: %v", v.Name, v.IsSecret)
			}
		}
	}
	if catalogue := string(all["packaging/docker/server.yaml"]); strings.Count(catalogue, "_CLIENT_SECRET>") != len(shipped) || strings.Contains(catalogue, "client_secret}}") {
		t.Errorf("a secret is no secret:\n%s", catalogue)
	}
}

// TestPackagesAskForWhatDocumentsUse: a provider that signs is asked for its
// key, one whose customers have servers of their own for the server, and the
// others for neither. A container sees no files of the user's, so there the key
// itself is asked for.
func TestPackagesAskForWhatDocumentsUse(t *testing.T) {
	all := manifests(t)
	for _, path := range []string{"packaging/mcpb/manifest.json", ".claude-plugin/plugin.json"} {
		var m started
		if err := json.Unmarshal(all[path], &m); err != nil {
			t.Fatal(err)
		}
		asked := m.UserConfig
		if asked == nil {
			asked = m.UserConfig2
		}
		if key, server := asked["fintecture_private_key_file"], asked["flinks_base_url"]; key.Type != "file" || key.Required || server.Type != "string" || server.Required || len(asked) != 3*len(shipped)+3 {
			t.Errorf("%s asks for %+v", path, asked)
		}
	}
	type variable struct {
		Name, Format string
		IsRequired   bool
	}
	var registry struct {
		Packages []struct {
			RegistryType         string
			EnvironmentVariables []variable
		}
	}
	if err := json.Unmarshal(all["server.json"], &registry); err != nil {
		t.Fatal(err)
	}
	key := map[string]variable{"npm": {"FINTECTURE_PRIVATE_KEY_FILE", "filepath", false}, "oci": {"FINTECTURE_PRIVATE_KEY", "", false}}
	for _, p := range registry.Packages {
		for _, want := range []variable{key[p.RegistryType], {"FLINKS_BASE_URL", "", false}} {
			if !slices.Contains(p.EnvironmentVariables, want) {
				t.Errorf("server.json: %s: %+v is not in %+v", p.RegistryType, want, p.EnvironmentVariables)
			}
		}
		if len(p.EnvironmentVariables) != 3*len(shipped)+3 {
			t.Errorf("server.json: %s asks for %+v", p.RegistryType, p.EnvironmentVariables)
		}
	}
	catalogue := string(all["packaging/docker/server.yaml"])
	for _, want := range []string{"env: FINTECTURE_PRIVATE_KEY\n", "name: FLINKS_BASE_URL\n", "flinks_base_url:\n"} {
		if !strings.Contains(catalogue, want) {
			t.Errorf("the catalogue's entry has no %q:\n%s", want, catalogue)
		}
	}
	if strings.Contains(catalogue, "_FILE") || strings.Contains(catalogue, "fintecture_base_url") {
		t.Errorf("the catalogue's entry asks for more:\n%s", catalogue)
	}
}
