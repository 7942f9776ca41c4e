package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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

// deployed is an adapter that is ready to serve.
type deployed struct {
	says string
	run  func() error
	door *door // nil for one over stdio
}

// deploy serves what a capability file exposes, until ctx or one of its
// adapters ends.
func (c *serveCommand) deploy(ctx context.Context, p *process, s *service, m *memory, d *capability.Deployment, beside *besideProxy) error {
	certificate, err := loadCertificate(p.env, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	told := ctx
	ctx, end := delayed(ctx, c.DrainDelay)
	defer end()
	listeners, out := 0, p.out
	for _, a := range d.Adapters {
		if a.Stdio() {
			out = p.err // stdout is for messages
		} else {
			listeners++
		}
	}
	var all []deployed
	var gates []*auth.Gate
	keepsUsing := func(string) bool { return true } // over stdio alone
	says := ""
	for _, a := range d.Adapters {
		ready, err := c.adapter(ctx, told, p, s, m, d, a, certificate, listeners)
		if err != nil {
			return err
		}
		if ready.door != nil {
			defer ready.door.listener.Close()
			gates, keepsUsing = append(gates, ready.door.gate), ready.door.keepsUsing
		}
		all = append(all, ready)
		says += "bankauth serves " + ready.says + "\n"
	}
	beside.start(ctx, s, keepsUsing)
	defer rereadOnHangup(ctx, s.log, certificate, gates...)()
	if _, err := io.WriteString(out, says); err != nil {
		return exit(exitFailed)
	}
	ended := make(chan error, len(all))
	for _, one := range all {
		go func() { ended <- one.run() }()
	}
	for range all {
		err = errors.Join(err, <-ended)
		end()
	}
	return err
}

// adapter opens one adapter of a file. told ends before ctx, by the delay of a
// server's end.
func (c *serveCommand) adapter(ctx, told context.Context, p *process, s *service, m *memory, d *capability.Deployment, a capability.Adapter, certificate *certificate, listeners int) (deployed, error) {
	aliases := aliasesOf(a)
	if a.Stdio() {
		run, err := stdioAdapter(ctx, p, s, m, a, aliases)
		return deployed{says: "MCP (" + a.Namespace + ") over stdin and stdout", run: run}, err
	}
	name := cmp.Or(a.Namespace, a.Kind)
	door, err := c.open(ctx, p.env, s.log, net.JoinHostPort(a.Address, strconv.Itoa(a.Port)), "the adapter "+name, certificate != nil)
	if err != nil {
		return deployed{}, err
	}
	o := c.edge(told, s, door, listeners)
	o.Name, o.NoMetrics, o.TLS = name, a.Kind != capability.Control, certificate.config()
	what, path, err := behind(ctx, s, m, d, a, aliases, door, &o)
	if err != nil {
		return deployed{}, errors.Join(err, door.listener.Close())
	}
	server := httpd.New(o)
	return deployed{what + " (" + name + ") at " + door.url + path, func() error { return over(server.Serve(ctx, door.listener)) }, door}, nil
}

// behind says what is behind the door of an adapter. It returns the word for
// it and the path at which it begins.
func behind(ctx context.Context, s *service, m *memory, d *capability.Deployment, a capability.Adapter, aliases []tools.Alias, door *door, o *httpd.Options) (what, path string, err error) {
	o.Open = map[string]http.Handler{auth.MetadataPath: door.gate.Metadata()}
	switch a.Kind {
	case capability.MCP:
		client, err := conversationOf(ctx, s, a, aliases, callerOf)
		if err != nil {
			return "", "", err
		}
		o.Handle, o.At = m.during(client.exchange), "/{$}"
		o.Allow = func(w http.ResponseWriter, r *http.Request, _, name string) bool {
			i := slices.IndexFunc(aliases, func(a tools.Alias) bool { return a.Name == name })
			if i < 0 {
				return true // it is answered that there is none
			}
			scope, _ := auth.ScopeOf(aliases[i].Tool)
			return door.gate.Require(w, r, scope)
		}
		return "MCP", "/", nil
	case capability.REST:
		at := map[string]*tools.Alias{}
		for i, t := range a.Tools {
			path := t.Path
			if strings.HasSuffix(path, "/") {
				path += "{$}"
			}
			at[path] = &aliases[i]
		}
		routes, front := rest.Aliases(rest.Options{Tools: s.tools, Vault: s.openVault, Gate: door.gate, Enter: m.place(o.Calls.Enter)}, at)
		o.Routes = routes
		maps.Copy(o.Open, front)
		return "REST", "", nil
	case capability.Skills:
		entries, err := entriesOf(d, a)
		if err != nil {
			return "", "", err
		}
		h := skill.Catalogue(entries)
		o.Open["/skills"], o.Open["/skills/"] = h, h
		return "skills", "/skills", nil
	}
	return "health and metrics", "/health/ready", nil
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
		if k.Name == bundled.Name {
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
		maps.Copy(alias.Given, t.Fixed)
		if t.Tool != schema.RefreshToken { // whose token_ref names the rest
			alias.Given["provider"] = t.Provider
		}
		if t.Tool == schema.CreateAccessToken && t.Grant != "" {
			alias.Given["grant_type"] = t.Grant
		}
		all = append(all, alias)
	}
	for i := range all {
		all[i].Beside = map[string]string{}
		for _, other := range all {
			if other.Provider != all[i].Provider {
				continue
			}
			if known := all[i].Beside[other.Tool]; known != "" {
				other.Name = known + " or " + other.Name
			}
			all[i].Beside[other.Tool] = other.Name
		}
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
