package schema

import (
	"errors"
	"fmt"
)

// Mistake is something wrong in a provider's document or overlay. Its text
// names the file and, where it is known, the line.
type Mistake struct {
	File string
	Line int // 0: not known
	Text string
}

// Error returns "file:line: text".
func (m *Mistake) Error() string {
	if m.Line == 0 {
		return fmt.Sprintf("%s: %s", m.File, m.Text)
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
}

// mistakes gathers everything that is wrong, so that an author sees it at once.
type mistakes []error

// add adds a mistake, unless it is there already.
func (m *mistakes) add(file string, line int, format string, args ...any) {
	made := Mistake{File: file, Line: line, Text: fmt.Sprintf(format, args...)}
	for _, err := range *m {
		if have, ok := err.(*Mistake); ok && *have == made {
			return
		}
	}
	*m = append(*m, &made)
}

func (m mistakes) err() error { return errors.Join(m...) }
