package trace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"bankauth/internal/config"
	"bankauth/internal/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector takes what an OpenTelemetry collector would.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	status  int
	bodies  [][]byte
	headers http.Header
}

func newCollector(t *testing.T, status int) *collector {
	t.Helper()
	c := &collector{status: status}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.URL.Path == "/v1/traces" && r.Method == http.MethodPost {
			c.bodies, c.headers = append(c.bodies, b), r.Header
		}
		w.WriteHeader(c.status)
	}))
	t.Cleanup(c.Close)
	return c
}

// env is what names c as the collector.
func (c *collector) env(more ...string) config.Environment {
	return config.Read(append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL}, more...), "linux")
}

type spans []struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano, EndTimeUnixNano  string
	Attributes                          []struct {
		Key   string
		Value map[string]string
	}
	Status struct{ Code int }
}

func (c *collector) spans(t *testing.T) (all spans) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.bodies {
		var v struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans spans } }
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		for _, r := range v.ResourceSpans {
			for _, s := range r.ScopeSpans {
				all = append(all, s.Spans...)
			}
		}
	}
	return all
}

func newTracer(t *testing.T, env config.Environment, log io.Writer) *trace.Tracer {
	t.Helper()
	set, err := env.Tracing()
	if err != nil {
		t.Fatal(err)
	}
	return trace.New(t.Context(), set, "1.2.3", zerolog.New(log))
}

// TestSpans: request, call and exchange hang together below the caller's own
// span, and hold nothing that the caller made up.
func TestSpans(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	c := newCollector(t, http.StatusOK)
	tracer := newTracer(t, c.env("OTEL_EXPORTER_OTLP_HEADERS=x-key=%41%20b"), io.Discard)
	r := httptest.NewRequest("CANARY", "/canary?canary", nil)
	r.Header.Set("Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	r.Header.Set("Tracestate", "canary=canary")
	r.Header.Set("Baggage", "canary=canary")
	r, end := tracer.Request(r)
	tracer.Exchange(r.Context(), "flinks", 0, 20*time.Millisecond)
	tracer.Call(r.Context(), "refresh_token", "flinks", "uncertain", "c0ffee", 30*time.Millisecond)
	end("/mcp", http.StatusOK)
	tracer.Close(t.Context())
	if bytes.Contains(bytes.ToLower(bytes.Join(c.bodies, nil)), []byte("canary")) {
		t.Errorf("the spans repeat what the caller made up: %s", c.bodies)
	}
	if c.headers.Get("X-Key") != "A b" || c.headers.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", c.headers)
	}
	for _, want := range []string{`"service.name","value":{"stringValue":"bankauth"}`, `"service.version","value":{"stringValue":"1.2.3"}`, `"deployment.environment.name","value":{"stringValue":"test"}`} {
		if !bytes.Contains(c.bodies[0], []byte(want)) {
			t.Errorf("no %s in %s", want, c.bodies[0])
		}
	}
	all := map[string]int{}
	got := c.spans(t)
	for i, s := range got {
		all[s.Name] = i
		if s.TraceID != "0123456789abcdef0123456789abcdef" || s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%+v", s)
		}
	}
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	request, call, exchange := got[all["HTTP /mcp"]], got[all["refresh_token"]], got[all["exchange flinks"]]
	if request.ParentSpanID != "0123456789abcdef" || call.ParentSpanID != request.SpanID || exchange.ParentSpanID != request.SpanID {
		t.Errorf("the spans do not hang together: %+v", got)
	}
	if request.Status.Code != 0 || call.Status.Code != 2 || exchange.Status.Code != 2 || request.Kind != 2 || exchange.Kind != 3 {
		t.Errorf("status or kind: %+v", got)
	}
	if a := call.Attributes; len(a) != 3 || a[1].Value["stringValue"] != "uncertain" || a[2].Value["stringValue"] != "c0ffee" {
		t.Errorf("attributes: %+v", a)
	}
	if a := request.Attributes; a[len(a)-1].Key != "http.response.status_code" || a[len(a)-1].Value["intValue"] != "200" {
		t.Errorf("attributes: %+v", a)
	}
}

// TestWithoutCollector: nobody asked, or nobody listens.
func TestWithoutCollector(t *testing.T) {
	gone := newCollector(t, http.StatusOK)
	gone.Close()
	for name, env := range map[string]config.Environment{
		"not named": config.Read(nil, "linux"),
		"disabled":  gone.env("OTEL_SDK_DISABLED=true"),
		"none":      gone.env("OTEL_TRACES_EXPORTER=none"),
		"gone":      gone.env(),
		"refuses":   newCollector(t, http.StatusForbidden).env(),
	} {
		var log bytes.Buffer
		tracer := newTracer(t, env, &log)
		r, end := tracer.Request(httptest.NewRequest(http.MethodGet, "/", nil))
		tracer.Call(r.Context(), "create_user", "finapi", "ok", "", time.Millisecond)
		end("none", http.StatusNotFound)
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		tracer.Close(ctx)
		stop()
		if told := strings.Contains(log.String(), "the collector of traces took nothing"); told != (name == "gone" || name == "refuses") {
			t.Errorf("%s: the log says %q", name, &log)
		}
	}
}
