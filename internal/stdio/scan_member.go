package stdio

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// known reports whether key is a name that the place defines, and the name it
// only looks like to a decoder that ignores case.
func known(at place, key []byte) (exact, variant bool) {
	names := [...]string{"jsonrpc", "id", "method", "params", "result", "error"}
	list := names[:]
	if at == inParams {
		more := [...]string{"name", "arguments", "_meta", "requestId", "reason", "protocolVersion", "capabilities",
			"clientInfo", "cursor", "uri", "ref", "argument", "context", "level", "progressToken", "progress",
			"inputResponses", "requestState", "notifications", "task"}
		list = more[:]
	}
	for _, n := range list {
		if string(key) == n {
			return true, false
		}
	}
	for _, n := range list {
		if bytes.EqualFold(key, []byte(n)) {
			return false, true
		}
	}
	return false, false
}

// key compares a key with the names of its place and with the keys beside it.
func (s *scanner) key(at place, base int, key []byte) {
	if at == atTop || at == inParams {
		if exact, variant := known(at, key); !exact && variant {
			s.note(keyCase)
		}
	}
	if len(s.keys)-base == maxKeys {
		s.note(manyKeys)
		return
	}
	for _, k := range s.keys[base:] {
		switch {
		case bytes.Equal(k, key):
			s.note(keyTwice)
			if at == atTop && string(key) == "id" {
				s.ids, s.env.id, s.env.hasID = true, nil, false
			}
		case (at == atTop || at == inParams || s.strict) && bytes.EqualFold(k, key):
			s.note(keyCase)
		}
	}
	s.keys = append(s.keys, key)
}

// keep notes the members that the loop acts on.
func (s *scanner) keep(at place, key, raw []byte) {
	switch {
	case at == inMeta && string(key) == revisionKey:
		s.env.revision = raw
	case at == inParams:
		s.keepParam(key, raw)
	}
	if at != atTop {
		return
	}
	switch string(key) {
	case "jsonrpc":
		if string(raw) != `"2.0"` {
			s.note(badVersion)
		}
		s.env.hasVersion = true
	case "id":
		if !s.ids {
			s.env.id, s.env.hasID = usableID(raw), true
		}
	case "method":
		s.env.hasMethod = true
		if raw[0] != '"' {
			s.note(badMethod)
			return
		}
		s.env.method = raw[1 : len(raw)-1]
		if bytes.IndexByte(raw, '\\') >= 0 {
			s.env.method = unescape(s.env.method)
		}
	case "params":
		if raw[0] != '{' && raw[0] != 'n' {
			s.note(badParams)
		}
	case "result", "error":
		s.env.hasAnswer = true
	}
}

// revisionKey is where a request of 2026-07-28 names its revision.
const revisionKey = "io.modelcontextprotocol/protocolVersion"

func (s *scanner) keepParam(key, raw []byte) {
	switch string(key) {
	case "requestId":
		s.env.requestID = usableID(raw)
	case "name":
		s.env.name = raw
	case "uri":
		s.env.uri = raw
	}
}

// usableID returns raw if it is a string or a number, which is all that MCP
// allows, else nil.
func usableID(raw []byte) []byte {
	if c := raw[0]; c == '"' || c == '-' || '0' <= c && c <= '9' {
		return raw
	}
	return nil
}

// escape reads a backslash and what belongs to it.
func (s *scanner) escape() bool {
	if s.i++; s.i >= len(s.b) {
		return s.fail(notJSON)
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return true
	case 'u':
	default:
		return s.fail(notJSON)
	}
	r, ok := hex4(s.b[s.i+1:])
	if !ok {
		return s.fail(notJSON)
	}
	s.i += 5
	switch {
	case r == 0:
		s.note(hasNUL)
	case utf16.IsSurrogate(r):
		low, ok := rune(0), false
		if bytes.HasPrefix(s.b[s.i:], []byte(`\u`)) {
			low, ok = hex4(s.b[s.i+2:])
		}
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			s.note(halfRune) // what follows is read for itself
			return true
		}
		s.i += 6
	}
	return true
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape resolves the escapes of a checked string.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(b[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && len(b) > i+6 && b[i+1] == '\\' && b[i+2] == 'u' {
				if low, ok := hex4(b[i+3:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
					r = utf16.DecodeRune(r, low)
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, b[i])
		}
	}
	return out
}
