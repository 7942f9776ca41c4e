package hosts

// mcpb is the manifest of a bundle for Claude Desktop, version 0.3.
type mcpb struct {
	Version        string                `json:"manifest_version"`
	Name           string                `json:"name"`
	Release        string                `json:"version"`
	Description    string                `json:"description"`
	Author         named                 `json:"author"`
	Repository     map[string]string     `json:"repository"`
	License        string                `json:"license"`
	Privacy        []string              `json:"privacy_policies"`
	Server         mcpbServer            `json:"server"`
	ToolsGenerated bool                  `json:"tools_generated"`
	UserConfig     map[string]userConfig `json:"user_config"`
	Compatibility  map[string][]string   `json:"compatibility"`
}

type mcpbServer struct {
	Type  string    `json:"type"`
	Entry string    `json:"entry_point"`
	Start mcpbStart `json:"mcp_config"`
}

type mcpbStart struct {
	Command   string               `json:"command"`
	Args      []string             `json:"args"`
	Env       map[string]string    `json:"env,omitempty"`
	Overrides map[string]mcpbStart `json:"platform_overrides,omitempty"`
}

// BundleLaunch is the script in the bundle that picks the binary for the
// processor, which a manifest cannot, and BundleWindows the one for Windows.
const (
	BundleLaunch  = "server/launch.sh"
	BundleWindows = "server/bankauth-windows-amd64.exe"
)

func (r Release) bundle() mcpb {
	return mcpb{
		Version: "0.3", Name: product, Release: r.Version, Description: about, Author: named{owner}, License: licence,
		Repository: map[string]string{"type": "git", "url": Repository},
		// Where the users' data goes: to the banks, and nowhere else.
		Privacy: []string{"https://www.fintecture.com/en/privacy/", "https://flinks.io/privacy-policy/", "https://www.finapi.io/en/data-protection-policy/"},
		Server: mcpbServer{Type: "binary", Entry: BundleLaunch, Start: mcpbStart{
			Command: "/bin/sh", Args: []string{"${__dirname}/" + BundleLaunch, "stdio"}, Env: r.env(ofUserConfig),
			Overrides: map[string]mcpbStart{"win32": {Command: "${__dirname}/" + BundleWindows, Args: []string{"stdio"}}},
		}},
		ToolsGenerated: true, UserConfig: r.userConfig(),
		Compatibility: map[string][]string{"platforms": {"darwin", "linux", "win32"}},
	}
}

// plugin is the manifest of a plugin for Claude Code. Its skills are those in
// skills/, where Claude Code looks by itself.
type plugin struct {
	Name        string                `json:"name"`
	Version     string                `json:"version"`
	Description string                `json:"description"`
	Author      named                 `json:"author"`
	Repository  string                `json:"repository"`
	License     string                `json:"license"`
	UserConfig  map[string]userConfig `json:"userConfig"`
	Servers     map[string]server     `json:"mcpServers"`
}

func (r Release) plugin() plugin {
	return plugin{Name: product, Version: r.Version, Description: about, Author: named{owner}, Repository: Repository, License: licence,
		UserConfig: r.userConfig(),
		Servers:    map[string]server{Server: {"stdio", product, []string{"stdio"}, r.env(ofUserConfig)}}}
}

func (r Release) marketplace() any {
	type listed struct {
		Name        string `json:"name"`
		Source      string `json:"source"`
		Description string `json:"description"`
	}
	return struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Owner       named    `json:"owner"`
		Plugins     []listed `json:"plugins"`
	}{product, about, named{owner}, []listed{{product, "./", about}}}
}

// gemini is the manifest of an extension for Gemini CLI that starts command: a
// program on the PATH, or one in the extension's own folder. What it does not
// ask for is taken from the environment that gemini is started from.
func (r Release) gemini(command string) any {
	type setting struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Variable    string `json:"envVar"`
		Sensitive   bool   `json:"sensitive,omitempty"`
	}
	var settings []setting
	for _, q := range r.questions() {
		if !q.rare { // the extension's installation asks one after the other
			settings = append(settings, setting{q.title, q.described(), q.variable, q.secret})
		}
	}
	return struct {
		Name        string            `json:"name"`
		Version     string            `json:"version"`
		Description string            `json:"description"`
		Servers     map[string]server `json:"mcpServers"`
		Settings    []setting         `json:"settings"`
	}{product, r.Version, about,
		map[string]server{Server: {"", command, []string{"stdio"}, r.env(func(q question) string { return "$" + q.variable })}}, settings}
}
