package tools

import (
	"context"
	"slices"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/providers"
	"bankauth/schema"
)

// Explain returns the requests that a call would send, each as a curl line
// with its secrets masked. It sends nothing and stores nothing. Credentials
// that are not set are masked like those that are.
func (s *Set) Explain(ctx context.Context, principal, tool string, args any) (string, error) {
	r := &request{principal: principal, tool: tool, correlation: s.correlation()}
	var f *fault.Fault
	if r.args, f = read(args); f != nil {
		return "", f
	}
	var lines []string
	calls, err := s.explained(ctx, r, &lines)
	if err == nil && r.bank.Fault != nil { // a missing credential is none
		err = r.bank.Fault
	}
	if err != nil {
		return "", err
	}
	for _, call := range calls {
		line, err := r.bank.Client.Explain(call)
		if err != nil {
			return "", err
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}

// explained returns the calls; what comes before them is put into lines.
func (s *Set) explained(ctx context.Context, r *request, lines *[]string) ([]providers.Call, error) {
	placeholder := secret.New("unset") // Explain masks it
	switch r.tool {
	case schema.CreateAccessToken:
		op, g, err := s.chosen(r)
		if err != nil {
			return nil, err
		}
		if g.Opens(r.args) {
			return s.explainedConsent(r, op, g, lines)
		}
		call, err := s.planArguments(r, op, g)
		call.Password = placeholder
		return []providers.Call{call}, err
	case schema.CreateUser:
		call, err := s.planUser(r)
		if err != nil {
			return nil, err
		}
		call.Password, call.Bearer = placeholder, placeholder
		if _, _, err := s.nameUser(&call); err != nil {
			return nil, err
		}
		op, g, ok := r.bank.Client.Provider().Operation(schema.CreateAccessToken, call.Operation.Auth.Grant)
		if call.Operation.Auth.Style != schema.AuthBearer || !ok {
			return []providers.Call{call}, nil
		}
		return []providers.Call{{Operation: op, Grant: g, CorrelationID: r.correlation}, call}, nil
	case schema.RefreshToken:
		return s.explainedRefresh(ctx, r)
	}
	return nil, noSuchTool()
}

// explainedConsent shows how the consent is opened, and the exchange after it.
func (s *Set) explainedConsent(r *request, op *schema.Operation, g *schema.Grant, lines *[]string) ([]providers.Call, error) {
	delete(r.args, argumentRef)
	q, _, err := s.planConsent(r, op, g)
	if err != nil {
		return nil, err
	}
	q.RedirectURI, q.Challenge = "http://127.0.0.1/consent/callback", "challenge"
	line, err := r.bank.Client.ExplainConsent(q)
	*lines = append(*lines, line)
	q.Call.Code, q.Call.CodeVerifier = secret.New("unset"), secret.New("unset")
	if slices.Contains(g.Required, argumentRedirect) {
		q.Call.Arguments[argumentRedirect] = q.RedirectURI
	}
	return []providers.Call{*q.Call}, err
}

func (s *Set) explainedRefresh(ctx context.Context, r *request) ([]providers.Call, error) {
	ref, ok := r.args.text("token_ref")
	if !ok {
		return nil, s.unreadRef(r)
	}
	v, err := s.vault(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := v.Get(ctx, r.principal, strings.TrimSpace(ref))
	if err != nil {
		return nil, err
	}
	if r.bank, err = s.bankOf(rec); err != nil {
		return nil, err
	}
	if len(r.bank.Missing) == 0 { // whose client it is, nobody can say without the client id
		if f := sameClient(r.bank, rec); f != nil {
			return nil, f
		}
	}
	if rec.Token.Refresh.IsZero() {
		call, can, err := s.repeat(ctx, r, v, rec)
		if err != nil {
			return nil, err
		}
		if !can {
			return nil, noRefreshToken()
		}
		return []providers.Call{call}, nil
	}
	op, g, ok := r.bank.Client.Provider().Operation(schema.RefreshToken, schema.GrantRefreshToken)
	if !ok {
		return nil, noRefresh()
	}
	return []providers.Call{{Operation: op, Grant: g, RefreshToken: rec.Token.Refresh, CorrelationID: r.correlation}}, nil
}
