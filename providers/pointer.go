package providers

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parsePointer splits a JSON Pointer (RFC 6901). "" gives nil: in a schema it
// means that there is no such place.
func parsePointer(p string) ([]string, bool) {
	if p == "" {
		return nil, true
	}
	if p[0] != '/' {
		return nil, false
	}
	place := strings.Split(p[1:], "/")
	for i, token := range place {
		place[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	return place, true
}

// document is the body of an answer. Only the places that somebody looks for
// are decoded; names are compared exactly.
//
// It can be asked even when the body is not whole or not JSON: then it tells
// what stands complete in front of the damage. Whether it is whole is a
// question of its own.
type document struct {
	body  []byte
	whole bool     // one JSON object in UTF-8 and nothing else
	top   []member // its members, up to the damage
}

type member struct {
	name  string
	value []byte
}

var bom = []byte("\xef\xbb\xbf")

func parse(body []byte) document {
	d := document{body: body}
	// A byte order mark is refused (RFC 8259 §8.1), but what stands behind it
	// is still looked at.
	start := bytes.TrimLeft(bytes.TrimPrefix(body, bom), " \t\r\n")
	if len(start) == 0 || start[0] != '{' {
		return d
	}
	d.whole = utf8.Valid(body) && json.Valid(body)
	d.top = members(start)
	return d
}

// find returns the value at place: nil when there is none. The name is
// ambiguous when one of those on the way is given more than once; then the
// last one is returned.
func (d document) find(place []string) (value []byte, ambiguous bool) {
	if len(place) == 0 {
		return nil, false
	}
	value, ambiguous = pick(d.top, place[0])
	for _, token := range place[1:] {
		var again bool
		value, again = step(value, token)
		ambiguous = ambiguous || again
	}
	return value, ambiguous
}

func step(value []byte, token string) ([]byte, bool) {
	if len(value) == 0 {
		return nil, false
	}
	switch value[0] {
	case '{':
		return pick(members(value), token)
	case '[':
		n, err := strconv.Atoi(token)
		if all := elements(value); err == nil && n >= 0 && n < len(all) {
			return all[n], false
		}
	}
	return nil, false
}

func pick(all []member, name string) (value []byte, ambiguous bool) {
	for i := range all {
		if all[i].name == name {
			ambiguous = value != nil
			value = all[i].value
		}
	}
	return value, ambiguous
}

// members returns the members of the object at the start of b, up to the
// first that is not complete.
func members(b []byte) []member {
	all := make([]member, 0, 8)
	for i := space(b, 1); i < len(b) && b[i] == '"'; {
		end := skip(b, i)
		if end < 0 {
			break
		}
		name, ok := text(b[i:end])
		i = space(b, end)
		if !ok || i >= len(b) || b[i] != ':' {
			break
		}
		i = space(b, i+1)
		if end = skip(b, i); end < 0 {
			break
		}
		all = append(all, member{name, b[i:end]})
		if i = space(b, end); i >= len(b) || b[i] != ',' {
			break
		}
		i = space(b, i+1)
	}
	return all
}

// elements returns the elements of the array at the start of b, up to the
// first that is not complete.
func elements(b []byte) [][]byte {
	var all [][]byte
	for i := space(b, 1); ; {
		end := skip(b, i)
		if end < 0 {
			break
		}
		all = append(all, b[i:end])
		if i = space(b, end); i >= len(b) || b[i] != ',' {
			break
		}
		i = space(b, i+1)
	}
	return all
}

// skip returns the end of the value at i, or -1 when it is not complete. It
// finds its way; it does not check.
func skip(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		for i++; i < len(b); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return -1
	case '{', '[':
		return skipNested(b, i)
	case '}', ']', ',', ':':
		return -1
	}
	for i < len(b) && !strings.ContainsRune(" \t\r\n,:]}", rune(b[i])) {
		i++
	}
	if i == len(b) {
		return -1
	}
	return i
}

func skipNested(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
			if depth == 0 {
				return i
			}
		case '"':
			if i = skip(b, i); i < 0 {
				return -1
			}
		default:
			i++
		}
	}
	return -1
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// text returns the string that value is, or false.
func text(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	return s, json.Unmarshal(value, &s) == nil
}

// null reports whether value is absent or JSON's null.
func null(value []byte) bool { return value == nil || string(value) == "null" }
