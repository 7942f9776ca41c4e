package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bankauth/internal/auth"
	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/tools"
)

// callDeadline bounds a call that its client need not wait for. The tools end
// theirs within 50 s.
const callDeadline = 55 * time.Second

// call is POST /v1/{tool}.
func (a *api) call(w http.ResponseWriter, r *http.Request) {
	tool := r.PathValue("tool")
	a.serve(w, r, tool, tool, func(ctx context.Context, principal string, args any) tools.Result {
		return a.tools.Call(ctx, principal, tool, args)
	})
}

// serve makes a call of a tool that callers know by name.
func (a *api) serve(w http.ResponseWriter, r *http.Request, name, tool string, do func(ctx context.Context, principal string, args any) tools.Result) {
	scope, ok := auth.ScopeOf(tool)
	if !ok {
		notThere(w, r)
		return
	}
	if !problem.Takes(w, r, http.MethodPost) || !a.gate.Require(w, r, scope) {
		return
	}
	args, ok := arguments(w, r)
	if !ok {
		return
	}
	caller, _ := auth.FromContext(r.Context()) // Require has seen it
	key, ok := idempotencyKey(w, r)
	if !ok {
		return
	}
	work := func(ctx context.Context) response {
		return of(a.placed(ctx, caller.Principal, tool, func(ctx context.Context) tools.Result { return do(ctx, caller.Principal, args) }), http.StatusBadRequest)
	}
	if key == "" {
		work(r.Context()).write(w)
		return
	}
	q := question{principal: caller.Principal, key: key, tool: name, args: args}
	answer, replayed, err := a.answers.get(r.Context(), q, func() response {
		// Whoever gave a key will ask again, and must find what became of it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callDeadline)
		defer cancel()
		return work(ctx)
	})
	switch {
	case errors.Is(err, errOtherQuestion):
		refuse(w, http.StatusUnprocessableEntity, "this Idempotency-Key came with another request before", "use a new key for a new request; the same key repeats the same request only")
		return
	case r.Context().Err() != nil:
		return // the client is gone
	case err != nil:
		problem.Of(fault.From(err), "").Write(w)
		return
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	answer.write(w)
}

// placed makes a call that may ask a provider, where there is a place for it.
func (a *api) placed(ctx context.Context, principal, tool string, do func(context.Context) tools.Result) tools.Result {
	if a.enter == nil {
		return do(ctx)
	}
	ctx, leave, ok := a.enter(ctx, principal)
	if !ok {
		return a.tools.Busy(tool)
	}
	defer leave()
	return do(ctx)
}

// arguments reads the body: a JSON value that the tools then judge, or
// nothing. ok is false where it has been refused.
func arguments(w http.ResponseWriter, r *http.Request) (args any, ok bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than "+strconv.Itoa(mostBody>>10)+" KiB", "send the tool's arguments alone")
		return nil, false
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body ended early", "send it whole")
		return nil, false
	case len(b) == 0:
		return nil, true
	case !isJSON(r):
		refuse(w, http.StatusUnsupportedMediaType, "the body is not declared as JSON", "send Content-Type: application/json")
		return nil, false
	case !utf8.Valid(b):
		refuse(w, http.StatusBadRequest, "the body is not UTF-8", "encode it as UTF-8")
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if d.Decode(&args) != nil || d.Decode(new(any)) != io.EOF {
		refuse(w, http.StatusBadRequest, "the body is not one JSON value", `send an object such as {"provider": "…"}`)
		return nil, false
	}
	return args, true
}

// mostKey bounds an Idempotency-Key, in bytes.
const mostKey = 255

// idempotencyKey returns the request's key, or "". The draft has it in quotes
// and most clients leave them out; both are taken.
func idempotencyKey(w http.ResponseWriter, r *http.Request) (key string, ok bool) {
	given := r.Header.Values("Idempotency-Key")
	if len(given) == 0 {
		return "", true
	}
	key = given[0]
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(given) > 1 || key == "" || len(key) > mostKey || strings.ContainsFunc(key, func(c rune) bool { return c < '!' || c > '~' || c == '"' }) {
		refuse(w, http.StatusBadRequest, "the Idempotency-Key does not fit", "send one of 1 to 255 visible ASCII characters, such as a UUID")
		return "", false
	}
	return key, true
}
