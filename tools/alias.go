package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// Alias is a tool under a name of its own, for one provider, with some of its
// arguments given.
type Alias struct {
	Tool     string // schema.CreateAccessToken, …
	Provider string

	Name        string
	Title       string            // "": the tool's own
	Description string            // "": the tool's own
	Inputs      []schema.Argument // what a caller may give
	Given       map[string]any    // what is given in every call, provider and grant_type with it where the tool takes them

	// Beside says, by the name of a tool, what the caller finds it under, this
	// alias and its neighbours: errors that send to a tool name that. A tool that
	// is not here keeps its name.
	Beside map[string]string

	ReadOnly, Destructive, Idempotent, OpenWorld *bool // nil: the tool's own
}

// CallAs makes one call of a tool under an alias, as Call does.
func (s *Set) CallAs(ctx context.Context, principal string, a *Alias, args any) Result {
	return s.do(ctx, &request{principal: principal, tool: a.Tool}, func(r *request) (answer, error) {
		out, err := s.callAs(ctx, r, a, args)
		return out, a.worded(err)
	})
}

func (s *Set) callAs(ctx context.Context, r *request, a *Alias, args any) (answer, error) {
	var f *fault.Fault
	if r.args, f = read(args); f != nil {
		return nil, f
	}
	var names, missing []string
	for _, in := range a.Inputs {
		names = append(names, in.Name)
		if in.Required && !r.args.has(in.Name) {
			missing = append(missing, in.Name)
		}
	}
	if len(names) == 0 && len(r.args) > 0 {
		return nil, &fault.Fault{Code: fault.InvalidArgument, Message: a.Name + " takes no arguments", Hint: "call it without"}
	}
	if f := r.args.only(a.Name, nil, names...); f != nil {
		return nil, f
	}
	if len(missing) > 0 {
		return nil, &fault.Fault{Code: fault.InvalidArgument, Message: a.Name + " lacks " + list(missing), Hint: "give " + list(missing), Required: missing}
	}
	maps.Copy(r.args, a.Given)
	if ref, ok := r.args.text("token_ref"); ok {
		if _, rec, err := s.find(ctx, r, strings.TrimSpace(ref)); err != nil {
			return nil, err
		} else if rec.Identity.Provider != a.Provider {
			return nil, &fault.Fault{Code: fault.InvalidArgument, Message: a.Name + " renews tokens of " + a.Provider + ", and this is another's",
				Hint: "give a token_ref that a tool for " + a.Provider + " returned"}
		}
	}
	return s.dispatch(ctx, r)
}

// worded takes out of an error what the caller of an alias cannot give, and
// names the tools as that caller knows them.
func (a *Alias) worded(err error) error {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return err
	}
	unknown := func(name string) bool {
		return !slices.ContainsFunc(a.Inputs, func(in schema.Argument) bool { return in.Name == name })
	}
	own := *f // it may be shared with other calls
	own.Required = slices.DeleteFunc(slices.Clone(f.Required), unknown)
	own.Example = maps.Clone(f.Example)
	maps.DeleteFunc(own.Example, func(name string, _ any) bool { return unknown(name) })
	own.Message, own.Hint = a.renamed(own.Message), a.renamed(own.Hint)
	return &own
}

// toolNames finds the tools in an error's texts. refresh_token is an argument,
// too.
var toolNames = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(?:create_access_token|create_user|(?:call|tool) refresh_token)\b`)
})

func (a *Alias) renamed(text string) string {
	return toolNames().ReplaceAllStringFunc(text, func(found string) string {
		at := strings.LastIndexByte(found, ' ') + 1
		return found[:at] + cmp.Or(a.Beside[found[at:]], found[at:])
	})
}

// ServerOf returns an MCP server called name that offers the aliases and
// nothing else, and tells its clients the instructions. It fails where an
// alias is of no tool.
func (s *Set) ServerOf(name, version, instructions string, aliases []Alias, principal func(context.Context) string) (*server.MCPServer, error) {
	m := server.NewMCPServer(name, version, server.WithTitle(Name), server.WithDescription(Description), server.WithInstructions(instructions),
		server.WithToolCapabilities(false), server.WithLogging(), server.WithCacheHints(300_000, mcp.CacheScopePublic))
	for i := range aliases {
		a := &aliases[i]
		shown, err := s.shown(a)
		if err != nil {
			return nil, err
		}
		m.AddTool(shown, func(ctx context.Context, q mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return s.CallAs(ctx, principal(ctx), a, q.Params.Arguments).mcp(), nil
		})
	}
	return m, nil
}

func (s *Set) shown(a *Alias) (mcp.Tool, error) {
	i := slices.IndexFunc(s.tools, func(t Tool) bool { return t.Name == a.Tool })
	if i < 0 {
		return mcp.Tool{}, fmt.Errorf("showing %q: there is no tool %q", a.Name, a.Tool)
	}
	t := s.tools[i]
	t.Name = a.Name
	if a.Title != "" {
		t.Title = a.Title
	}
	if a.Description != "" {
		t.Description = a.Description
	}
	var err error
	if t.Input, err = json.Marshal(schema.Object(a.Inputs)); err != nil {
		return mcp.Tool{}, fmt.Errorf("showing %q: %w", a.Name, err)
	}
	out := t.mcp()
	for _, hint := range []struct{ to, from **bool }{
		{&out.Annotations.ReadOnlyHint, &a.ReadOnly}, {&out.Annotations.DestructiveHint, &a.Destructive},
		{&out.Annotations.IdempotentHint, &a.Idempotent}, {&out.Annotations.OpenWorldHint, &a.OpenWorld},
	} {
		if *hint.from != nil {
			*hint.to = *hint.from
		}
	}
	return out, nil
}
