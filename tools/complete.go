package tools

import (
	"context"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/schema"
)

// mostValues is what a completion may hold.
const mostValues = 100

// completions completes the arguments of the prompts and of the resources'
// templates. It never fails: what it does not know it completes with nothing.
type completions struct {
	s         *Set
	principal func(context.Context) string
}

// CompletePromptArgument completes an argument of connect_bank.
func (c completions) CompletePromptArgument(ctx context.Context, prompt string, a mcp.CompleteArgument, given mcp.CompleteContext) (*mcp.Completion, error) {
	if prompt != promptConnect {
		return among(nil, ""), nil
	}
	return c.complete(ctx, a, given), nil
}

// CompleteResourceArgument completes a template's variable.
func (c completions) CompleteResourceArgument(ctx context.Context, uri string, a mcp.CompleteArgument, given mcp.CompleteContext) (*mcp.Completion, error) {
	switch {
	case strings.HasPrefix(uri, providerURI) && a.Name == "name":
		a.Name = "provider"
	case strings.HasPrefix(uri, tokenURI):
	default:
		return among(nil, ""), nil
	}
	return c.complete(ctx, a, given), nil
}

func (c completions) complete(ctx context.Context, a mcp.CompleteArgument, given mcp.CompleteContext) *mcp.Completion {
	switch a.Name {
	case "provider":
		return among(c.s.names, strings.ToLower(strings.TrimSpace(a.Value)))
	case "purpose":
		return among(purposes, a.Value)
	case "scope":
		return c.scopes(given.Arguments["provider"], a.Value)
	case "token_ref":
		records, err := c.s.tokens(ctx, c.principal(ctx))
		if err != nil {
			return among(nil, "")
		}
		var refs []string
		for _, r := range records {
			refs = append(refs, r.Ref)
		}
		return among(refs, a.Value)
	}
	return among(nil, "")
}

// scopes completes the last of the scopes in value; those before it stay.
func (c completions) scopes(provider, value string) *mcp.Completion {
	var known []string
	for _, p := range c.s.all {
		if provider != "" && p.Name != provider {
			continue
		}
		if _, g, ok := p.Operation(schema.CreateAccessToken, schema.GrantAuthorizationCode); ok && g.Consent != nil {
			known = append(known, g.Consent.Scopes...)
		}
	}
	at := strings.LastIndexByte(value, ' ') + 1
	before := strings.Fields(value[:at])
	known = slices.DeleteFunc(known, func(s string) bool { return slices.Contains(before, s) })
	for i := range known {
		known[i] = value[:at] + known[i]
	}
	return among(known, value)
}

// among returns those that begin with prefix.
func among(all []string, prefix string) *mcp.Completion {
	found := []string{}
	for _, v := range all {
		if len(v) >= len(prefix) && strings.EqualFold(v[:len(prefix)], prefix) {
			found = append(found, v)
		}
	}
	total := len(found)
	return &mcp.Completion{Values: found[:min(total, mostValues)], Total: total, HasMore: total > mostValues}
}
