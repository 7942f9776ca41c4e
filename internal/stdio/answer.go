package stdio

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

const internalText = "something went wrong inside the server; call again, and if it stays, report it with the correlation id"

// buffer holds one line while it is written.
type buffer struct {
	bytes.Buffer
	json *json.Encoder
}

func newBuffer() any {
	b := &buffer{}
	b.json = json.NewEncoder(&b.Buffer)
	b.json.SetEscapeHTML(false)
	return b
}

// line takes a buffer that has grown already; recycle gives it back.
func (l *loop) line() *buffer { return l.buffers.Get().(*buffer) }

func (l *loop) recycle(b *buffer) {
	if b.Cap() <= 64<<10 {
		l.buffers.Put(b)
	}
}

// answer sends the reply to the request id, in one line.
func (l *loop) answer(id []byte, reply Reply) {
	b := l.encode(id, reply)
	defer l.recycle(b)
	l.out.send(b.Bytes())
}

// encode writes the reply into a buffer that the caller recycles.
func (l *loop) encode(id []byte, reply Reply) *buffer {
	b := l.line()
	if cause := b.reply(id, reply); cause != "" {
		correlation := l.correlation()
		l.Log.Error().Str("correlation_id", correlation).Str("cause", cause).Msg("a request failed inside the server")
		_ = b.failure(id, internalError(correlation)) // only strings: it cannot fail
	}
	return b
}

// reply writes the reply and returns "", or why it cannot be shown.
func (b *buffer) reply(id []byte, r Reply) string {
	var err error
	switch {
	case r.Error == nil && r.Result == nil:
		return "the handler returned neither a result nor an error"
	case r.Error == nil:
		err = b.result(id, r.Result)
	case r.Error.Code == CodeInternal && !isOurs(r.Error):
		return "the handler returned an internal error"
	default:
		err = b.failure(id, r.Error)
	}
	if err != nil {
		return "encoding the reply: " + typeName(err)
	}
	return ""
}

func (b *buffer) result(id []byte, v any) error {
	b.head(id)
	b.WriteString(`,"result":`)
	if err := b.value(v); err != nil {
		return err
	}
	b.WriteString("}\n")
	return nil
}

func (b *buffer) failure(id []byte, e *Error) error {
	b.head(id)
	b.WriteString(`,"error":{"code":`)
	b.WriteString(strconv.Itoa(e.Code))
	b.WriteString(`,"message":`)
	if err := b.value(e.Message); err != nil {
		return err
	}
	if e.Data != nil {
		b.WriteString(`,"data":`)
		if err := b.value(e.Data); err != nil {
			return err
		}
	}
	b.WriteString("}}\n")
	return nil
}

func (b *buffer) head(id []byte) {
	b.Reset()
	b.WriteString(`{"jsonrpc":"2.0","id":`)
	if id == nil {
		b.WriteString("null")
	} else {
		b.Write(id)
	}
}

func (b *buffer) value(v any) error {
	if raw, ok := v.(json.RawMessage); ok && len(raw) > 0 && bytes.IndexByte(raw, '\n') < 0 {
		b.Write(raw)
		return nil
	}
	if err := b.json.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the newline
	return nil
}

// refuse answers a line that is no request we can serve.
func (l *loop) refuse(id []byte, why reason) {
	text := why.text(l.maxLine())
	l.Log.Debug().Str("reason", text).Msg("refused a line")
	l.answer(id, Reply{Error: &Error{Code: why.code(), Message: text}})
}

type correlated struct {
	ID string `json:"correlation_id"`
}

func internalError(id string) *Error {
	return &Error{Code: CodeInternal, Message: internalText, Data: correlated{id}}
}

// isOurs tells our own internal error from a handler's.
func isOurs(e *Error) bool {
	_, ok := e.Data.(correlated)
	return ok
}

func (l *loop) correlation() string {
	r := l.Rand
	if r == nil {
		r = rand.Reader
	}
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "" // an answer without one is better than none
	}
	return hex.EncodeToString(b[:])
}

// typeName names a value's type, which tells nothing of the value.
func typeName(v any) string { return fmt.Sprintf("%T", v) }

// methodName spares the usual methods a string of their own.
func methodName(b []byte) string {
	switch string(b) {
	case methodToolsCall:
		return methodToolsCall
	case methodInitialize:
		return methodInitialize
	}
	return string(b)
}
