package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/schema"
)

// Addresses of the resources.
const (
	providersURI = "bankauth://providers"
	providerURI  = "bankauth://providers/"
	documentEnd  = "/document"
	tokensURI    = "bankauth://tokens"
	tokenURI     = "bankauth://tokens/"
)

const asJSON = "application/json"

func (s *Set) addResources(m *server.MCPServer, principal func(context.Context) string) {
	m.AddResource(mcp.NewResource(providersURI, "providers",
		mcp.WithResourceDescription("The providers, and which of them are configured."), mcp.WithMIMEType(asJSON)),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			var all []about
			for _, name := range s.names {
				all = append(all, s.about(name))
			}
			return contents(providersURI, all)
		})
	m.AddResourceTemplate(mcp.NewResourceTemplate(resourceName, "provider",
		mcp.WithTemplateDescription("One provider: its grants, their arguments, its scopes, what is configured and what is missing."), mcp.WithTemplateMIMEType(asJSON)),
		func(_ context.Context, q mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			name := strings.TrimPrefix(q.Params.URI, providerURI)
			if s.banks[name] == nil {
				return nil, noResource("provider", providersURI)
			}
			return contents(q.Params.URI, s.about(name))
		})
	m.AddResourceTemplate(mcp.NewResourceTemplate(resourceName+documentEnd, "document",
		mcp.WithTemplateDescription("The OpenAPI document that bankauth reads the provider by."), mcp.WithTemplateMIMEType("application/yaml")),
		func(_ context.Context, q mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			b := s.banks[strings.TrimSuffix(strings.TrimPrefix(q.Params.URI, providerURI), documentEnd)]
			if b == nil {
				return nil, noResource("provider", providersURI)
			}
			text, err := b.Client.Provider().Text()
			if err != nil {
				return s.refused(q.Params.URI, fault.New(fault.Internal, "the provider's document cannot be read any more", "put it back where it was when the server started").Because(err))
			}
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: q.Params.URI, MIMEType: "application/yaml", Text: string(text)}}, nil
		})
	s.addTokens(m, principal)
}

// addTokens offers what the vault holds for the one who asks: no secret.
func (s *Set) addTokens(m *server.MCPServer, principal func(context.Context) string) {
	m.AddResource(mcp.NewResource(tokensURI, "tokens",
		mcp.WithResourceDescription("Your tokens in the vault: their handles and what state they are in."), mcp.WithMIMEType(asJSON)),
		func(ctx context.Context, _ mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			who := principal(ctx)
			records, err := s.tokens(ctx, who)
			if err != nil {
				return s.refused(tokensURI, err)
			}
			all := []tokenState{}
			for _, r := range records {
				all = append(all, s.state(ctx, who, r))
			}
			return contents(tokensURI, all)
		})
	m.AddResourceTemplate(mcp.NewResourceTemplate(tokenURI+"{token_ref}", "token",
		mcp.WithTemplateDescription("One of your tokens: what state it is in."), mcp.WithTemplateMIMEType(asJSON)),
		func(ctx context.Context, q mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			v, err := s.vault(ctx)
			if err != nil {
				return s.refused(q.Params.URI, err)
			}
			r, err := v.Get(ctx, principal(ctx), strings.TrimPrefix(q.Params.URI, tokenURI))
			switch f := fault.From(err); {
			case err == nil:
				return contents(q.Params.URI, s.state(ctx, principal(ctx), r))
			case f.Code == fault.InvalidArgument:
				return nil, noResource("token", tokensURI)
			default:
				return s.refused(q.Params.URI, f)
			}
		})
}

// ShowsTokens reports whether the resource at uri says what tokens a caller has.
func ShowsTokens(uri string) bool { return uri == tokensURI || strings.HasPrefix(uri, tokenURI) }

func (s *Set) tokens(ctx context.Context, who string) ([]vault.Record, error) {
	v, err := s.vault(ctx)
	if err != nil {
		return nil, err
	}
	return v.List(ctx, who)
}

func noResource(what, list string) error {
	return fmt.Errorf("%w: there is no such %s; %s lists them", server.ErrResourceNotFound, what, list)
}

// refused is a resource that cannot be had: the object of a tool's error,
// where an error of the protocol would have no room for a hint.
func (s *Set) refused(uri string, err error) ([]mcp.ResourceContents, error) {
	return contents(uri, s.fail(&request{correlation: s.correlation()}, fault.From(err)).JSON)
}

func contents(uri string, v any) ([]mcp.ResourceContents, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fault.From(err)
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: asJSON, Text: string(b)}}, nil
}

// tokenState is what a resource says of a token.
type tokenState struct {
	TokenRef    string `json:"token_ref"`
	Provider    string `json:"provider"`
	Environment string `json:"environment"`
	GrantType   string `json:"grant_type"`
	State       string `json:"state"`            // live, uncertain, suspect or reauthorize
	Reason      string `json:"reason,omitempty"` // why it is not live
	Scope       string `json:"scope,omitempty"`
	Subject     string `json:"subject,omitempty"`
	ExpiresIn   *int64 `json:"expires_in,omitempty"`
	ExpiresAt   string `json:"expires_at,omitempty"`
	Refreshable bool   `json:"refreshable"`
	EgressURL   string `json:"egress_url,omitempty"` // where it is used
	Next        string `json:"next,omitempty"`       // the tool that helps, where one does
}

func (s *Set) state(ctx context.Context, who string, r vault.Record) tokenState {
	a := tokenState{TokenRef: r.Ref, Provider: r.Identity.Provider, Environment: r.Identity.Environment, GrantType: r.Identity.Grant,
		State: string(r.State), Reason: r.Reason, Scope: r.Token.Scope, Subject: r.Token.Subject,
		EgressURL: s.egressURL(ctx, who, r.Identity.Provider)}
	if b := s.banks[r.Identity.Provider]; b != nil {
		a.Refreshable = refreshable(b, r)
	}
	left, known := r.Token.ExpiresIn(s.o.Now())
	if known && r.Token.Expiry == token.ExpiresAt {
		a.ExpiresIn, a.ExpiresAt = &left, r.Token.ExpiresAt.UTC().Format(time.RFC3339)
	}
	switch {
	case r.State == vault.Reauthorize:
		a.Next = schema.CreateAccessToken
	case known && left <= 0:
		a.Next = schema.RefreshToken
	}
	return a
}

// about is what a resource says of a provider: no secret and no client id.
type about struct {
	Name        string              `json:"name"`
	Title       string              `json:"title"`
	Environment string              `json:"environment"`
	Configured  bool                `json:"configured"`
	Missing     []string            `json:"missing,omitempty"`
	Problem     string              `json:"problem,omitempty"` // a setting that is wrong
	Document    string              `json:"document"`          // address of the resource
	Tools       map[string][]grants `json:"tools"`
}

type grants struct {
	GrantType string          `json:"grant_type,omitempty"`
	Arguments []argumentAbout `json:"arguments"`
	Note      string          `json:"note,omitempty"`
	Example   map[string]any  `json:"example"`
	Consent   *consentAbout   `json:"consent,omitempty"` // how it works without a code
}

// consentAbout says that a person can be asked, and with what.
type consentAbout struct {
	Arguments []string       `json:"arguments"` // all optional, but institution where none is taken by default
	Scopes    []string       `json:"scopes,omitempty"`
	Default   string         `json:"default_scope,omitempty"`
	Problem   string         `json:"problem,omitempty"` // why nobody can be asked yet
	Example   map[string]any `json:"example"`
}

type argumentAbout struct {
	Name        string          `json:"name"`
	Required    bool            `json:"required"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"`
}

func (s *Set) about(name string) about {
	b := s.banks[name]
	p := b.Client.Provider()
	a := about{Name: p.Name, Title: p.Title, Environment: b.Client.Environment(), Configured: len(b.Missing) == 0 && b.Fault == nil, Missing: b.Missing,
		Document: providerURI + p.Name + documentEnd, Tools: map[string][]grants{}}
	if b.Fault != nil {
		a.Problem = b.Fault.Message
	}
	for _, op := range p.Operations {
		if op.Tool == schema.RefreshToken || op.Tool == schema.Revoke {
			continue
		}
		for i := range op.Grants {
			g := &op.Grants[i]
			out := grants{GrantType: g.Name, Note: g.Note, Example: p.Example(op, g), Arguments: []argumentAbout{}}
			for _, name := range g.Arguments {
				f := op.Field(name)
				out.Arguments = append(out.Arguments, argumentAbout{Name: name, Required: slices.Contains(g.Required, name), Description: f.Description, Schema: f.Schema})
			}
			if c := g.Consent; c != nil {
				out.Consent = &consentAbout{Arguments: append([]string{}, c.Arguments()...), Scopes: c.Scopes, Default: c.Scope,
					Example: map[string]any{"provider": p.Name, "grant_type": g.Name}}
				if err := b.Client.MayConsent(g); err != nil {
					f := fault.From(err)
					out.Consent.Problem = f.Message + "; " + f.Hint
				}
			}
			a.Tools[op.Tool] = append(a.Tools[op.Tool], out)
		}
	}
	return a
}
