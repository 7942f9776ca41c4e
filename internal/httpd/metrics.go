package httpd

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bankauth/internal/fault"
)

// Metrics counts what the server does, for Prometheus. Every label has few
// values, all of them the server's own words: no id, no name of a client.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
	upstream *prometheus.HistogramVec
	busy     prometheus.Counter

	refreshes, replays, reauthorisations *prometheus.CounterVec
}

// Steps of the histograms, in seconds: a call that needs no provider takes a
// fraction of a millisecond, and none takes longer than 50 s.
var steps = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 50}

// NewMetrics returns Metrics with a registry of their own.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bankauth_http_requests_total", Help: "HTTP requests answered, by route and status."}, []string{"route", "status"}),
		calls:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bankauth_calls_total", Help: "Calls of tools, by tool, provider and code; ok for those that worked."}, []string{"tool", "provider", "code"}),
		callTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bankauth_call_seconds", Help: "Time of a call.", Buckets: steps}, []string{"tool"}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bankauth_upstream_seconds", Help: "Time of an exchange with a provider, by provider and status; the status is 0 where no answer came.", Buckets: steps}, []string{"provider", "status"}),
		busy:     prometheus.NewCounter(prometheus.CounterOpts{Name: "bankauth_busy_total", Help: "Calls that were one too many."}),
	}
	provider := []string{"provider"}
	m.refreshes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bankauth_refreshes_total", Help: "Refreshes sent to a provider, replays not counted."}, provider)
	m.replays = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bankauth_replays_total", Help: "Requests for a token sent again, because nobody knew what became of the one before."}, provider)
	m.reauthorisations = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bankauth_reauthorisations_total", Help: "Calls answered reauthorize: somebody has to consent again."}, provider)
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "bankauth_build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.calls, m.callTime, m.upstream, m.busy, m.refreshes, m.replays, m.reauthorisations, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gauge adds a figure that is asked for when somebody looks.
func (m *Metrics) Gauge(name, help string, labels map[string]string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
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
	m.calls.WithLabelValues(tool, provider, code).Inc()
	m.callTime.WithLabelValues(tool).Observe(took.Seconds())
	if code == string(fault.Reauthorize) {
		m.reauthorisations.WithLabelValues(provider).Inc()
	}
}

// Sent counts a request for a token: one that refreshes, or one that is sent
// again.
func (m *Metrics) Sent(provider string, refresh, again bool) {
	switch {
	case again:
		m.replays.WithLabelValues(provider).Inc()
	case refresh:
		m.refreshes.WithLabelValues(provider).Inc()
	}
}

// Upstream counts a request to a provider.
func (m *Metrics) Upstream(provider string, status int, took time.Duration) {
	m.upstream.WithLabelValues(provider, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *Metrics) request(route string, status int) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
