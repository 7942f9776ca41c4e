package main

import (
	"context"
	"sync"
	"time"

	"bankauth/internal/httpd"
	"bankauth/internal/trace"
	"bankauth/internal/vault"
	"bankauth/tools"
)

// observer is told what a server does, and counts and traces it.
type observer struct {
	metrics *httpd.Metrics
	tracer  *trace.Tracer // nil: nobody collects traces
}

// call is told of a call that has ended.
func (o *observer) call(ctx context.Context, e tools.Event) {
	o.metrics.Call(e.Tool, e.Provider, e.Code, e.Took)
	o.tracer.Call(ctx, e.Tool, e.Provider, e.Code, e.CorrelationID, e.Took)
}

// exchange is told of a request to a provider that has ended.
func (o *observer) exchange(ctx context.Context, provider string, status int, took time.Duration) {
	o.metrics.Upstream(provider, status, took)
	o.tracer.Exchange(ctx, provider, status, took)
}

// close sends the spans that are left.
func (o *observer) close() {
	ctx, stop := context.WithTimeout(context.Background(), lastSpans)
	defer stop()
	o.tracer.Close(ctx)
}

const lastSpans = 3 * time.Second

// census counts the tokens of the vault, at most once a minute: it opens every
// record.
type census struct {
	open func(context.Context) (*vault.Vault, error)

	mu    sync.Mutex
	until time.Time
	known map[vault.State]int
}

const (
	censusFor  = time.Minute
	censusTime = 5 * time.Second
)

// of returns how many tokens are in the state; what was known before where the
// vault does not answer.
func (c *census) of(state vault.State) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.After(c.until) {
		ctx, stop := context.WithTimeout(context.Background(), censusTime)
		defer stop()
		c.until = now.Add(censusFor)
		if v, err := c.open(ctx); err == nil {
			if s, err := v.Status(ctx); err == nil {
				c.known = s.Tokens
			}
		}
	}
	return float64(c.known[state])
}

// watch has the tokens counted whenever somebody asks for the metrics.
func (c *census) watch(m *httpd.Metrics) {
	for _, state := range []vault.State{vault.Live, vault.Uncertain, vault.Suspect, vault.Reauthorize} {
		m.Gauge("bankauth_tokens", "Tokens in the vault, by state, as they were within the last minute.", map[string]string{"state": string(state)},
			func() float64 { return c.of(state) })
	}
}
