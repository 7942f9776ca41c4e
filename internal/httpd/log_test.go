package httpd_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"bankauth/internal/httpd"
)

// logged is a log whose lines can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.b.String()), "\n")
}

// TestErrorsAreFoundInTheLog: what the edge answers, whoever runs the server
// finds by the id that the caller has.
func TestErrorsAreFoundInTheLog(t *testing.T) {
	var log logged
	s := serve(t, func(o *httpd.Options) {
		o.Log = zerolog.New(&log)
		o.Routes["/v1/panics"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") })
	})
	for _, c := range []struct {
		status                     int
		method, path, body, header string
	}{
		{403, "GET", "/health/live", "", "Host: evil.example"}, {403, "POST", "/mcp", "{}", "Origin: https://evil.example"}, {404, "GET", "/nothing", "", ""},
		{405, "DELETE", "/mcp", "", ""}, {406, "POST", "/mcp", "{}", "Accept: text/html"}, {415, "POST", "/v1/x", "{}", "Content-Type: text/plain"},
		{400, "POST", "/v1/x", "{", ""}, {400, "GET", "/v1//x", "", ""}, {500, "GET", "/v1/panics", "", ""}, {404, "POST", "/message?sessionId=x", "{}", ""},
	} {
		header := c.header
		if header == "" {
			header = "X-Nothing: 1"
		}
		g := s.send(t, c.method, c.path, c.body, header)
		var said struct {
			ID string `json:"correlation_id"`
		}
		if err := json.Unmarshal([]byte(g.body), &said); err != nil || g.status != c.status || said.ID == "" || g.header.Get("X-Correlation-Id") != said.ID {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, g.status, g.header, g.body)
			continue
		}
		eventually(t, c.path+": its line lacks the id", func() bool {
			for _, line := range log.lines() {
				if strings.Contains(line, `"message":"request"`) && strings.Contains(line, `"correlation_id":"`+said.ID+`"`) {
					return true
				}
			}
			return false
		})
	}
	s.post(t, hello)
	eventually(t, "a good answer has no id", func() bool {
		lines := log.lines()
		last := lines[len(lines)-1]
		return strings.Contains(last, `"status":200`) && !strings.Contains(last, "correlation_id")
	})
}
