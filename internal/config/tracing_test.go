package config_test

import (
	"strings"
	"testing"
	"time"

	"bankauth/internal/config"
)

func TestTracing(t *testing.T) {
	for name, c := range map[string]struct {
		env      []string
		endpoint string
		timeout  time.Duration
		wrong    string
	}{
		"nothing":           {nil, "", 0, ""},
		"for all":           {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, "http://c:4318/v1/traces", 10 * time.Second, ""},
		"for all, a path":   {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c/otlp/"}, "https://c/otlp/v1/traces", 10 * time.Second, ""},
		"for traces":        {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://other", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c/x"}, "http://c/x", 10 * time.Second, ""},
		"another protocol":  {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"}, "http://c/v1/traces", 10 * time.Second, ""},
		"a time":            {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_TIMEOUT=250"}, "http://c/v1/traces", 250 * time.Millisecond, ""},
		"another exporter":  {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=canary", "OTEL_TRACES_EXPORTER=none"}, "", 0, ""},
		"off":               {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=canary", "OTEL_SDK_DISABLED=TRUE"}, "", 0, ""},
		"no URL":            {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=canary:4318"}, "", 0, "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"},
		"credentials in it": {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://u:canary@c"}, "", 0, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not a URL"},
		"gRPC":              {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "", 0, "is grpc"},
		"no time":           {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_TIMEOUT=canary"}, "", 0, "not a number of milliseconds"},
		"no header":         {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_HEADERS=canary"}, "", 0, "not a list of headers"},
		"a header's end":    {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c", "OTEL_EXPORTER_OTLP_HEADERS=a=canary%0d%0ab"}, "", 0, "not a list of headers"},
	} {
		set, err := config.Read(c.env, "linux").Tracing()
		if err == nil != (c.wrong == "") || set.Endpoint != c.endpoint || set.Timeout != c.timeout {
			t.Errorf("%s: %+v, %v", name, set, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
