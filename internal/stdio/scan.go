package stdio

import (
	"bytes"
	"unicode/utf8"
)

const (
	maxDepth = 64 // of objects and arrays, unless the scanner has another limit
	maxKeys  = 64 // of an object whose keys are compared
)

// place is an object whose keys matter.
type place uint8

const (
	elsewhere place = iota
	atTop
	inParams
	inArguments
	inMeta
)

// envelope is what the loop needs to know of a message. The slices are parts
// of the line.
type envelope struct {
	id        []byte // nil: none, or none that can be used
	method    []byte // without quotes, escapes resolved
	requestID []byte // params.requestId
	name, uri []byte // params.name and params.uri, as they came
	revision  []byte // the protocol's, as params._meta names it; as it came

	hasVersion, hasID, hasMethod, hasAnswer bool
}

// scanner checks one line after the other in a single pass and without
// allocating, escaped keys aside. It is stricter than encoding/json, which
// takes "METHOD" and "method" for the same key and the last of two equal
// keys: whoever checks one and runs the other has checked nothing.
type scanner struct {
	b      []byte
	i      int
	keys   [][]byte // of the objects that are open and whose keys matter
	found  reason   // the first fault that does not end the scan
	end    reason   // the fault that ended it
	ids    bool     // the id stands there twice, so that there is none
	limit  int      // of the depth; maxDepth when 0
	strict bool     // every object's keys matter
	env    envelope
}

// scan checks line. The envelope holds what was read up to the first fault.
func (s *scanner) scan(line []byte) (envelope, reason) {
	*s = scanner{b: line, keys: s.keys[:0], limit: s.limit}
	if s.limit == 0 {
		s.limit = maxDepth
	}
	s.space()
	switch s.peek() {
	case '[':
		return s.env, isBatch
	case '{':
		s.object(1, atTop)
	default:
		if s.value(1, elsewhere) {
			s.note(notObject)
		}
	}
	if s.end == fine {
		if s.space(); s.i < len(s.b) {
			s.fail(trailing)
		}
	}
	return s.env, s.verdict()
}

func (s *scanner) verdict() reason {
	e := &s.env
	switch {
	case s.end != fine:
		return s.end
	case e.hasAnswer && !e.hasMethod:
		return fine // an answer is never answered, not even when it is bad
	case s.found != fine:
		return s.found
	case e.hasAnswer:
		return mixed
	case !e.hasVersion:
		return badVersion
	case e.hasID && e.id == nil:
		return badID
	case !e.hasMethod:
		return noMethod
	}
	return fine
}

// note remembers the first fault and lets the scan go on: the id may yet come.
func (s *scanner) note(r reason) {
	if s.found == fine {
		s.found = r
	}
}

func (s *scanner) fail(r reason) bool {
	s.end = r
	return false
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int, at place) bool {
	switch c := s.peek(); {
	case c == '"':
		_, _, ok := s.text()
		return ok
	case c == '{':
		return s.object(depth, at)
	case c == '[':
		return s.array(depth)
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	return s.fail(notJSON)
}

func (s *scanner) object(depth int, at place) bool {
	if depth > s.limit {
		return s.fail(tooDeep)
	}
	base := len(s.keys)
	s.i++
	s.space()
	if s.peek() == '}' {
		s.i++
		return true
	}
	for {
		if s.peek() != '"' {
			return s.fail(notJSON)
		}
		key, escaped, ok := s.text()
		if !ok {
			return false
		}
		if s.space(); s.peek() != ':' {
			return s.fail(notJSON)
		}
		s.i++
		s.space()
		if !s.member(depth, at, base, key, escaped) {
			return false
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case '}':
			s.i++
			s.keys = s.keys[:base]
			return true
		default:
			return s.fail(notJSON)
		}
	}
}

// member reads the value of key, and checks and keeps what matters of both.
func (s *scanner) member(depth int, at place, base int, key []byte, escaped bool) bool {
	if at == elsewhere && !s.strict {
		return s.value(depth+1, elsewhere)
	}
	if escaped {
		key = unescape(key)
	}
	s.key(at, base, key)
	inner := elsewhere
	switch {
	case at == atTop && string(key) == "params":
		inner = inParams
	case at == inParams && string(key) == "arguments":
		inner = inArguments
	case at == inParams && string(key) == "_meta":
		inner = inMeta
	}
	start := s.i
	if !s.value(depth+1, inner) {
		return false
	}
	s.keep(at, key, s.b[start:s.i])
	return true
}

func (s *scanner) array(depth int) bool {
	if depth > s.limit {
		return s.fail(tooDeep)
	}
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		return true
	}
	for {
		if !s.value(depth+1, elsewhere) {
			return false
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case ']':
			s.i++
			return true
		default:
			return s.fail(notJSON)
		}
	}
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return s.fail(notJSON)
	}
	s.i += len(w)
	return true
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return s.fail(notJSON)
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.fail(notJSON)
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail(notJSON)
		}
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.i
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > start
}

// text reads a string and returns what stands between the quotes.
func (s *scanner) text() (raw []byte, escaped, ok bool) {
	s.i++
	start := s.i
	for {
		s.plain()
		switch c := s.peek(); {
		case s.i >= len(s.b):
			return nil, false, s.fail(notJSON)
		case c == '"':
			raw = s.b[start:s.i]
			s.i++
			return raw, escaped, true
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false, false
			}
		case c == 0:
			return nil, false, s.fail(hasNUL)
		case c < ' ':
			return nil, false, s.fail(notJSON)
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				s.note(notUTF8)
			}
			s.i += n
		}
	}
}

// plain skips what stands for itself.
func (s *scanner) plain() {
	b, i := s.b, s.i
	for i < len(b) && b[i] >= ' ' && b[i] < utf8.RuneSelf && b[i] != '"' && b[i] != '\\' {
		i++
	}
	s.i = i
}
