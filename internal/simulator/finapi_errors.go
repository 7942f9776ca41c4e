package simulator

import (
	"net/http"
	"strings"
)

type finding struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	Type    string `json:"type"`
}

// error answers finAPI's general error body.
func (f *finAPI) error(q *request, status int, code, message string) answer {
	form := "2006-01-02T15:04:05.000-07:00"
	if f.is.Version == "v1" {
		form = "2006-01-02 15:04:05.000"
	}
	return inJSON(status, struct {
		Errors    []finding `json:"errors"`
		Date      string    `json:"date"`
		RequestID string    `json:"requestId"`
		Endpoint  string    `json:"endpoint"`
		Context   string    `json:"authContext"`
		Bank      *string   `json:"bank"`
	}{[]finding{{message, code, "TECHNICAL"}}, f.now().Format(form), f.requestID(q), q.Method + " " + q.URL.Path, "1/21", nil})
}

// poor answers a 400 of the token path, in the shape that the switch names.
func (f *finAPI) poor(q *request, code, message string) answer {
	if f.is.Errors400 == "oauth" {
		return inJSON(http.StatusBadRequest, refused{Error: code, Description: message})
	}
	return f.error(q, http.StatusBadRequest, "BAD_REQUEST", message)
}

func (f *finAPI) missing(q *request, message string) answer {
	if f.is.Errors400 == "oauth" {
		return inJSON(f.is.MissingField, refused{Error: "invalid_request", Description: message})
	}
	return f.error(q, f.is.MissingField, "MISSING_FIELD", message)
}

func (f *finAPI) denied(q *request) answer {
	return f.error(q, http.StatusForbidden, "UNAUTHORIZED_ACCESS", "Access is denied")
}

func (f *finAPI) unknownToken(q *request) answer {
	if q.bearer() == "" {
		return inJSON(http.StatusUnauthorized, refused{Error: "unauthorized", Description: "Full authentication is required to access this resource"})
	}
	return inJSON(http.StatusUnauthorized, refused{Error: "invalid_token", Description: "Invalid access token: " + q.bearer()})
}

// failure serves faults and unknown paths. A code in lower case is one of
// OAuth's, except where no path is found.
func (f *finAPI) failure(q *request, status int, code string) answer {
	if code == "not_found" {
		return f.error(q, status, "UNKNOWN_ENTITY", "There is nothing here")
	}
	if strings.ToLower(code) == code {
		return inJSON(status, refused{Error: code, Description: title(code)})
	}
	return f.error(q, status, code, title(strings.ToLower(code)))
}

// requestID returns the caller's id, or one that is made once for a request.
func (f *finAPI) requestID(q *request) string {
	id := q.Header.Get("X-Request-Id")
	if id == "" || len(id) > 255 || printable(id) == "" {
		id = "selfgen-" + f.random.uuid()
		q.Header.Set("X-Request-Id", id)
	}
	return id
}

func (f *finAPI) finish(q *request, a *answer) { a.set("X-Request-Id", f.requestID(q)) }
