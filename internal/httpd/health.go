package httpd

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// How long an answer about readiness is good for, and how long it may take.
const (
	readyFor  = 3 * time.Second
	readyTime = 5 * time.Second
)

// readiness remembers what the check said: anybody may ask, and a check costs
// a look at the disk.
type readiness struct {
	check func(ctx context.Context) map[string]bool

	mu    sync.Mutex
	until time.Time
	said  map[string]bool
}

func (c *readiness) ask(ctx context.Context) map[string]bool {
	if c.check == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.After(c.until) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
		defer stop()
		c.said, c.until = c.check(ctx), now.Add(readyFor)
	}
	return c.said
}

type health struct {
	Status string          `json:"status"` // ok, draining or unavailable
	Checks map[string]bool `json:"checks,omitempty"`
}

// live says that the process answers; nothing more.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) { s.health(w, health{Status: "ok"}) }

// isReady says whether calls would be served.
func (s *Server) isReady(w http.ResponseWriter, r *http.Request) {
	h := health{Status: "ok", Checks: s.ready.ask(r.Context())}
	for _, ok := range h.Checks {
		if !ok {
			h.Status = "unavailable"
		}
	}
	if s.leaving() {
		h.Status = "draining"
	}
	s.health(w, h)
}

func (s *Server) health(w http.ResponseWriter, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if h.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h) // it fails only where nobody reads any more
}
