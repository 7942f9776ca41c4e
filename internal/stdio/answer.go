package stdio

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/rs/zerolog"
)

const internalText = "something went wrong inside the server; call again, and if it stays, report it with the correlation id"

// buffer holds one line while it is written.
type buffer struct {
	bytes.Buffer
	json *json.Encoder
}

func newBuffer() *buffer {
	b := &buffer{}
	b.json = json.NewEncoder(&b.Buffer)
	b.json.SetEscapeHTML(false)
	return b
}

// Replies writes replies. Its fields are not to be changed while it does; the
// zero Replies is ready, and silent.
type Replies struct {
	Log  zerolog.Logger
	Rand io.Reader // for correlation ids; crypto/rand when nil

	buffers sync.Pool // of *buffer
}

// Write hands the reply to the request id to the function to: a JSON-RPC
// message and a newline, in memory that is used again afterwards. A nil id is
// null.
func (r *Replies) Write(id json.RawMessage, reply Reply, to func(line []byte)) {
	b := r.encode(id, reply)
	to(b.Bytes())
	r.recycle(b)
}

// encode writes the reply into a buffer that the caller recycles.
func (r *Replies) encode(id []byte, reply Reply) *buffer {
	b := r.blank()
	if cause := b.reply(id, reply); cause != "" {
		correlation := r.correlation()
		r.Log.Error().Str("correlation_id", correlation).Str("cause", cause).Msg("a request failed inside the server")
		_ = b.failure(id, internalError(correlation)) // only strings: it cannot fail
	}
	return b
}

func (r *Replies) blank() *buffer {
	b, ok := r.buffers.Get().(*buffer)
	if !ok {
		return newBuffer()
	}
	b.Reset()
	return b
}

func (r *Replies) recycle(b *buffer) {
	if b.Cap() <= 64<<10 {
		r.buffers.Put(b)
	}
}

// Call calls the handler, and makes a reply of its panic.
func (r *Replies) Call(ctx context.Context, h Handle, m Message) (reply Reply) {
	returned := false
	defer func() {
		if returned {
			return
		}
		// The value may hold what nobody is to see; its type does not.
		kind, id := typeName(recover()), r.correlation()
		r.Log.Error().Str("correlation_id", id).Str("panic", kind).Str("at", origin()).Msg("a handler panicked")
		reply = Reply{Error: internalError(id)}
	}()
	reply = h(ctx, m)
	returned = true
	return reply
}

// answer sends the reply to the request id, in one line.
func (l *loop) answer(id []byte, reply Reply) { l.replies.Write(id, reply, l.out.send) }

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
	text := why.text(lineOf(l.maxLine()))
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

func (r *Replies) correlation() string {
	from := r.Rand
	if from == nil {
		from = rand.Reader
	}
	var b [8]byte
	if _, err := io.ReadFull(from, b[:]); err != nil {
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
