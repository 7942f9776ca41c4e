package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"bankauth/internal/config"
)

type manCommand struct{}

// Run prints the man page, made from the commands and the settings.
func (manCommand) Run(p *process) error {
	parser, err := newParser(p, nil)
	if err != nil {
		return err
	}
	m := page{}
	m.head()
	m.commands(parser.Model.Node)
	m.settings()
	m.tail()
	_, err = fmt.Fprint(p.out, m.String())
	return err
}

// page is a man page in the man(7) language.
type page struct{ strings.Builder }

func (m *page) head() {
	r := thisRelease()
	m.line(".TH BANKAUTH 1 %q %q", strings.Split(r.Time, "T")[0], "bankauth "+r.Version)
	m.line(".SH NAME\nbankauth \\- %s", escape(strings.ToLower(about[:1])+strings.TrimSuffix(about[1:], ".")))
	m.line(".SH SYNOPSIS\n.B bankauth\n.I command\n[\\fIflags\\fR]")
	m.line(".SH DESCRIPTION\nbankauth is an MCP server with three tools, create_access_token, refresh_token and create_user. " +
		"Tokens go into a vault; whoever asked for one gets a handle, token_ref.")
}

// commands lists every command with the arguments and flags of its own; the
// flags of the settings come once, after them.
func (m *page) commands(root *kong.Node) {
	m.line(".SH COMMANDS")
	for _, c := range root.Leaves(true) {
		var words []string
		for _, p := range c.Positional {
			words = append(words, p.Summary())
		}
		m.term("bankauth "+c.Path()+" "+strings.Join(words, " "), c.Help)
		for _, p := range c.Positional {
			m.sub(p.Summary(), p.Help)
		}
		for _, f := range c.Flags {
			if len(f.Envs) == 0 && !setting("--"+f.Name) && !f.Hidden {
				m.sub(f.String(), f.Help)
			}
		}
	}
}

func setting(flag string) bool {
	for _, row := range config.Table() {
		if row.Flag == flag {
			return true
		}
	}
	return false
}

func (m *page) settings() {
	m.line(".SH SETTINGS\nEach is an environment variable and, where it is no secret, a flag. A value that is a placeholder counts as unset.")
	for _, row := range config.Table() {
		names := row.Variable
		if row.File {
			names += ", " + row.Variable + "_FILE"
		}
		if row.Flag != "" {
			names += ", " + row.Flag
		}
		help := row.Help
		if row.Default != "" {
			help += " Default: " + row.Default + "."
		}
		m.term(names, help)
	}
}

func (m *page) tail() {
	m.line(".SH EXIT STATUS")
	m.term("0", "All went well.")
	m.term("1", "A tool answered with an error, a check needs the user, or something failed.")
	m.term("2", "The command line or a setting is wrong.")
	m.line(".SH EXAMPLES")
	m.term("bankauth demo", "Play every journey against simulated banks.")
	m.term("bankauth config claude-code", "Print a block for an MCP host.")
	m.term("bankauth call create_access_token provider=finapi grant_type=client_credentials", "Call a tool from the shell.")
}

func (m *page) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *page) term(name, text string) {
	m.line(".TP\n.B %s\n%s", escape(strings.TrimSpace(name)), escape(text))
}

// sub is a term within the term before.
func (m *page) sub(name, text string) {
	m.line(".RS\n.TP\n.I %s\n%s\n.RE", escape(name), escape(text))
}

// escape keeps roff from taking text for a request: a backslash, a hyphen that
// is to stay one, and a dot or an apostrophe where a line begins.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
