package providers

import (
	"sort"
	"strings"
)

// Explain returns the request of a call as a line for a shell, with every
// secret as "[secret]", and sends nothing. It is made by the code that makes
// the request, and shows it even where a credential is not set.
func (c *Client) Explain(call Call) (string, error) {
	m, err := c.compose(&call, true)
	if err != nil {
		return "", err
	}
	return m.explain(), nil
}

// explain writes a masked message.
func (m message) explain() string {
	var b strings.Builder
	b.WriteString("curl --request " + m.plan.request.Method + " " + quote(m.plan.request.URL.String()))
	names := make([]string, 0, len(m.header))
	for name := range m.header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range m.header[name] {
			b.WriteString(" --header " + quote(name+": "+value))
		}
	}
	if len(m.body) > 0 {
		b.WriteString(" --data-raw " + quote(string(m.body)))
	}
	return b.String()
}

// quote makes s one word of a POSIX shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
