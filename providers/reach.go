package providers

import (
	"context"
	"net/http"
)

// Reachable connects to the provider and, for https, makes the connection
// secure. It sends no request. Its error is a fault.
func (c *Client) Reachable(ctx context.Context) error {
	t, ok := c.transport.(*http.Transport)
	if !ok || t.DialContext == nil || t.DialTLSContext == nil {
		t = NewTransport()
	}
	dial := t.DialTLSContext
	if c.base.url.Scheme == "http" {
		dial = t.DialContext
	}
	conn, err := dial(ctx, "tcp", c.base.hostPort())
	if err != nil {
		return c.unsent(err)
	}
	_ = conn.Close()
	return nil
}
