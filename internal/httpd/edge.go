package httpd

import (
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
)

// ServeHTTP is the edge. Nothing of a body is read before all that can be
// judged without it has been.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	defer working(r).done(r)
	ended := func(string, int) {}
	if s.o.Trace != nil {
		r, ended = s.o.Trace(r)
	}
	seen := &answer{ResponseWriter: w}
	returned := false
	defer func() {
		if !returned {
			s.recovered(seen, recover())
		}
		s.log(r, seen, time.Since(began))
		ended(route(r.Pattern), seen.code())
	}()
	if s.conns != nil && s.conns.pressed.Load() || s.leaving() {
		closing(seen) // somebody waits for the place, or is to look for another server
	}
	switch wrong := s.refusal(r); {
	case wrong != nil:
		closing(seen)
		wrong.Write(seen)
	case s.o.Origins.shared(seen, r):
	default:
		s.mux.ServeHTTP(seen, r)
	}
	returned = true
}

// refusal returns why the request goes no further.
func (s *Server) refusal(r *http.Request) *problem.Problem {
	if f := s.o.Origins.refuse(r); f != nil {
		p := problem.Of(f, "").With(http.StatusForbidden)
		p.Title = http.StatusText(http.StatusForbidden)
		return &p
	}
	if given := r.URL.EscapedPath(); path.Clean("/"+given) != "/"+strings.Trim(given, "/") {
		return status(http.StatusBadRequest, "the path has a segment that is empty or made of dots", "send the path as it was named")
	}
	if r.RequestURI == "*" {
		return status(http.StatusBadRequest, "the request is about no path", "send it to one that the server has")
	}
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	return nil
}

// nothing is at every path that nobody has.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	if hasBody(r) {
		closing(w)
	}
	hint := "MCP is at /mcp, and at /sse for old clients"
	if s.o.Handle == nil || s.o.At != "" {
		hint = "the capability file that the server was started with says what is where"
	}
	status(http.StatusNotFound, "there is nothing at this path", hint).Write(w)
}

// recovered makes an answer of a panic, where there is none yet.
func (s *Server) recovered(w *answer, v any) {
	p := problem.Of(fault.New(fault.Internal, "something went wrong inside bankauth", "call again; if it stays, report it with the correlation id"), "")
	s.o.Log.Error().Str("correlation_id", p.CorrelationID).AnErr("cause", panicked(v)).Bytes("stack", debug.Stack()).Msg("recovered")
	if w.status != 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now()) // half an answer must not look whole
		return
	}
	closing(w)
	p.Write(w)
}

// log writes the one line of a request, with the id that its answer names. The
// path is the server's own name for it: what a client made up may hold anything.
func (s *Server) log(r *http.Request, w *answer, took time.Duration) {
	if s.o.Metrics != nil {
		s.o.Metrics.request(route(r.Pattern), w.code())
	}
	if e := s.o.Log.Info(); e.Enabled() {
		if id := w.Header().Get(problem.HeaderCorrelation); id != "" {
			e.Str("correlation_id", id)
		}
		e.Str("method", method(r.Method)).Str("route", route(r.Pattern)).Int("status", w.code()).Int64("ms", took.Milliseconds()).Str("from", r.RemoteAddr).Msg("request")
	}
}

// route names a pattern in the log and in a label.
func route(pattern string) string {
	if pattern == "" || pattern == "/" {
		return "none" // refused before, or nobody's
	}
	return pattern
}

func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// only lets these methods through, with a body of ours if any.
func only(next http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			notAllowed(w, methods...)
			return
		}
		if wrong := unfit(r); wrong != nil {
			closing(w)
			wrong.Write(w)
			return
		}
		next(w, r)
	})
}

func notAllowed(w http.ResponseWriter, allowed ...string) {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	closing(w)
	status(http.StatusMethodNotAllowed, "this path does not take the method", "it takes "+strings.Join(allowed, " and ")).Write(w)
}
