package httpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/internal/stdio"
)

const (
	maxBody  = 256 << 10
	maxDepth = 32

	// A message is some hundred bytes. Longer ones, and those that do not say
	// how long they are, wait for one of a few places, so that many of them
	// together stay within a few megabytes.
	shortBody = 8 << 10
	longOnes  = 32

	bodyTime = 10 * time.Second // for a whole body to arrive
)

// tooLarge and its like are what a request is refused for before its body is
// looked at, or while it comes in.
func tooLarge() *problem.Problem {
	return status(http.StatusRequestEntityTooLarge, "the body is longer than 256 KiB", "send what the path takes alone; a call of a tool takes some hundred bytes")
}

func status(code int, message, hint string) *problem.Problem {
	p := problem.Of(fault.New(fault.InvalidArgument, message, hint), "").With(code)
	p.Title = http.StatusText(code)
	return &p
}

// hasBody reports whether a body is announced.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// unfit returns why a body of this kind is not read.
func unfit(r *http.Request) *problem.Problem {
	if r.Method != http.MethodPost && !hasBody(r) {
		return nil
	}
	if r.Header.Get("Content-Encoding") != "" {
		return status(http.StatusUnsupportedMediaType, "the body is encoded", "send it without Content-Encoding")
	}
	if kind, charset := mediaType(r.Header); kind != "application/json" || charset != "" && charset != "utf-8" {
		return status(http.StatusUnsupportedMediaType, "the body's Content-Type is not application/json", "send JSON and say Content-Type: application/json")
	}
	return nil
}

func mediaType(h http.Header) (kind, charset string) {
	given := h["Content-Type"]
	if len(given) == 1 && given[0] == "application/json" {
		return given[0], ""
	}
	if len(given) != 1 {
		return "", ""
	}
	kind, parameters, err := mime.ParseMediaType(given[0])
	if err != nil {
		return "", ""
	}
	return kind, strings.ToLower(parameters["charset"])
}

// open reads the message in the request's body. ok is false where there is
// none to serve, and that is answered.
func (s *Server) open(w http.ResponseWriter, r *http.Request) (env stdio.Envelope, ok bool) {
	raw, wrong := s.body(w, r)
	if wrong != nil {
		closing(w)
		wrong.Write(w)
		return env, false
	}
	env, bad := stdio.Open(raw, maxDepth)
	if bad != nil {
		s.refuse(w, env.ID, bad)
		return env, false
	}
	return env, true
}

// body reads the request's body. Where it returns a Problem, the connection
// is not to be used again.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, *problem.Problem) {
	if r.ContentLength < 0 || r.ContentLength > shortBody {
		select {
		case s.long <- struct{}{}:
			defer func() { <-s.long }()
		default:
			f := fault.New(fault.Busy, "too many long bodies are on their way in", "call again in a moment")
			f.RetryAfter = time.Second
			p := problem.Of(f, "")
			return nil, &p
		}
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime)) // without one the header's is all
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	defer awaits(r)()
	var b []byte
	var err error
	if r.ContentLength >= 0 {
		b = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, b)
	} else if b, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1)); len(b) > maxBody {
		return nil, tooLarge()
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, status(http.StatusBadRequest, "the body ended early", "send as many bytes as Content-Length says")
		}
		return nil, status(http.StatusRequestTimeout, "the body did not arrive in time", "send it within 10 seconds")
	}
	return b, nil
}

// Taker is a handler that says which requests it would serve. The others it
// refuses, so it gets them without a body, whatever that is.
type Taker interface {
	Takes(r *http.Request) bool
}

// takes is a Taker's word; a handler that is none would serve all.
func takes(h http.Handler) func(*http.Request) bool {
	if t, ok := h.(Taker); ok {
		return t.Takes
	}
	return func(*http.Request) bool { return true }
}

// shown are the requests that a page or a document is asked for with.
func shown(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// read gives a room's handler a body that is here, whole and strict JSON, so
// that whoever checks it and whoever uses it see the same.
func (s *Server) read(next http.Handler, takes func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !takes(r) {
			if hasBody(r) {
				closing(w)
				r.Body = http.NoBody
			}
			next.ServeHTTP(w, r)
			return
		}
		wrong := unfit(r)
		if wrong == nil && hasBody(r) {
			var b []byte
			b, wrong = s.body(w, r)
			if wrong == nil {
				if text := stdio.CheckJSON(b, maxDepth); text != "" {
					wrong = status(http.StatusBadRequest, text, "send one JSON object")
				}
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
		if wrong != nil {
			closing(w)
			wrong.Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// closing ends the connection after the answer, so that net/http does not
// read what is left of a body.
func closing(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

var errPanic = errors.New("a handler panicked")

// panicked makes an error of a panic's value. The value may hold anything; its
// type does not.
func panicked(v any) error { return fmt.Errorf("%w with a %T", errPanic, v) }
