package httpd

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"bankauth/internal/stdio"
)

// revisions are the protocol's revisions that have a streamable HTTP
// transport, or whose clients use it.
var revisions = []string{firstModern, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

const (
	firstModern = "2026-07-28"
	unsaid      = "2025-03-26" // of a request without MCP-Protocol-Version
)

// Error codes that MCP adds.
const (
	codeHeader     = -32020 // the headers do not say what the body says
	codeCapability = -32021 // the client lacks one
	codeRevision   = -32022 // the revision is not supported
	codeMethod     = -32601
)

func known(revision string) bool { return slices.Contains(revisions, revision) }

// unsupported tells a client which revisions to fall back to. What it asked for
// is repeated where it may be a revision's name; else it may be anything.
func unsupported(requested string, supported []string) *stdio.Error {
	if len(requested) > 2*len(firstModern) || strings.Trim(strings.TrimPrefix(requested, "v"), "0123456789.-") != "" {
		requested = ""
	}
	return &stdio.Error{Code: codeRevision, Message: "this server does not know the protocol's revision that was named, or not over this transport",
		Data: map[string]any{"supported": supported, "requested": requested}}
}

// isModern reports whether the revision is one without a handshake.
func isModern(revision string) bool {
	return len(revision) == len(firstModern) && revision >= firstModern && revision[0] == '2'
}

// wellFormed reports whether a session id can be one: visible ASCII.
func wellFormed(id string) bool {
	return len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' })
}

// modern serves a message of 2026-07-28 or later: there is no session, the
// request says everything by itself, and it ends with its connection.
func (s *Server) modern(w http.ResponseWriter, r *http.Request, env stdio.Envelope, header string) {
	if env.Answer {
		s.refuse(w, env.ID, &stdio.Error{Code: stdio.CodeRequest, Message: "this server asks no questions, so it takes no answers"})
		return
	}
	if env.ID == nil {
		// A client of this revision cancels by closing the stream; whose
		// request a notification is about cannot be known.
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if e := headers(r.Header, env, header); e != nil {
		s.refuse(w, env.ID, e)
		return
	}
	ctx, c := s.calls.begin(r.Context(), caller(r).Principal, "", env.ID)
	s.request(ctx, w, r, Message{Message: env.Message, Revision: env.Revision, Modern: true}, env.Name, c)
}

// headers holds what the headers say against the body, so that a proxy that
// looks at the one and we who look at the other see the same request.
func headers(h http.Header, env stdio.Envelope, revision string) *stdio.Error {
	mismatch := func(text string) *stdio.Error { return &stdio.Error{Code: codeHeader, Message: text} }
	switch {
	case h.Get("Last-Event-ID") != "":
		return mismatch("streams cannot be resumed in this revision; send the request again, with a new id")
	case revision == "":
		return mismatch("the MCP-Protocol-Version header is missing")
	case env.Revision == "":
		return &stdio.Error{Code: stdio.CodeParams, Message: "params._meta does not name the protocol's revision"}
	case revision != env.Revision:
		return mismatch("the MCP-Protocol-Version header and params._meta name different revisions")
	case h.Get(headerMethod) == "":
		return mismatch("the Mcp-Method header is missing")
	case h.Get(headerMethod) != env.Method:
		return mismatch("the Mcp-Method header is not the method of the body")
	}
	switch env.Method {
	case methodToolsCall, "prompts/get", "resources/read":
	default:
		return nil
	}
	name, ok := headerValue(h.Get(headerName))
	switch {
	case name == "":
		return mismatch("the Mcp-Name header is missing")
	case !ok:
		return mismatch("the Mcp-Name header is not valid base64")
	case name != env.Name:
		return mismatch("the Mcp-Name header is not the name in the body")
	}
	return nil
}

// headerValue resolves the form in which a header carries what is not ASCII.
func headerValue(v string) (text string, ok bool) {
	rest, wrapped := strings.CutPrefix(v, "=?base64?")
	inner, closed := strings.CutSuffix(rest, "?=")
	if !wrapped || !closed {
		return v, true
	}
	b, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return v, false
	}
	return string(b), true
}

// modernStatus is the HTTP status of an error of 2026-07-28.
func modernStatus(code int) int {
	switch code {
	case codeMethod:
		return http.StatusNotFound
	case codeHeader, codeCapability, codeRevision, stdio.CodeRequest, stdio.CodeParams, stdio.CodeParse:
		return http.StatusBadRequest
	}
	return http.StatusOK
}
