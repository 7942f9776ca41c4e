package stdio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"bankauth/internal/stdio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session is the one client that a stdio server has.
type session struct {
	notes chan mcp.JSONRPCNotification
	ready atomic.Bool
}

func (s *session) Initialize()                                         { s.ready.Store(true) }
func (s *session) Initialized() bool                                   { return s.ready.Load() }
func (s *session) SessionID() string                                   { return "stdio" }
func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notes }

// tools is a real mcp-go server whose tools behave as badly as tools can.
func tools(t *testing.T) stdio.Handle {
	t.Helper()
	s := server.NewMCPServer("bad tools", "1", server.WithToolCapabilities(false))
	add := func(name string, h server.ToolHandlerFunc) {
		s.AddTool(mcp.NewTool(name, mcp.WithDescription(name)), h)
	}
	add("echo", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("echo " + r.GetString("say", "")), nil
	})
	add("sleep", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		select {
		case <-time.After(time.Duration(r.GetInt("ms", 20)) * time.Millisecond):
			return mcp.NewToolResultText("slept"), nil
		case <-ctx.Done():
			return mcp.NewToolResultText("woken"), nil
		}
	})
	add("panic", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("canary-panic")
	})
	add("fail", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, errors.New("canary-error")
	})
	add("deaf", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		time.Sleep(time.Duration(r.GetInt("ms", 800)) * time.Millisecond)
		return mcp.NewToolResultText("late"), nil
	})
	return handle(s)
}

// handle is what tools does around mcp-go's HandleMessage.
func handle(s *server.MCPServer) stdio.Handle {
	sess := &session{notes: make(chan mcp.JSONRPCNotification, 100)}
	return func(ctx context.Context, m stdio.Message) stdio.Reply {
		if m.Busy {
			return stdio.Reply{Result: mcp.NewToolResultError("busy")}
		}
		switch r := s.HandleMessage(s.WithContext(ctx, sess), m.Raw).(type) {
		case mcp.JSONRPCResponse:
			return stdio.Reply{Result: r.Result}
		case mcp.JSONRPCError:
			return stdio.Reply{Error: &stdio.Error{Code: r.Error.Code, Message: r.Error.Message, Data: r.Error.Data}}
		}
		return stdio.Reply{}
	}
}

// client is the other end of the pipes.
type client struct {
	t      *testing.T
	in     *os.File // what the server reads
	out    *bufio.Reader
	outEnd *os.File
	stop   context.CancelFunc
	ended  chan error
}

type answer struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
}

// start serves over real pipes until the test ends.
func start(t *testing.T, s *stdio.Server) *client {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := &client{t: t, in: inW, out: bufio.NewReader(outR), outEnd: outR, stop: stop, ended: make(chan error, 1)}
	go func() {
		err := s.Serve(ctx, inR, outW)
		_ = outW.Close()
		c.ended <- err
	}()
	t.Cleanup(func() {
		stop()
		_ = inW.Close()
		_ = outR.Close()
		_ = inR.Close()
	})
	return c
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, strings.Join(lines, "\n")+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next answer; it fails when none comes.
func (c *client) next() answer {
	c.t.Helper()
	_ = c.outEnd.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reading an answer: %v (%q)", err, line)
	}
	var a answer
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		c.t.Fatalf("answer %q: %v", line, err)
	}
	if a.JSONRPC != "2.0" || (a.Result == nil) == (a.Error == nil) {
		c.t.Fatalf("answer %q is no JSON-RPC answer", line)
	}
	return a
}

// rest returns all lines until the server closes its output.
func (c *client) rest() []string {
	c.t.Helper()
	_ = c.outEnd.SetReadDeadline(time.Now().Add(20 * time.Second))
	all, err := io.ReadAll(c.out)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
}

// end waits for Serve.
func (c *client) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(20 * time.Second):
		c.t.Fatal("Serve did not return")
		return nil
	}
}

// works shows that the next request is answered.
func (c *client) works() {
	c.t.Helper()
	c.send(`{"jsonrpc":"2.0","id":"works","method":"tools/call","params":{"name":"echo","arguments":{"say":"on"}}}`)
	if a := c.next(); string(a.ID) != `"works"` || !strings.Contains(string(a.Result), "echo on") {
		c.t.Fatalf("after that the server answers %+v", a)
	}
}

func call(id, tool, arguments string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":{` + arguments + `}}}`
}
