package httpd

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"bankauth/internal/fault"
)

// Metrics counts what the server does, for Prometheus. Every label has few
// values, all of them the server's own words: no id, no name of a client.
type Metrics struct {
	set  *metrics.Set
	told map[string]family // by name
}

// family is what is said of all series of a name.
type family struct{ kind, help string }

// Steps of the histograms, in seconds: a call that needs no provider takes a
// fraction of a millisecond, and none takes longer than 50 s.
var steps = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 50}

const (
	requestsTotal  = "bankauth_http_requests_total"
	callsTotal     = "bankauth_calls_total"
	callTime       = "bankauth_call_seconds"
	upstreamTime   = "bankauth_upstream_seconds"
	busyTotal      = "bankauth_busy_total"
	refreshesTotal = "bankauth_refreshes_total"
	replaysTotal   = "bankauth_replays_total"
	reauthTotal    = "bankauth_reauthorisations_total"
)

// NewMetrics returns Metrics of their own.
func NewMetrics(version string) *Metrics {
	m := &Metrics{set: metrics.NewSet(), told: map[string]family{
		requestsTotal:  {"counter", "HTTP requests answered, by route and status."},
		callsTotal:     {"counter", "Calls of tools, by tool, provider and code; ok for those that worked."},
		callTime:       {"histogram", "Time of a call."},
		upstreamTime:   {"histogram", "Time of an exchange with a provider, by provider and status; the status is 0 where no answer came."},
		busyTotal:      {"counter", "Calls that were one too many."},
		refreshesTotal: {"counter", "Refreshes sent to a provider, replays not counted."},
		replaysTotal:   {"counter", "Requests for a token sent again, because nobody knew what became of the one before."},
		reauthTotal:    {"counter", "Calls answered reauthorize: somebody has to consent again."},
	}}
	m.set.NewCounter(busyTotal)
	m.Gauge("bankauth_build_info", "1, with the version.", map[string]string{"version": version}, func() float64 { return 1 })
	return m
}

// Gauge adds a figure that is asked for when somebody looks.
func (m *Metrics) Gauge(name, help string, labels map[string]string, value func() float64) {
	m.told[name] = family{"gauge", help}
	var pairs []string
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, label, labels[label])
	}
	m.set.NewGauge(series(name, pairs...), value)
}

// watch adds the figures of a server.
func (m *Metrics) watch(s *Server) {
	var labels map[string]string
	if s.o.Name != "" {
		labels = map[string]string{"adapter": s.o.Name}
	}
	m.Gauge("bankauth_calls_in_flight", "Calls of tools at work.", labels, func() float64 { return float64(s.calls.atWork()) })
	m.Gauge("bankauth_streams", "Open streams of /sse: the sessions there are.", labels, func() float64 { return float64(s.streams.count()) })
	m.Gauge("bankauth_connections", "Open connections.", labels, func() float64 {
		if s.conns == nil {
			return 0
		}
		return float64(s.conns.count())
	})
}

// Call counts a call of a tool. All three names must be the server's own.
func (m *Metrics) Call(tool, provider, code string, took time.Duration) {
	m.count(callsTotal, "code", code, "provider", provider, "tool", tool)
	m.observe(callTime, took, "tool", tool)
	if code == string(fault.Reauthorize) {
		m.count(reauthTotal, "provider", provider)
	}
}

// Sent counts a request for a token: one that refreshes, or one that is sent
// again.
func (m *Metrics) Sent(provider string, refresh, again bool) {
	switch {
	case again:
		m.count(replaysTotal, "provider", provider)
	case refresh:
		m.count(refreshesTotal, "provider", provider)
	}
}

// Upstream counts a request to a provider.
func (m *Metrics) Upstream(provider string, status int, took time.Duration) {
	m.observe(upstreamTime, took, "provider", provider, "status", strconv.Itoa(status))
}

func (m *Metrics) request(route string, status int) {
	m.count(requestsTotal, "route", route, "status", strconv.Itoa(status))
}

func (m *Metrics) count(name string, labels ...string) {
	m.set.GetOrCreateCounter(series(name, labels...)).Inc()
}

func (m *Metrics) observe(name string, took time.Duration, labels ...string) {
	m.set.GetOrCreatePrometheusHistogramExt(series(name, labels...), steps).Update(took.Seconds())
}

// series names one of a family by pairs of a label and its value.
func series(name string, labels ...string) string {
	if len(labels) == 0 {
		return name
	}
	b := append(make([]byte, 0, 128), name...) // one allocation: each call names a few
	for i := 0; i < len(labels); i += 2 {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		b = append(append(append(b, separator), labels[i]...), '=')
		b = strconv.AppendQuote(b, labels[i+1])
	}
	return string(append(b, '}'))
}

func (m *Metrics) show(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.write(w)
	metrics.WriteProcessMetrics(w)
}

// write writes the series, each family after what is said of it. The library
// says nothing, or says it of everything in the process.
func (m *Metrics) write(w io.Writer) {
	var all bytes.Buffer
	m.set.WritePrometheus(&all)
	last := ""
	for line := range bytes.Lines(all.Bytes()) {
		name := string(line[:max(0, bytes.IndexAny(line, "{ "))])
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, end); m.told[base].kind == "histogram" {
				name = base
			}
		}
		if f, ok := m.told[name]; ok && name != last {
			_, _ = io.WriteString(w, "# HELP "+name+" "+f.help+"\n# TYPE "+name+" "+f.kind+"\n")
			last = name
		}
		_, _ = w.Write(line) // it fails only where nobody reads any more
	}
}
