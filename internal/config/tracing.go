package config

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Tracing says where spans go, as OpenTelemetry's own variables have it. The
// zero value says that there are none.
type Tracing struct {
	Endpoint string // to which spans are posted; "": none are made
	Headers  map[string]secret.Value
	Timeout  time.Duration
}

// What the specification says of OTEL_EXPORTER_OTLP_TIMEOUT.
const tracingTimeout = 10 * time.Second

// Tracing reads the variables of OpenTelemetry's OTLP exporter. The SDK reads
// the others (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER,
// OTEL_BSP_…) by itself.
func (e Environment) Tracing() (Tracing, error) {
	const signal, all = "OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"
	// A variable for traces alone wins over the one for every signal.
	get := func(name string) (value, variable string) {
		for _, variable := range []string{signal + name, all + name} {
			if value, ok := e.Lookup(variable); ok {
				return value, variable
			}
		}
		return "", ""
	}
	endpoint, variable := get("ENDPOINT")
	exporter, _ := e.Lookup("OTEL_TRACES_EXPORTER")
	off, _ := e.Lookup("OTEL_SDK_DISABLED")
	if endpoint == "" || exporter != "" && exporter != "otlp" || strings.EqualFold(off, "true") {
		return Tracing{}, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return Tracing{}, fault.New(fault.NotConfigured, variable+" is not a URL that traces can be posted to", "set it to one such as http://127.0.0.1:4318, and put credentials into "+all+"HEADERS")
	}
	if variable == all+"ENDPOINT" { // the other one is used as it is
		u = u.JoinPath("v1", "traces")
	}
	t := Tracing{Endpoint: u.String(), Headers: map[string]secret.Value{}, Timeout: tracingTimeout}
	if protocol, variable := get("PROTOCOL"); protocol == "grpc" {
		return Tracing{}, fault.New(fault.NotConfigured, variable+" is grpc, and traces are sent over HTTP only", "set it to http/json, and name the collector's HTTP port (4318)")
	}
	if text, variable := get("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return Tracing{}, fault.New(fault.NotConfigured, variable+" is not a number of milliseconds", "set it to one such as 10000, or unset it")
		}
		t.Timeout = time.Duration(ms) * time.Millisecond
	}
	list, variable := get("HEADERS")
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil || strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' || r > '~' }) || strings.ContainsAny(name, " :") {
			return Tracing{}, fault.New(fault.NotConfigured, variable+" is not a list of headers", "write name=value, with commas between, and percent signs for what is no letter")
		}
		t.Headers[name] = secret.New(value)
	}
	return t, nil
}
