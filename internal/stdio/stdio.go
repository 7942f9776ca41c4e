// Package stdio speaks MCP's stdio transport: one JSON-RPC message a line, in
// on one stream and out on another.
//
// It knows JSON-RPC and nothing of tools: every request goes to a Handle. What
// the package promises is that each request is answered once, under the id it
// came with, byte for byte; that nothing but messages is written; and that a
// bad line costs nothing but itself.
package stdio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// JSON-RPC 2.0 §5.1.
const (
	CodeParse    = -32700
	CodeRequest  = -32600
	CodeParams   = -32602
	CodeInternal = -32603
)

// What a Server does where a field is zero.
const (
	DefaultLimit   = 4096
	DefaultMaxLine = 1 << 20
	DefaultDrain   = 30 * time.Second
)

const (
	methodInitialize    = "initialize"
	methodToolsCall     = "tools/call"
	methodResourcesRead = "resources/read"
	methodListen        = "subscriptions/listen"
	methodCancelled     = "notifications/cancelled"
)

// Message is a request or a notification. Its bytes belong to the handler.
type Message struct {
	ID     json.RawMessage // as it came; nil for a notification
	Method string
	Raw    json.RawMessage // the whole message, checked: valid JSON, no key twice
	Busy   bool            // a tools/call over the limit: answer it with a refusal, do no work
}

// Reply is the answer to a request: Error where it is not nil, else Result.
type Reply struct {
	Result any // becomes JSON; a json.RawMessage is written as it is
	Error  *Error
}

// Error is a JSON-RPC error. One with CodeInternal reaches the client with the
// package's own message and a correlation id in place of Message and Data:
// what a library says of its own failure is not for a client.
type Error struct {
	Code    int
	Message string
	Data    any // left out when nil
}

// Handle answers one request. It is called for a notification too, and its
// reply ignored then. Requests run at the same time, except initialize, which
// is answered before the next line is read; so is a notification. ctx ends
// when the client cancels the request or the time to drain is over, never
// merely because input ended. notifications/cancelled is not passed on.
type Handle func(ctx context.Context, m Message) Reply

// Server serves one client. Its fields are not to be changed while it serves.
type Server struct {
	Handle  Handle
	Limit   int            // calls of tools in flight; DefaultLimit when 0
	MaxLine int            // bytes, without the newline; DefaultMaxLine when 0
	Ended   func()         // called once, when input ends or ctx does: nobody will ask for more; nil: nothing
	Drain   time.Duration  // for calls in flight when input ends; DefaultDrain when 0
	Log     zerolog.Logger // the zero Logger is silent
	Rand    io.Reader      // for correlation ids; crypto/rand when nil

	// Quick answers a request that needs no waiting: no network, no disk and no
	// other call; false for any other, which goes to Handle. It is asked by the
	// goroutine that reads, when the request is alone and Writable: waking
	// another one takes longer than the answer. One that waits all the same
	// keeps the next lines waiting. Both nil: no request is quick.
	Quick func(ctx context.Context, m Message) (Reply, bool)
	// Writable reports whether out takes 4096 bytes without waiting for the
	// client to read.
	Writable func() bool
}

// Serve answers what it reads from in until in ends or ctx does. Calls in
// flight may then finish and are answered; those that take longer than Drain
// are cancelled and answered with an error. It returns nil, or what went wrong
// in reading or writing. A client that closed its end is an error in writing,
// so a process should ignore SIGPIPE, which would kill it amid its calls.
//
// A read that waits when ctx ends is interrupted by in's SetReadDeadline or
// Close. An os.Stdin that supports neither keeps one goroutine waiting until
// the process ends; whatever it then reads is dropped.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	l := newLoop(s, ctx, out)
	read := make(chan error, 1)
	go func() { read <- l.read(in) }()

	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
		interrupt(in)
	case <-l.out.broken:
		interrupt(in)
	}
	l.drain()
	if werr := l.out.failure(); werr != nil {
		return fmt.Errorf("writing an answer: %w", werr)
	}
	if err != nil {
		return fmt.Errorf("reading a request: %w", err)
	}
	return nil
}

// interrupt ends a Read of in that waits, where in allows it.
func interrupt(in io.Reader) {
	if d, ok := in.(interface{ SetReadDeadline(time.Time) error }); ok {
		if d.SetReadDeadline(time.Unix(1, 0)) == nil {
			return
		}
	}
	if c, ok := in.(io.Closer); ok {
		_ = c.Close() // nobody reads from it any more
	}
}

func (s *Server) limit() int {
	if s.Limit > 0 {
		return s.Limit
	}
	return DefaultLimit
}

func (s *Server) maxLine() int {
	if s.MaxLine > 0 {
		return s.MaxLine
	}
	return DefaultMaxLine
}

func (s *Server) drainTime() time.Duration {
	if s.Drain > 0 {
		return s.Drain
	}
	return DefaultDrain
}
