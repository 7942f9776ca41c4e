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

// text is for whoever writes the client.
func (r reason) text(maxLine int) string {
	switch r {
	case notJSON:
		return "the line is not valid JSON; send one JSON-RPC message on each line"
	case notUTF8:
		return "the line is not valid UTF-8"
	case hasNUL:
		return "the line holds a NUL character"
	case halfRune:
		return `the line holds half of a surrogate pair (\ud800 to \udfff)`
	case tooDeep:
		return "the message is nested deeper than " + strconv.Itoa(maxDepth) + " levels"
	case trailing:
		return "something follows the message; end each message with a newline"
	case tooLong:
		return "the line is longer than " + strconv.Itoa(maxLine) + " bytes"
	case isBatch:
		return "batches are not part of MCP; send each message on a line of its own"
	case notObject:
		return "a message is a JSON object"
	case keyTwice:
		return "the message holds a key twice"
	case keyCase:
		return "the message holds a key that differs from another, or from one that MCP defines, by case only"
	case manyKeys:
		return "the message, its params or its arguments hold more than " + strconv.Itoa(maxKeys) + " keys"
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
	return "the message was refused"
}
