package httpd

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"bankauth/internal/auth"
	"bankauth/internal/problem"
	"bankauth/internal/stdio"
)

// Headers of the streamable HTTP transport.
const (
	headerSession  = "Mcp-Session-Id"
	headerRevision = "Mcp-Protocol-Version"
	headerMethod   = "Mcp-Method"
	headerName     = "Mcp-Name"
)

const (
	methodInitialize = "initialize"
	methodToolsCall  = "tools/call"
	methodCancelled  = "notifications/cancelled"
	methodDiscover   = "server/discover"
)

// mcp serves the streamable HTTP transport.
//
// It keeps no sessions. A client of 2025-11-25 gets a session id, so that its
// cancelling finds its own calls and nobody else's; the server remembers
// nothing about it, takes any, and so has none to end (DELETE) and nothing to
// send outside an answer (GET). Any replica serves any request.
func (s *Server) mcp(w http.ResponseWriter, r *http.Request) {
	if wrong := acceptable(r); wrong != nil {
		closing(w)
		wrong.Write(w)
		return
	}
	env, ok := s.open(w, r)
	if !ok {
		return
	}
	s.post(w, r, env)
}

// acceptable refuses a client that could not read the answer.
func acceptable(r *http.Request) *problem.Problem {
	given := r.Header["Accept"]
	if len(given) == 0 {
		return nil
	}
	for _, line := range given {
		for part := range strings.SplitSeq(line, ",") {
			kind, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "application/json", "application/*", "*/*":
				return nil
			}
		}
	}
	return status(http.StatusNotAcceptable, "the answer would be application/json, which Accept leaves out", "send Accept: application/json, text/event-stream")
}

// post serves one message, by the rules of its client's time.
func (s *Server) post(w http.ResponseWriter, r *http.Request, env stdio.Envelope) {
	header := r.Header.Get(headerRevision)
	// Where header and body disagree that is the fault to name; and the header
	// of a handshake may name what is about to be agreed on.
	if revision := cmp.Or(header, env.Revision); revision != "" && !known(revision) && env.Method != methodInitialize &&
		(env.Revision == "" || revision == env.Revision) {
		s.refuse(w, env.ID, unsupported(revision, revisions))
		return
	}
	if isModern(header) || isModern(env.Revision) {
		s.modern(w, r, env, header)
		return
	}
	session := r.Header.Get(headerSession)
	if !wellFormed(session) {
		s.refuse(w, env.ID, &stdio.Error{Code: stdio.CodeRequest, Message: "the Mcp-Session-Id header is not one that this server gave"})
		return
	}
	m := Message{Message: env.Message, Revision: header}
	if m.Revision == "" {
		m.Revision = unsaid
	}
	principal := caller(r).Principal
	switch {
	case env.Answer: // we ask nothing
		w.WriteHeader(http.StatusAccepted)
	case env.Method == methodCancelled:
		s.calls.cancel(principal, session, env.RequestID)
		w.WriteHeader(http.StatusAccepted)
	case env.ID == nil:
		s.replies.Call(r.Context(), s.plain(m), m.Message)
		w.WriteHeader(http.StatusAccepted)
	default:
		// A connection that breaks is no wish to cancel, in 2025.
		ctx, c := s.calls.begin(context.WithoutCancel(r.Context()), principal, session, env.ID)
		if c == nil {
			s.refuse(w, env.ID, &stdio.Error{Code: stdio.CodeRequest, Message: "a request with this id is still being answered"})
			return
		}
		s.request(ctx, w, r, m, env.Name, c)
	}
}

// request calls the handler and answers.
func (s *Server) request(ctx context.Context, w http.ResponseWriter, r *http.Request, m Message, name string, c *call) {
	defer s.calls.end(c)
	if s.o.Allow != nil && !s.o.Allow(w, r, m.Method, name) {
		return
	}
	if m.Method == methodToolsCall {
		if principal := caller(r).Principal; s.calls.enter(ctx, principal) {
			defer s.calls.leave(principal)
		} else {
			m.Busy = true
		}
	}
	out := &stream{w: w}
	m.Notify = out.notify
	reply := s.replies.Call(ctx, s.plain(m), m.Message)
	if !s.calls.end(c) {
		out.begin() // and nothing in it: what was cancelled is not answered
		return
	}
	s.answer(out, m, reply)
}

// answer writes the reply: as JSON, or as the end of a stream that has begun.
func (s *Server) answer(out *stream, m Message, reply stdio.Reply) {
	if m.Method == methodInitialize && reply.Error == nil && !m.Modern {
		out.w.Header().Set(headerSession, rand.Text())
	}
	s.replies.Write(m.ID, reply, func(line []byte) {
		if out.begun {
			out.event(line)
			return
		}
		status := http.StatusOK
		if m.Modern && reply.Error != nil {
			status = modernStatus(reply.Error.Code)
		}
		send(out.w, status, line)
	})
}

// refuse answers a message that goes to no handler.
func (s *Server) refuse(w http.ResponseWriter, id json.RawMessage, e *stdio.Error) {
	s.replies.Write(id, stdio.Reply{Error: e}, func(line []byte) { send(w, http.StatusBadRequest, line) })
}

func send(w http.ResponseWriter, status int, line []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(line)))
	w.WriteHeader(status)
	_, _ = w.Write(line) // it fails only where nobody reads any more
}

// plain is the handler for package stdio, which does not know the rest of m.
func (s *Server) plain(m Message) stdio.Handle {
	return func(ctx context.Context, _ stdio.Message) stdio.Reply { return s.o.Handle(ctx, m) }
}

// caller is who the gate let in. A gate that let somebody in without a name
// has let in nobody.
func caller(r *http.Request) auth.Caller {
	c, _ := auth.FromContext(r.Context())
	return c
}

// stream is an answer that may turn into an event stream.
type stream struct {
	w     http.ResponseWriter
	begun bool
}

func (o *stream) begin() {
	if o.begun {
		return
	}
	o.begun = true
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	o.w.WriteHeader(http.StatusOK)
}

func (o *stream) notify(json []byte) {
	o.begin()
	o.event(json)
	_ = http.NewResponseController(o.w).Flush()
}

// event writes one message, with or without its newline.
func (o *stream) event(line []byte) { _, _ = o.w.Write(appendEvent(nil, line)) }

func appendEvent(b, line []byte) []byte {
	b = append(b, "event: message\ndata: "...)
	b = append(b, line...)
	if line[len(line)-1] != '\n' {
		b = append(b, '\n')
	}
	return append(b, '\n')
}
