package stdio

import "strconv"

// reason says why a line is refused. Each has a text of its own, which never
// quotes the line.
type reason uint8

const (
	fine reason = iota
	notJSON
	notUTF8
	hasNUL
	halfRune
	tooDeep
	trailing
	tooLong
	isBatch
	notObject
	keyTwice
	keyCase
	manyKeys
	badVersion
	badID
	badMethod
	noMethod
	badParams
	mixed
	inFlight
)

func (r reason) code() int {
	switch r {
	case notJSON, notUTF8, hasNUL, halfRune, tooDeep, trailing:
		return CodeParse
	case badParams:
		return CodeParams
	}
	return CodeRequest
}

// wording says what a refused text was to be, for the texts of the reasons.
type wording struct {
	came  string // what was read
	is    string // what it was to be
	send  string // how it is sent, after a semicolon; "" where that is for others to say
	depth int
	long  int
}

func lineOf(maxLine int) wording {
	return wording{"line", "message", "; send one JSON-RPC message on each line", maxDepth, maxLine}
}

func bodyOf(depth int) wording {
	return wording{came: "body", is: "message", send: "; send one JSON-RPC message", depth: depth}
}

// plainOf is for whoever need not know of messages.
func plainOf(depth int) wording { return wording{came: "body", is: "JSON value", depth: depth} }

// text is for whoever writes the client.
func (r reason) text(w wording) string {
	switch r {
	case notJSON:
		return "the " + w.came + " is not valid JSON" + w.send
	case notUTF8:
		return "the " + w.came + " is not valid UTF-8"
	case hasNUL:
		return "the " + w.came + " holds a NUL character"
	case halfRune:
		return "the " + w.came + ` holds half of a surrogate pair (\ud800 to \udfff)`
	case tooDeep:
		return "the " + w.is + " is nested deeper than " + strconv.Itoa(w.depth) + " levels"
	case trailing:
		return "something follows the " + w.is + w.send
	case tooLong:
		return "the " + w.came + " is longer than " + strconv.Itoa(w.long) + " bytes"
	case isBatch:
		return "batches are not part of MCP" + w.send
	case notObject:
		return "a message is a JSON object"
	case keyTwice:
		return "the " + w.is + " holds a key twice"
	case keyCase:
		return "the " + w.is + " holds a key that differs from another, or from one that is defined, by case only"
	case manyKeys:
		return "an object of the " + w.is + " holds more than " + strconv.Itoa(maxKeys) + " keys"
	case badVersion:
		return `a message holds "jsonrpc": "2.0"`
	case badID:
		return "an id is a string or a number"
	case badMethod:
		return "a method is a string"
	case noMethod:
		return "the message has no method"
	case badParams:
		return "params are a JSON object"
	case mixed:
		return "a message has a method or a result, not both"
	case inFlight:
		return "a request with this id is still being answered"
	}
	return "the " + w.came + " was refused"
}
