package hosts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func codex(b block) ([]byte, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "[mcp_servers.%s]\ncommand = %s\nargs = %s\n", Server, tomlString(b.command), tomlList(b.args))
	if len(b.references) > 0 {
		var names []string
		for _, q := range b.references {
			names = append(names, q.variable)
		}
		fmt.Fprintf(&out, "env_vars = %s\n", tomlList(names))
	}
	if len(b.env) > 0 {
		fmt.Fprintf(&out, "\n[mcp_servers.%s.env]\n", Server)
		for _, name := range slices.Sorted(maps.Keys(b.env)) {
			fmt.Fprintf(&out, "%s = %s\n", name, tomlString(b.env[name]))
		}
	}
	return []byte(out.String()), nil
}

// tomlString returns a basic string of TOML 1.0.
func tomlString(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func tomlList(texts []string) string {
	var quoted []string
	for _, s := range texts {
		quoted = append(quoted, tomlString(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
