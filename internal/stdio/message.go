package stdio

import "encoding/json"

// Envelope is what a transport needs to know of a message that it received
// whole: what this package's own loop knows of a line.
type Envelope struct {
	Message

	// Answer says that it answers a question of the server's; it has no Method.
	Answer    bool
	RequestID json.RawMessage // params.requestId where it is a string or a number
	Name      string          // params.name, or for resources/read params.uri; "" where that is no string
	Revision  string          // of the protocol, as params._meta names it; "" where it does not
}

// Open checks a message that came in one piece over another transport than
// this package's, by the same rules. depth bounds its nesting. A message that
// is refused comes back with its ID, if it has one, and with what to answer.
func Open(raw []byte, depth int) (Envelope, *Error) {
	s := scanner{limit: depth}
	env, why := s.scan(raw)
	e := Envelope{Message: Message{ID: env.id, Method: methodName(env.method), Raw: raw}, RequestID: env.requestID}
	if why != fine {
		return e, &Error{Code: why.code(), Message: why.text(bodyOf(depth))}
	}
	e.Answer = !env.hasMethod
	e.Revision = plainText(env.revision)
	if e.Name = plainText(env.name); e.Method == methodResourcesRead {
		e.Name = plainText(env.uri) // a name beside it is nobody's, and must not hide it
	}
	return e, nil
}

// Key returns what two ids have in common exactly if they are the same JSON
// value: 1 and 1.0 are, 1 and "1" are not.
func Key(id json.RawMessage) string { return idKey(id) }

// plainText returns the checked JSON string raw; "" where it is none.
func plainText(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	return string(unescape(raw[1 : len(raw)-1]))
}

// CheckJSON returns what is wrong with a JSON text that is no message, in
// words for whoever sent it; "" when nothing is. It is held to the rules of a
// message, and no object in it may have a key twice.
func CheckJSON(raw []byte, depth int) string {
	s := scanner{b: raw, limit: depth, strict: true}
	s.space()
	if s.value(1, elsewhere) {
		if s.space(); s.i < len(s.b) {
			s.fail(trailing)
		}
	}
	switch {
	case s.end != fine:
		return s.end.text(plainOf(depth))
	case s.found != fine:
		return s.found.text(plainOf(depth))
	}
	return ""
}
