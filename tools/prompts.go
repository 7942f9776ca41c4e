package tools

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/schema"
)

const promptConnect = "connect_bank"

// purposes are what a token may be for, as completions offer them. Another
// text is passed on as it is.
var purposes = []string{"read a user's accounts", "work as the application itself"}

// addPrompts offers the journey to a token, step by step, as the provider has it.
func (s *Set) addPrompts(m *server.MCPServer) {
	m.AddPrompt(mcp.NewPrompt(promptConnect, mcp.WithPromptTitle("Connect a bank"),
		mcp.WithPromptDescription("Walk to a working token at one provider: which tools to call, in which order, and when to ask the user."),
		mcp.WithArgument("provider", mcp.RequiredArgument(), mcp.ArgumentDescription("Its name; the resource "+providersURI+" lists them.")),
		mcp.WithArgument("purpose", mcp.ArgumentDescription("What the token is for, in a few words.")),
		mcp.WithArgument("scope", mcp.ArgumentDescription("The scope, where you know it."))),
		func(_ context.Context, q mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			text := s.journey(strings.ToLower(strings.TrimSpace(q.Params.Arguments["provider"])), q.Params.Arguments["purpose"], q.Params.Arguments["scope"])
			return mcp.NewGetPromptResult("How to get a token with bankauth", []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(text))}), nil
		})
}

// journey says how to get a token at a provider. What the user wrote stands
// in it as a quotation, since it is the user's own prompt.
func (s *Set) journey(provider, purpose, scope string) string {
	b := s.banks[provider]
	if b == nil {
		what := "There is no such provider here"
		if provider == "" {
			what = "No provider is named"
		}
		return "Connect a bank with bankauth. " + what + "; these are offered: " + list(s.names) + ". Ask the user which of them it is to be, then begin with the resource " + resourceName + "."
	}
	p := b.Client.Provider()
	var steps []string
	step := func(format string, args ...any) {
		steps = append(steps, fmt.Sprintf("%d. ", len(steps)+1)+fmt.Sprintf(format, args...))
	}
	if len(b.Missing) > 0 || b.Fault != nil {
		step("%s is not ready yet. Read %s%s, tell the user what is missing or wrong there, and stop until it is set.", p.Title, providerURI, p.Name)
	}
	_, code, hasCode := p.Operation(schema.CreateAccessToken, schema.GrantAuthorizationCode)
	_, _, hasPassword := p.Operation(schema.CreateAccessToken, schema.GrantPassword)
	_, _, hasClient := p.Operation(schema.CreateAccessToken, schema.GrantClientCredentials)
	asked := ""
	if scope = quotable(scope); scope != "" {
		asked = fmt.Sprintf(" and scope=%q", scope)
	}
	application := hasClient && (purpose == purposes[1] || !hasCode && !hasPassword)
	switch {
	case application:
		step("Call create_access_token with provider=%s and grant_type=client_credentials%s. No user is needed.", p.Name, asked)
	case hasCode && code.Consent != nil:
		step("Call create_access_token with provider=%s and grant_type=authorization_code%s; give no code. The user is asked to consent at the bank.", p.Name, asked)
		step("On consent_required show the user consent_url, say that it leads to the bank by way of this machine, and call again with the same arguments and consent_ref. While error.retryable is true, call again. When the user refuses, stop and ask.")
	case hasCode:
		step("Have the user consent at %s, and call create_access_token with provider=%s, grant_type=authorization_code and the code and redirect_uri that came back.", p.Title, p.Name)
	default:
		if len(p.Grants(schema.CreateUser)) > 0 {
			step("Unless the user has an id there, call create_user with provider=%s. It returns id; the password stays in the vault.", p.Name)
		}
		step("Call create_access_token with provider=%s, grant_type=password and username = that id.", p.Name)
	}
	step("Keep the token_ref that comes back. It is a handle and no secret; never ask the user for a token, a password or a client secret.")
	if s.o.Egress != nil {
		step("Call the bank's API with the result's egress_url as its base URL and the token_ref as bearer.")
	}
	step("When the token has expired, call refresh_token with it. On reauthorize begin again at the top.")
	head := "Connect " + p.Title + " with bankauth"
	if purpose = quotable(purpose); purpose != "" {
		head += fmt.Sprintf("; it is for: %q", purpose)
	}
	return head + ".\n\n" + strings.Join(steps, "\n")
}

// quotable is a line of at most 300 characters.
func quotable(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300])
	}
	return s
}
