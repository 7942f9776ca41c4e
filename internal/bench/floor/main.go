// Command floor is what bankauth is measured against: a bare mcp-go server
// with one tool that posts for a token and hands it on. It checks nothing,
// stores nothing and logs nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/stdio"
)

func main() {
	transport := flag.String("transport", "wide", "wide: mcp-go's stdio with all the workers it allows; default: as it comes; own: bankauth's read loop; web: streamable HTTP and SSE, as they come")
	flag.Parse()
	if err := run(*transport); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(transport string) error {
	s := server.NewMCPServer("floor", "1", server.WithToolCapabilities(false))
	s.AddTool(mcp.NewTool("create_access_token",
		mcp.WithDescription("Get an access token."),
		mcp.WithString("scope", mcp.Description("The scope.")),
	), newBank().create)
	switch transport {
	case "web":
		return web(s)
	case "own":
		return own(s)
	case "default":
		return server.ServeStdio(s)
	case "wide":
		// mcp-go starts with 5 workers and a queue of 100, and reads nothing
		// while they are full. These are the largest numbers that it takes:
		// a floor that is strangled would be no measure.
		return server.ServeStdio(s, server.WithWorkerPoolSize(100), server.WithQueueSize(10_000))
	}
	return fmt.Errorf("unknown transport %q", transport)
}

// web serves s over both of mcp-go's HTTP transports until its input ends.
func web(s *server.MCPServer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	sse := server.NewSSEServer(s)
	mux.Handle("/mcp", server.NewStreamableHTTPServer(s))
	mux.Handle("/sse", sse)
	mux.Handle("/message", sse)
	fmt.Printf("floor serves at http://%s/mcp\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	err = (&http.Server{Handler: mux}).Serve(l)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// own serves s by bankauth's loop: the difference to wide is the loop alone.
func own(s *server.MCPServer) error {
	loop := &stdio.Server{Handle: func(ctx context.Context, m stdio.Message) stdio.Reply {
		switch r := s.HandleMessage(ctx, m.Raw).(type) {
		case mcp.JSONRPCResponse:
			return stdio.Reply{Result: r.Result}
		case mcp.JSONRPCError:
			return stdio.Reply{Error: &stdio.Error{Code: r.Error.Code, Message: r.Error.Message}}
		}
		return stdio.Reply{}
	}}
	return loop.Serve(context.Background(), os.Stdin, os.Stdout)
}

type bank struct {
	client       *http.Client
	url          string
	id, password string
}

func newBank() *bank {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024 // the default of 2 makes new connections all the time
	return &bank{
		client:   &http.Client{Transport: t, Timeout: 20 * time.Second},
		url:      os.Getenv("FINTECTURE_BASE_URL") + "/oauth/accesstoken",
		id:       os.Getenv("FINTECTURE_CLIENT_ID"),
		password: os.Getenv("FINTECTURE_CLIENT_SECRET"),
	}
}

func (b *bank) create(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "app_id": {b.id}, "scope": {r.GetString("scope", "")}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(b.id, b.password)
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return mcp.NewToolResultError("status " + response.Status), nil
	}
	var token map[string]any
	if err := json.Unmarshal(body, &token); err != nil {
		return nil, err
	}
	return mcp.NewToolResultStructured(token, string(body)), nil
}
