package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/internal/fault"
	"bankauth/internal/journey"
)

// agent is an MCP client with a server of its own: this program, as `bankauth
// stdio --egress`, behind real pipes of which every byte is kept.
type agent struct {
	client *client.Client
	server *exec.Cmd
	heard  sync.WaitGroup // what the server writes to stderr

	mu   sync.Mutex
	kept bytes.Buffer
}

// keep passes on what goes over a pipe and keeps a copy.
type keep struct {
	io.Reader
	io.WriteCloser
	of *agent
}

func (k keep) Read(b []byte) (int, error) {
	n, err := k.Reader.Read(b)
	k.of.add(b[:n])
	return n, err
}

func (k keep) Write(b []byte) (int, error) {
	k.of.add(b)
	return k.WriteCloser.Write(b)
}

func (a *agent) add(b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept.Write(b)
}

// transcript returns all that went over the pipes, in both directions.
func (a *agent) transcript() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Clone(a.kept.Bytes())
}

// startAgent starts the server with nothing in its environment but settings.
func startAgent(ctx context.Context, p *process, settings []string) (*agent, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fault.New(fault.Internal, "the path of this program is not known", "start it by its whole path").Because(err)
	}
	a := &agent{server: exec.Command(program, "stdio", "--egress")}
	a.server.Env = sparse(p, settings)
	a.server.Stderr = p.err
	in, err := a.server.StdinPipe()
	if err != nil {
		return nil, silent(err)
	}
	out, err := a.server.StdoutPipe()
	if err != nil {
		return nil, silent(err)
	}
	if err := a.server.Start(); err != nil {
		return nil, silent(err)
	}
	pipes := transport.NewIO(keep{Reader: out, of: a}, keep{WriteCloser: in, of: a}, io.NopCloser(strings.NewReader("")))
	a.client = client.NewClient(pipes)
	if err := a.client.Start(ctx); err != nil {
		return nil, errors.Join(silent(err), a.close())
	}
	hello := mcp.InitializeRequest{}
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "bankauth-demo", Version: thisRelease().Version}
	if _, err := a.client.Initialize(ctx, hello); err != nil {
		return nil, errors.Join(silent(err), a.close())
	}
	return a, nil
}

// sparse returns settings and what any program needs of the environment.
func sparse(p *process, settings []string) []string {
	env := slices.Clone(settings)
	for _, name := range []string{"PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR", "TEMP", "GOCOVERDIR"} {
		if value, set := p.env.Lookup(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// tools lists the names of the server's tools.
func (a *agent) tools(ctx context.Context) ([]string, error) {
	list, err := a.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range list.Tools {
		names = append(names, t.Name)
	}
	return names, nil
}

// call is a journey.Agent.
func (a *agent) call(ctx context.Context, tool string, args map[string]any) (journey.Answer, error) {
	request := mcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = tool, args
	r, err := a.client.CallTool(ctx, request)
	if err != nil {
		return journey.Answer{}, err
	}
	for _, c := range r.Content {
		if text, ok := c.(mcp.TextContent); ok {
			return journey.Answer{JSON: json.RawMessage(text.Text), IsError: r.IsError}, nil
		}
	}
	return journey.Answer{}, errors.New("the result has no text")
}

// ending is how long the server may take to end once its input has.
const ending = 10 * time.Second

// close ends the client, and with its input the server.
func (a *agent) close() error {
	err := a.client.Close()
	late := time.AfterFunc(ending, func() { _ = a.server.Process.Kill() })
	defer late.Stop()
	return errors.Join(err, a.server.Wait())
}

func joined(names []string) string { return strings.Join(names, ", ") }
