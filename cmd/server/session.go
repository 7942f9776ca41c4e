package main

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/stdio"
)

// session is the one client of a stdio process, as mcp-go wants to know it.
// Clients of 2026-07-28 shake no hands; mcp-go fills the session from each of
// their requests.
type session struct {
	initialized atomic.Bool
	notices     chan mcp.JSONRPCNotification

	mu           sync.Mutex
	client       mcp.Implementation
	capabilities mcp.ClientCapabilities
	version      string
}

var (
	_ server.SessionWithClientInfo  = (*session)(nil)
	_ server.SessionWithElicitation = (*session)(nil)
	_ server.SessionWithLogging     = (*session)(nil)
)

func newSession() *session {
	// Nothing that we offer changes while the process runs, so nobody sends.
	return &session{notices: make(chan mcp.JSONRPCNotification, 1)}
}

// SessionID returns the same for every process: there is one session in it.
func (s *session) SessionID() string { return "stdio" }

// Initialize marks the handshake as made.
func (s *session) Initialize() { s.initialized.Store(true) }

// Initialized reports whether the handshake was made.
func (s *session) Initialized() bool { return s.initialized.Load() }

// NotificationChannel is where mcp-go puts notifications for the client.
func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notices }

// GetClientInfo returns what the client called itself.
func (s *session) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// SetClientInfo keeps what the client calls itself.
func (s *session) SetClientInfo(i mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = i
}

// GetClientCapabilities returns what the client can do.
func (s *session) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}

// SetClientCapabilities keeps what the client can do.
func (s *session) SetClientCapabilities(c mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = c
}

// ProtocolVersion returns what the handshake agreed on; "" before it.
func (s *session) ProtocolVersion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// SetProtocolVersion keeps what the handshake agrees on.
func (s *session) SetProtocolVersion(v string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = v
}

// RequestElicitation asks the person at the client, over the same pipes.
func (s *session) RequestElicitation(ctx context.Context, q mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	answer, err := stdio.Ask(ctx, string(mcp.MethodElicitationCreate), q.Params)
	if err != nil {
		return nil, err
	}
	var result mcp.ElicitationResult
	if err := json.Unmarshal(answer, &result); err != nil {
		return nil, stdio.ErrRefused
	}
	return &result, nil
}

// SetLogLevel takes the level below which the client wants no messages of the
// log. It is sent none at all.
func (*session) SetLogLevel(mcp.LoggingLevel) {}

// GetLogLevel returns the highest there is.
func (*session) GetLogLevel() mcp.LoggingLevel { return mcp.LoggingLevelEmergency }
