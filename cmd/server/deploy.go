package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bankauth/internal/auth"
	"bankauth/internal/capability"
	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/httpd"
	"bankauth/internal/rest"
	"bankauth/internal/skill"
	"bankauth/internal/stdio"
	"bankauth/schema"
	"bankauth/tools"
)

// deployment reads the capability file. nil: none is named.
func (c *serveCommand) deployment(p *process) (*capability.Deployment, error) {
	if c.Capability == "" {
		return nil, nil
	}
	all, err := offered(p.env, c.Settings)
	if err != nil {
		return nil, err
	}
	data, err := p.file(c.Capability)
	if err != nil {
		return nil, err
	}
	d, err := capability.Read(data, all)
	if err != nil {
		return nil, err
	}
	if c.Capability == "-" && slices.ContainsFunc(d.Adapters, capability.Adapter.Stdio) {
		return nil, fault.New(fault.InvalidArgument, "the capability file comes from the standard input, and has an adapter that speaks over it", "name the file")
	}
	return d, c.atHome(p.env, all, d)
}

// atHome refuses tools of another environment than the one that is set up:
// they would call other hosts than the file says.
func (c *serveCommand) atHome(env config.Environment, all []*schema.Provider, d *capability.Deployment) error {
	if c.Simulate {
		return nil
	}
	var other, set []string
	for _, p := range all {
		o, _, err := clientOptions(env, c.Settings, p)
		if err != nil {
			continue // its calls say what is wrong
		}
		here := cmp.Or(o.Environment, p.Environments[0].Name)
		for _, a := range d.Adapters {
			for _, t := range a.Tools {
				if t.Provider == p.Name && t.Environment != here {
					other = append(other, fmt.Sprintf("%s of %s (line %d) is for %s in %s, and bankauth is set to %s", t.Name, a.Namespace, t.Line, p.Name, t.Environment, here))
					set = append(set, config.Prefix(p.Name)+"_ENVIRONMENT to "+t.Environment)
				}
			}
		}
	}
	if len(other) == 0 {
		return nil
	}
	slices.Sort(set)
	return fault.New(fault.NotConfigured, strings.Join(other, "; "), "set "+strings.Join(slices.Compact(set), " and ")+", or start with --simulate")
}

// deploy serves what a capability file exposes, until ctx or one of its
// adapters ends.
func (c *serveCommand) deploy(ctx context.Context, p *process, s *service, m *memory, d *capability.Deployment) error {
	certificate, err := loadCertificate(p.env, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	listeners := 0
	said := p.out
	for _, a := range d.Adapters {
		if a.Stdio() {
			said = p.err // stdout is for messages
		} else {
			listeners++
		}
	}
	var gates []*auth.Gate
	var runs []func() error
	var lines strings.Builder
	for _, a := range d.Adapters {
		aliases := aliasesOf(a)
		if a.Stdio() {
			run, err := stdioAdapter(ctx, p, s, m, a, aliases)
			if err != nil {
				return err
			}
			runs = append(runs, run)
			fmt.Fprintf(&lines, "bankauth serves MCP (%s) over stdin and stdout\n", a.Namespace)
			continue
		}
		name := cmp.Or(a.Namespace, a.Kind)
		door, err := c.open(ctx, p.env, s.log, net.JoinHostPort(a.Address, strconv.Itoa(a.Port)), "the adapter "+name, certificate != nil)
		if err != nil {
			return err
		}
		defer door.listener.Close()
		gates = append(gates, door.gate)
		o := c.edge(s, door)
		o.Name, o.NoMetrics, o.TLS = name, a.Kind != capability.Control, certificate.config()
		for _, limit := range []*int{&o.Limits.Connections, &o.Limits.Calls, &o.Limits.CallsEach} {
			*limit = (*limit + listeners - 1) / listeners // the adapters share what the process may do
		}
		what, err := behind(ctx, s, m, d, a, aliases, door, &o)
		if err != nil {
			return err
		}
		server := httpd.New(o)
		runs = append(runs, func() error { return over(server.Serve(ctx, door.listener)) })
		fmt.Fprintf(&lines, "bankauth serves %s at %s%s\n", fmt.Sprintf(what[0], name), door.url, what[1])
	}
	defer rereadOnHangup(ctx, s.log, certificate, gates...)()
	if _, err := io.WriteString(said, lines.String()); err != nil {
		return exit(exitFailed)
	}
	ended := make(chan error, len(runs))
	for _, run := range runs {
		go func() { ended <- run() }()
	}
	for range runs {
		err = errors.Join(err, <-ended)
		end()
	}
	return err
}

// behind says what is behind the door of an adapter, and returns the words for
// it and the path at which it begins.
func behind(ctx context.Context, s *service, m *memory, d *capability.Deployment, a capability.Adapter, aliases []tools.Alias, door *door, o *httpd.Options) (what [2]string, err error) {
	o.Open = map[string]http.Handler{auth.MetadataPath: door.gate.Metadata()}
	switch a.Kind {
	case capability.MCP:
		client, err := conversationOf(ctx, s, a, aliases, callerOf)
		if err != nil {
			return what, err
		}
		o.Handle, o.At = m.during(client.exchange), "/{$}"
		o.Allow = func(w http.ResponseWriter, r *http.Request, tool string) bool {
			i := slices.IndexFunc(aliases, func(a tools.Alias) bool { return a.Name == tool })
			if i < 0 {
				return true // it is answered that there is none
			}
			scope, _ := auth.ScopeOf(aliases[i].Tool)
			return door.gate.Require(w, r, scope)
		}
		return [2]string{"MCP (%s)", "/"}, nil
	case capability.REST:
		at := map[string]*tools.Alias{}
		for i, t := range a.Tools {
			path := t.Path
			if strings.HasSuffix(path, "/") {
				path += "{$}"
			}
			at[path] = &aliases[i]
		}
		routes, front := rest.Aliases(rest.Options{Tools: s.tools, Gate: door.gate}, at)
		o.Routes = routes
		for path, h := range front {
			o.Open[path] = h
		}
		return [2]string{"REST (%s)", ""}, nil
	case capability.Skills:
		entries, err := entriesOf(d, a)
		if err != nil {
			return what, err
		}
		h := skill.Catalogue(entries)
		o.Open["/skills"], o.Open["/skills/"] = h, h
		return [2]string{"skills (%s)", "/skills"}, nil
	}
	return [2]string{"health and metrics (%s)", "/health/ready"}, nil
}

// entriesOf are the skills of an adapter. The one that the binary carries has
// its files.
func entriesOf(d *capability.Deployment, a capability.Adapter) ([]skill.Entry, error) {
	bundled, err := skill.Bundled()
	if err != nil {
		return nil, err
	}
	var entries []skill.Entry
	for _, k := range a.Skills {
		e := skill.Entry{Name: k.Name, Description: k.Description, Front: k.Front}
		if k.Name == bundled.Front.Name {
			e.Skill = bundled
		}
		for _, t := range k.Tools {
			mode := capability.MCP
			if slices.ContainsFunc(d.Adapters, func(a capability.Adapter) bool { return a.Namespace == t.Namespace && a.Kind == capability.REST }) {
				mode = capability.REST
			}
			led := skill.Derived(t.Name, t.Description, t.Namespace, mode)
			led.Ref.Action = t.Action
			e.Tools = append(e.Tools, led)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// aliasesOf are the tools of an adapter, in its order.
func aliasesOf(a capability.Adapter) []tools.Alias {
	var all []tools.Alias
	for _, t := range a.Tools {
		alias := tools.Alias{
			Tool: t.Tool, Provider: t.Provider, Name: t.Name, Title: t.Title, Description: t.Description, Given: map[string]any{},
			ReadOnly: t.Hints.ReadOnly, Destructive: t.Hints.Destructive, Idempotent: t.Hints.Idempotent, OpenWorld: t.Hints.OpenWorld,
		}
		for _, in := range t.Inputs {
			alias.Inputs = append(alias.Inputs, schema.Argument{Name: in.Name, Type: in.Type, Description: in.Description, Required: in.Required})
		}
		for name, value := range t.Fixed {
			alias.Given[name] = value
		}
		if t.Tool != schema.RefreshToken { // whose token_ref names the rest
			alias.Given["provider"] = t.Provider
		}
		if t.Tool == schema.CreateAccessToken && t.Grant != "" {
			alias.Given["grant_type"] = t.Grant
		}
		all = append(all, alias)
	}
	return all
}

// conversationOf is a conversation that has an adapter's tools and nothing else.
func conversationOf(ctx context.Context, s *service, a capability.Adapter, aliases []tools.Alias, principal func(context.Context) string) (*conversation, error) {
	m, err := s.tools.ServerOf(a.Namespace, thisRelease().Version, a.Description, aliases, principal)
	if err != nil {
		return nil, err
	}
	c := &conversation{tools: s.tools, mcp: m, session: newSession()}
	_ = m.RegisterSession(ctx, c.session) // as in newConversation
	return c, nil
}

// stdioAdapter returns what serves an adapter over stdin and stdout until the
// input ends.
func stdioAdapter(ctx context.Context, p *process, s *service, m *memory, a capability.Adapter, aliases []tools.Alias) (run func() error, err error) {
	client, err := conversationOf(ctx, s, a, aliases, func(context.Context) string { return tools.Local })
	if err != nil {
		return nil, err
	}
	server := stdio.Server{Handle: m.watch(client.handle), Writable: takes(p.out), Limit: tools.DefaultLimit, Log: s.log}
	return func() error {
		if err := server.Serve(ctx, pollable(p.in), p.out); err != nil {
			s.log.Debug().Err(err).Msg("the conversation ended") // the client is gone
			return exit(exitFailed)
		}
		return nil
	}, nil
}
