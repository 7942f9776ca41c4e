package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const maxBody = 1 << 20

const (
	mediaForm = "application/x-www-form-urlencoded"
	mediaJSON = "application/json"
)

var (
	errMedia   = errors.New("the body's media type is not the documented one")
	errSyntax  = errors.New("the body cannot be read")
	errRepeats = errors.New("a parameter is there more than once") // RFC 6749 §3.2
	errType    = errors.New("a parameter is not a text")
)

// request is an HTTP request with its body read.
type request struct {
	*http.Request
	body   []byte
	media  string
	params map[string]string // nil when parsing failed; see err
	err    error
}

func read(r *http.Request) (*request, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errSyntax
	}
	q := &request{Request: r, body: body}
	q.media, _, _ = mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
		q.params = map[string]string{}
	case q.media == mediaForm:
		q.params, q.err = form(string(body))
	case q.media == mediaJSON:
		q.params, q.err = texts(body)
	default:
		q.err = errMedia
	}
	return q, nil
}

// parsed returns the parameters of a body of the given media type.
func (q *request) parsed(media string) (map[string]string, error) {
	if q.media != media {
		return nil, errMedia
	}
	return q.params, q.err
}

func form(text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errSyntax
	}
	params := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) > 1 {
			return nil, errRepeats
		}
		params[name] = v[0]
	}
	return params, nil
}

// texts reads a JSON object for its text members; null is as good as absent.
func texts(body []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errSyntax
	}
	params, seen := map[string]string{}, map[string]bool{}
	var wrong error
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errSyntax
		}
		if seen[name] {
			return nil, errRepeats
		}
		seen[name] = true
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, errSyntax
		}
		switch v := value.(type) {
		case nil:
		case string:
			params[name] = v
		default:
			wrong = errType
		}
	}
	if _, err := d.Token(); err != nil || d.More() {
		return nil, errSyntax
	}
	return params, wrong
}

// grant returns the grant_type, whatever the body's media type.
func (q *request) grant() string { return q.params["grant_type"] }

// tool returns the name of the tool that sends such a request, or "".
func (q *request) tool() string {
	switch {
	case q.Method != http.MethodPost:
		return ""
	case q.grant() == "refresh_token":
		return "refresh_token"
	case q.grant() != "":
		return "create_access_token"
	case strings.HasSuffix(q.URL.Path, "/users"):
		return "create_user"
	}
	return ""
}

// bearer returns the token of the Authorization header, or "".
func (q *request) bearer() string {
	scheme, token, ok := strings.Cut(q.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// confided reports whether the request line or the Referer names something
// that belongs in a header or a body (RFC 6749 §2.3.1, §3.2).
func (q *request) confided() bool {
	if q.URL.RawQuery == "" && q.Header.Get("Referer") == "" {
		return false
	}
	where := []url.Values{q.URL.Query()}
	if u, err := url.Parse(q.Header.Get("Referer")); err == nil {
		where = append(where, u.Query())
	}
	for _, values := range where {
		for _, name := range []string{"client_secret", "access_token", "refresh_token", "password", "token"} {
			if values.Has(name) {
				return true
			}
		}
	}
	return false
}

// wellFormed reports whether scope is empty or as RFC 6749 §3.3 has it.
func wellFormed(scope string) bool {
	if scope == "" {
		return true
	}
	for _, token := range strings.Split(scope, " ") {
		if token == "" {
			return false
		}
		for _, c := range []byte(token) {
			if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
				return false
			}
		}
	}
	return true
}

// answer is what a bank says.
type answer struct {
	status int
	header http.Header // nil: none of its own
	body   []byte
}

func (a *answer) set(name, value string) {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(name, value)
}

// inJSON returns an answer with v as its body and the headers that RFC 6749
// §5.1 asks for.
func inJSON(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types only
	}
	return answer{status: status, body: body, header: http.Header{
		"Content-Type": {"application/json;charset=UTF-8"}, "Cache-Control": {"no-store"},
	}}
}

// issued is a token endpoint's answer, RFC 6749 §5.1.
type issued struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresIn    *int64 `json:"expires_in,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Type         string `json:"type,omitempty"`
}

// refused is RFC 6749 §5.2's error.
type refused struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}
