package config

import (
	"regexp"
	"strings"
	"sync"
)

// Hosts hand an unset reference on as it stands, so that the text of the
// reference arrives where a value should be. Such a text must not be sent to a
// bank. Only a value that is nothing but a reference counts.
var placeholder = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:` + strings.Join([]string{
		`\$\{[^{}]*\}`,                      // ${VAR}, ${VAR:-}, ${env:VAR}, ${input:x}, ${user_config.x}
		`\$(?:env:)?[A-Za-z_][A-Za-z0-9_]*`, // $VAR, $env:VAR
		`\$\([A-Za-z_][A-Za-z0-9_.-]*\)`,    // $(VAR)
		`%[A-Za-z_][A-Za-z0-9_]*%`,          // %VAR%
		`\{\{[^{}]*\}\}`,                    // {{VAR}}, {{ server.param }}
		`<[^<>]+>`,                          // <YOUR_CLIENT_ID>
	}, `|`) + `)$`)
})

// IsPlaceholder reports whether value is a reference that nobody has filled in.
func IsPlaceholder(value string) bool {
	value = strings.TrimSpace(value)
	return value != "" && strings.IndexByte("$%{<", value[0]) >= 0 && placeholder().MatchString(value)
}

// Args returns args without the settings' flags whose value is a placeholder,
// so that they count as unset too. A negative number becomes its flag's value:
// kong would take it for a flag, and a check can say what the value may be. What
// follows "--" is left alone.
func Args(args []string) []string {
	flags := map[string]bool{}
	for _, row := range settingRows() {
		if row.Flag != "" {
			flags[row.Flag] = true
		}
	}
	var kept []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(kept, args[i:]...)
		}
		name, value, joined := strings.Cut(args[i], "=")
		switch {
		case joined && flags[name] && (IsPlaceholder(value) || value == ""):
		case !joined && flags[name] && i+1 < len(args) && IsPlaceholder(args[i+1]):
			i++
		case !joined && flags[name] && i+1 < len(args) && negative(args[i+1]):
			i++
			kept = append(kept, name+"="+args[i])
		default:
			kept = append(kept, args[i])
		}
	}
	return kept
}

func negative(value string) bool {
	return len(value) > 1 && value[0] == '-' && (value[1] >= '0' && value[1] <= '9' || value[1] == '.')
}
