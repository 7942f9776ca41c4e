package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"bankauth/internal/config"
)

// exporter sends spans by OTLP over HTTP, encoded as JSON. The SDK's own
// exporter brings gRPC and protobuf: ten megabytes of program, and a
// millisecond of every start, for three messages.
type exporter struct {
	set    config.Tracing
	client *http.Client
	log    zerolog.Logger
}

func newExporter(set config.Tracing, log zerolog.Logger) *exporter {
	return &exporter{set: set, log: log, client: &http.Client{
		Timeout:       set.Timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ExportSpans sends the spans once. What the collector does not take is gone,
// and said in the log; the SDK would write an error to stderr by itself.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.send(ctx, spans); err != nil {
		e.log.Warn().Int("spans", len(spans)).AnErr("cause", err).Msg("the collector of traces took nothing")
	}
	return nil
}

// Shutdown has nothing to end: every request ends by itself.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

func (e *exporter) send(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	body, err := json.Marshal(encode(spans))
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.set.Endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sending spans: %w", err)
	}
	for name, value := range e.set.Headers {
		q.Header.Set(name, value.Reveal())
	}
	q.Header.Set("Content-Type", "application/json")
	answer, err := e.client.Do(q)
	if err != nil {
		return fmt.Errorf("sending spans: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is used again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("sending spans: status %d", answer.StatusCode)
	}
	return nil
}

// The messages of OTLP's JSON, as far as they are used.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   attributed   `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	attributed struct {
		Attributes []keyValue `json:"attributes,omitempty"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	span struct {
		TraceID    string     `json:"traceId"`
		SpanID     string     `json:"spanId"`
		ParentID   string     `json:"parentSpanId,omitempty"`
		Name       string     `json:"name"`
		Kind       int        `json:"kind"`
		Start      string     `json:"startTimeUnixNano"`
		End        string     `json:"endTimeUnixNano"`
		Attributes []keyValue `json:"attributes,omitempty"`
		Status     status     `json:"status"`
	}
	status struct {
		Code int `json:"code,omitempty"` // 2: error
	}
	keyValue struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// encode makes one message of spans, which are all of one resource and scope.
func encode(spans []sdk.ReadOnlySpan) request {
	from := spans[0].InstrumentationScope()
	out := scopeSpans{Scope: scope{from.Name, from.Version}}
	for _, s := range spans {
		c := s.SpanContext()
		one := span{
			TraceID: c.TraceID().String(), SpanID: c.SpanID().String(), Name: s.Name(), Kind: int(s.SpanKind()),
			Start: strconv.FormatInt(s.StartTime().UnixNano(), 10), End: strconv.FormatInt(s.EndTime().UnixNano(), 10), Attributes: keyValues(s.Attributes()),
		}
		if p := s.Parent(); p.HasSpanID() {
			one.ParentID = p.SpanID().String()
		}
		if s.Status().Code.String() == "Error" {
			one.Status.Code = 2
		}
		out.Spans = append(out.Spans, one)
	}
	return request{[]resourceSpans{{attributed{keyValues(spans[0].Resource().Attributes())}, []scopeSpans{out}}}}
}

func keyValues(all []attribute.KeyValue) []keyValue {
	var out []keyValue
	for _, a := range all {
		value := map[string]any{"stringValue": a.Value.Emit()}
		if a.Value.Type() == attribute.INT64 {
			value = map[string]any{"intValue": strconv.FormatInt(a.Value.AsInt64(), 10)}
		}
		out = append(out, keyValue{string(a.Key), value})
	}
	return out
}
