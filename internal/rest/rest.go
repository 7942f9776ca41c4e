// Package rest offers the tools over plain HTTP, for programs that speak no
// MCP: POST /v1/{tool}, the caller's tokens below /v1/tokens, the description
// of it all at /openapi.json, and a page to try it at /docs/.
package rest

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bankauth/internal/auth"
	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/internal/vault"
	"bankauth/tools"
)

// Options says what the routes work with.
type Options struct {
	Tools   *tools.Set
	Vault   func(context.Context) (*vault.Vault, error) // keeps answers for a repeated Idempotency-Key
	Gate    *auth.Gate                                  // knows the callers' scopes, and whether a token is needed
	Version string                                      // of bankauth, for the description
	// Enter takes a place for a call that may ask a provider, which is then made
	// under the context that Enter returns, and leave follows it; ok is false
	// where too many are at work. nil: there is always room.
	Enter func(ctx context.Context, principal string) (call context.Context, leave func(), ok bool)
}

// mostBody bounds a request's body, in bytes.
const mostBody = 256 << 10

// api is the routes below /v1/.
type api struct {
	tools   *tools.Set
	gate    *auth.Gate
	enter   func(ctx context.Context, principal string) (call context.Context, leave func(), ok bool) // Options.Enter
	answers *answers
}

func newAPI(o Options) *api {
	return &api{tools: o.Tools, gate: o.Gate, enter: o.Enter, answers: &answers{vault: o.Vault, now: time.Now}}
}

// Routes returns handlers by http.ServeMux pattern: those behind expect the
// Gate's Handler before them, those in front need no caller. Whoever serves
// them has checked Host and Origin. It fails when the description cannot be
// made.
func Routes(o Options) (behind, front map[string]http.Handler, err error) {
	d, err := newDescription(o)
	if err != nil {
		return nil, nil, fmt.Errorf("describing the REST interface: %w", err)
	}
	a := newAPI(o)
	behind = map[string]http.Handler{
		"/v1/":             route{notThere, func(*http.Request) bool { return false }},
		"/v1/tokens":       route{a.tokens, by(http.MethodGet)},
		"/v1/tokens/{ref}": route{a.token, by(http.MethodGet, http.MethodDelete)},
		"/v1/{tool}": route{a.call, func(r *http.Request) bool {
			_, ok := auth.ScopeOf(r.PathValue("tool"))
			return ok && r.Method == http.MethodPost
		}},
	}
	front = map[string]http.Handler{
		"/openapi.json":             d,
		"/v1":                       to("/docs/", http.StatusSeeOther), // where the interface is said to be
		"/docs":                     to("/docs/", http.StatusMovedPermanently),
		"/docs/":                    page(),
		problem.TypePath + "{code}": http.HandlerFunc(problems),
	}
	return behind, front, nil
}

// Aliases returns the handlers of tools at paths of their own, which take POST;
// front and behind are as those of Routes.
func Aliases(o Options, at map[string]*tools.Alias) (behind, front map[string]http.Handler) {
	a := newAPI(o)
	behind = map[string]http.Handler{}
	for path, alias := range at {
		behind[path] = route{func(w http.ResponseWriter, r *http.Request) {
			a.serve(w, r, path, alias.Tool, func(ctx context.Context, principal string, args any) tools.Result {
				return o.Tools.CallAs(ctx, principal, alias, args)
			})
		}, by(http.MethodPost)}
	}
	return behind, map[string]http.Handler{problem.TypePath + "{code}": http.HandlerFunc(problems)}
}

// route is a handler that says which requests it would serve: whoever reads
// their bodies need not look at those of the others.
type route struct {
	http.HandlerFunc
	takes func(*http.Request) bool
}

// Takes reports whether the request would be served.
func (r route) Takes(q *http.Request) bool { return r.takes(q) }

// by are the requests with one of the methods. GET stands for HEAD too.
func by(methods ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return slices.Contains(methods, r.Method) || r.Method == http.MethodHead && slices.Contains(methods, http.MethodGet)
	}
}

// to leads a reader elsewhere.
func to(path string, status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if problem.Takes(w, r, http.MethodGet) {
			http.Redirect(w, r, path, status)
		}
	})
}

func notThere(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusNotFound, "there is nothing at this path", "/openapi.json lists what there is")
}

// refuse answers with a fault of the way a request was made.
func refuse(w http.ResponseWriter, status int, message, hint string) {
	problem.Refuse(w, status, message, hint)
}

// isJSON reports whether the request's body says that it is JSON in UTF-8.
func isJSON(r *http.Request) bool {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := parameters["charset"]
	return err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// response is an answer before it is written.
type response struct {
	status  int
	body    []byte
	problem bool
	again   bool          // the same request may be answered better later
	after   time.Duration // and not before this; 0: nobody said
	id      string        // correlation id
}

// of turns a tool's result into a response. missing is the status of an
// InvalidArgument fault, which is 404 where the path names a token.
func of(r tools.Result, missing int) response {
	if !r.IsError {
		return response{status: http.StatusOK, body: r.JSON, id: r.CorrelationID}
	}
	p := problem.Of(r.Fault, r.CorrelationID)
	if r.Code == fault.InvalidArgument {
		p = p.With(missing)
	}
	return response{status: p.Status, body: p.Body(), problem: true, again: p.Retryable, after: r.Fault.RetryAfter, id: r.CorrelationID}
}

// write sends it. No cache may keep it (RFC 6749 §5.1).
func (a response) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if a.problem {
		h.Set("Content-Type", problem.ContentType)
	}
	if a.after > 0 {
		h.Set("Retry-After", strconv.FormatInt(problem.Seconds(a.after), 10))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(problem.HeaderCorrelation, a.id)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // it fails only where nobody reads any more
}

// problems explains a code, where a problem's type points to.
func problems(w http.ResponseWriter, r *http.Request) {
	if !problem.Takes(w, r, http.MethodGet) {
		return
	}
	text, ok := problem.About(fault.Code(r.PathValue("code")))
	if !ok {
		notThere(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = fmt.Fprintln(w, text)
}
