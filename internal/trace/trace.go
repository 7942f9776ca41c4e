// Package trace tells an OpenTelemetry collector what took how long: a span
// for each HTTP request, under it one for the call of a tool, under that one
// for each exchange with a provider.
//
// A span has words of ours and numbers: no argument, no id of a token, no name
// of a caller, and of what a client sends with its request only the ids of
// traceparent.
package trace

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/rs/zerolog"

	"bankauth/internal/config"
)

// Tracer makes spans and sends them, in batches, as the standard variables
// say. Its nil value makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New returns nil where no collector is named. A collector that does not
// answer costs spans and a line in the log, nothing else.
func New(ctx context.Context, set config.Tracing, version string, log zerolog.Logger) *Tracer {
	if set.Endpoint == "" {
		return nil
	}
	// What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes last and
	// wins. The error is of attributes that cannot be read, which are left out.
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "bankauth"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		log.Warn().Msg("OTEL_RESOURCE_ATTRIBUTES is not a list of name=value, and not all of it is used")
	}
	p := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(newExporter(set, log)))
	return &Tracer{provider: p, tracer: p.Tracer("bankauth", trace.WithInstrumentationVersion(version))}
}

// Close sends what is left, for as long as ctx lasts.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		_ = t.provider.Shutdown(ctx) // the exporter has logged why
	}
}

// Request begins the span of a request; end is to be called with the server's
// own name of its route, and with the status that was answered.
func (t *Tracer) Request(r *http.Request) (_ *http.Request, end func(route string, status int)) {
	if t == nil {
		return r, func(string, int) {}
	}
	// The trace state, a text of the caller's, ends here: the exporter has no
	// field for it.
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	return r.WithContext(ctx), func(route string, status int) {
		span.SetName(known(r.Method) + " " + route)
		span.SetAttributes(attribute.String("http.request.method", known(r.Method)), attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// known is a method of HTTP; what a client made up is not repeated.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "HTTP"
}

// Call adds the span of a call that has ended. All names must be ours.
func (t *Tracer) Call(ctx context.Context, tool, provider, code, correlation string, took time.Duration) {
	t.past(ctx, tool, trace.SpanKindInternal, took, code != "ok", attribute.String("bankauth.provider", provider),
		attribute.String("bankauth.code", code), attribute.String("bankauth.correlation_id", correlation))
}

// Exchange adds the span of a request to a provider, whose name must be ours;
// status is 0 where no answer came.
func (t *Tracer) Exchange(ctx context.Context, provider string, status int, took time.Duration) {
	t.past(ctx, "exchange "+provider, trace.SpanKindClient, took, status == 0 || status >= http.StatusBadRequest,
		attribute.String("bankauth.provider", provider), attribute.Int("http.response.status_code", status))
}

// past adds a span that ends now.
func (t *Tracer) past(ctx context.Context, name string, kind trace.SpanKind, took time.Duration, failed bool, about ...attribute.KeyValue) {
	if t == nil {
		return
	}
	now := time.Now()
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(now.Add(-took)), trace.WithAttributes(about...))
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(now))
}
