package tools

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/schema"
)

// request is one call on its way.
type request struct {
	principal   string
	tool        string
	args        arguments
	correlation string
	bank        *Bank // set once it is known; for the log and the error
}

// Call makes one call of a tool and returns its result. It never fails in any
// other way: a fault, a panic and a full house are results with IsError.
// args is what encoding/json makes of the arguments.
func (s *Set) Call(ctx context.Context, principal, tool string, args any) Result {
	return s.do(ctx, &request{principal: principal, tool: tool}, func(r *request) (answer, error) {
		var f *fault.Fault
		if r.args, f = read(args); f != nil {
			return nil, f
		}
		return s.dispatch(ctx, r)
	})
}

// do is the one way of everything that a Set answers: it limits, recovers,
// times and logs.
func (s *Set) do(ctx context.Context, r *request, work func(*request) (answer, error)) (result Result) {
	start := s.o.Now()
	r.correlation = s.correlation()
	defer func() {
		if p := recover(); p != nil {
			result = s.fail(r, s.recovered(r, p))
		}
		s.log(ctx, r, result, s.o.Now().Sub(start))
	}()
	if s.flight.Add(1) > int64(s.o.Limit) {
		s.flight.Add(-1)
		return s.Busy(r.tool)
	}
	defer s.flight.Add(-1)
	a, err := work(r)
	if err != nil {
		return s.fail(r, fault.From(err))
	}
	return s.succeed(r, a)
}

// recovered logs a panic. Its value may hold anything; its type and our stack
// do not.
func (s *Set) recovered(r *request, p any) *fault.Fault {
	s.o.Log.Error().Str("correlation_id", r.correlation).Str("panic", fmt.Sprintf("%T", p)).Bytes("stack", debug.Stack()).Msg("recovered")
	return fault.New(fault.Internal, "something went wrong inside bankauth", "call again; if it stays, report it with the correlation id")
}

// contained is mint, counted, and its panic logged here: the vault, on whose
// goroutine it runs, has no log.
func (s *Set) contained(r *request, mint vault.Mint) vault.Mint {
	again := false
	return func(ctx context.Context, old vault.Record) (t token.Token, err error) {
		defer func() {
			if p := recover(); p != nil {
				t, err = token.Token{}, s.recovered(r, p)
			}
		}()
		if s.o.Sent != nil {
			s.o.Sent(r.bank.Client.Provider().Name, r.tool == schema.RefreshToken, again)
		}
		again = true
		return mint(ctx, old)
	}
}

// Busy is the result of a call that found too many others at work.
func (s *Set) Busy(tool string) Result {
	r := &request{tool: tool, correlation: s.correlation()}
	f := fault.New(fault.Busy, "too many calls are at work here", "call again in a moment")
	f.RetryAfter = time.Second
	return s.fail(r, f)
}

func (s *Set) dispatch(ctx context.Context, r *request) (answer, error) {
	switch r.tool {
	case schema.CreateAccessToken:
		return s.createAccessToken(ctx, r)
	case schema.RefreshToken:
		return s.refreshToken(ctx, r)
	case schema.CreateUser:
		return s.createUser(ctx, r)
	}
	return nil, noSuchTool()
}

func noSuchTool() *fault.Fault {
	return fault.New(fault.InvalidArgument, "there is no such tool", "the tools are create_access_token, refresh_token and create_user")
}

// correlation makes the id that ties a result to the log and, where the
// provider has a header for it, to the provider's own records.
func (s *Set) correlation() string {
	var b [8]byte
	if _, err := io.ReadFull(s.o.Rand, b[:]); err != nil {
		return "0000000000000000"
	}
	return hex.EncodeToString(b[:])
}

// log writes the one event of a call. It has no field that could hold a
// secret or a provider's text.
func (s *Set) log(ctx context.Context, r *request, result Result, took time.Duration) {
	code := fault.Code("ok")
	if result.IsError {
		code = result.Code
	}
	s.event(ctx, r, code, took)
}

// logUse writes the one event of Use and of Revoke.
func (s *Set) logUse(ctx context.Context, r *request, err error, took time.Duration) {
	code := fault.Code("ok")
	if err != nil {
		code = fault.From(err).Code
	}
	s.event(ctx, r, code, took)
}

func (s *Set) event(ctx context.Context, r *request, code fault.Code, took time.Duration) {
	provider := ""
	if r.bank != nil {
		provider = r.bank.Client.Provider().Name
	}
	if s.o.Observe != nil {
		s.o.Observe(ctx, Event{Tool: toolName(r.tool), Provider: provider, Code: string(code), CorrelationID: r.correlation, Took: took})
	}
	level := zerolog.InfoLevel
	if code == fault.Internal {
		level = zerolog.ErrorLevel
	}
	e := s.o.Log.WithLevel(level)
	if s.o.Log.GetLevel() > level || e == nil {
		return
	}
	e.Str("tool", toolName(r.tool)).Str("provider", provider).Str("code", string(code)).
		Int64("ms", took.Milliseconds()).Str("correlation_id", r.correlation).Msg("call")
}

// What the log calls the operations on records, which are no tools.
const (
	use        = "use" // a token is put to use
	listTokens = "list_tokens"
	showToken  = "show_token"
)

// toolName returns the name of one of our tools or operations; what a client
// made up is not for the log.
func toolName(name string) string {
	switch name {
	case schema.CreateAccessToken, schema.RefreshToken, schema.CreateUser, schema.Revoke, use, listTokens, showToken:
		return name
	}
	return "unknown"
}
