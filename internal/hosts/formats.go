package hosts

import (
	"bytes"
	"encoding/json"
	"strings"
)

// The steps that a simulated block leaves out begin with this.
const credentialStep = "Credentials: "

// all returns the hosts in the order in which they are listed.
func all() []host {
	return []host{
		{
			name: "claude-code", title: "Claude Code", format: JSON, refer: form("${", ":-}"), body: mcpServers("stdio"),
			where: ".mcp.json in the project, for everyone who works on it",
			steps: []string{
				"If the file exists, add the entry " + Server + " to its mcpServers.",
				credentialStep + "export the variables in the shell that starts claude; those that you leave out count as unset.",
				"Check: claude mcp list, or /mcp in a session.",
			},
		},
		{
			name: "claude-desktop", title: "Claude Desktop", format: JSON, refer: files, body: mcpServers(""),
			where: "claude_desktop_config.json: Settings, Developer, Edit Config (macOS: ~/Library/Application Support/Claude, Windows: %APPDATA%\\Claude)",
			steps: []string{
				"If the file has mcpServers, add the entry " + Server + " to them.",
				credentialStep + "Claude Desktop fills in no variables, and secrets do not belong in its file. Write each secret into a file of its own, run chmod 600 on it, and put its whole path where the block says so. Replace each <YOUR_…>; one that is left counts as unset.",
				"Check: quit and start Claude Desktop; Settings, Developer shows " + Server + " as running.",
			},
		},
		{
			name: "vscode", title: "VS Code", format: JSON, refer: inputs, body: visualStudioCode,
			where: ".vscode/mcp.json in the workspace, or the command \"MCP: Open User Configuration\"",
			steps: []string{
				"If the file exists, add the entry " + Server + " to its servers, and the inputs to its inputs.",
				credentialStep + "VS Code asks for each when the server starts for the first time and keeps it encrypted. Leave empty what you do not use. What few need stands as ${env:…}: set it in the environment that VS Code is started from.",
				"Check: the command \"MCP: List Servers\".",
			},
		},
		{
			name: "cursor", title: "Cursor", format: JSON, refer: form("${env:", "}"), body: mcpServers("stdio"),
			where: ".cursor/mcp.json in the project, or ~/.cursor/mcp.json for all of them",
			steps: []string{
				"If the file exists, add the entry " + Server + " to its mcpServers.",
				credentialStep + "set the variables in the environment that Cursor is started from; after a change start Cursor again.",
				"Check: the MCP page of Cursor's settings lists " + Server + " with its three tools.",
			},
		},
		{
			name: "codex", title: "Codex", format: TOML, refer: nothing, body: codex,
			where: "~/.codex/config.toml, or .codex/config.toml in a trusted project",
			steps: []string{
				"Add the block at the end of the file.",
				credentialStep + "export the variables that env_vars names in the shell that starts codex; it passes on no others.",
				"Check: codex mcp list, or /mcp in a session.",
			},
		},
		{
			name: "gemini", title: "Gemini CLI", format: JSON, refer: form("$", ""), body: mcpServers(""),
			where: ".gemini/settings.json in the project, or ~/.gemini/settings.json for all of them",
			steps: []string{
				"If the file exists, add the entry " + Server + " to its mcpServers.",
				credentialStep + "export the variables in the shell that starts gemini; it withholds secrets that the env block does not name.",
				"Check: gemini mcp list, or /mcp in a session.",
			},
		},
	}
}

// form refers to a variable of the host's own environment.
func form(before, after string) func(question) map[string]string {
	return func(q question) map[string]string {
		return map[string]string{q.variable: before + q.variable + after}
	}
}

// files is for a host without references: a secret stands in a file.
func files(q question) map[string]string {
	variable := q.variable
	if q.secret {
		variable += inFile
	}
	return map[string]string{variable: "<YOUR_" + variable + ">"}
}

// inputs has VS Code ask, which it does for each input when the server starts
// for the first time: what few need it takes from its environment instead.
func inputs(q question) map[string]string {
	if q.rare {
		return form("${env:", "}")(q)
	}
	return map[string]string{q.variable: "${input:" + inputID(q.variable) + "}"}
}

func nothing(question) map[string]string { return nil }

func inputID(variable string) string {
	return strings.ReplaceAll(strings.ToLower(variable), "_", "-")
}

type server struct {
	Type    string            `json:"type,omitempty"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
}

func mcpServers(transport string) func(block) ([]byte, error) {
	return func(b block) ([]byte, error) {
		return indented(struct {
			Servers map[string]server `json:"mcpServers"`
		}{map[string]server{Server: {transport, b.command, b.args, b.env}}})
	}
}

type input struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	Description string `json:"description"`
	Password    bool   `json:"password"`
}

func visualStudioCode(b block) ([]byte, error) {
	var asked []input
	for _, q := range b.references {
		if !q.rare {
			asked = append(asked, input{"promptString", inputID(q.variable), q.title, q.secret})
		}
	}
	return indented(struct {
		Inputs  []input           `json:"inputs,omitempty"`
		Servers map[string]server `json:"servers"`
	}{asked, map[string]server{Server: {"stdio", b.command, b.args, b.env}}})
}

func indented(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // < and > are for people to read
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return out.Bytes(), err
}
