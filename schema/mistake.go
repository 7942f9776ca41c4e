package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// err returns all of them, in the order of their files and lines.
func (m mistakes) err() error {
	var all []error
	for _, err := range m {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(all, several.Unwrap()...)
			continue
		}
		all = append(all, err)
	}
	slices.SortStableFunc(all, func(a, b error) int {
		x, y := asMistake(a), asMistake(b)
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), strings.Compare(x.Text, y.Text))
	})
	return errors.Join(all...)
}

// asMistake returns err, or a Mistake that comes before all others.
func asMistake(err error) *Mistake {
	if m, ok := err.(*Mistake); ok {
		return m
	}
	return &Mistake{}
}
