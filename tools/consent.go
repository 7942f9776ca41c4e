package tools

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/providers"
	"bankauth/schema"
)

// Arguments of create_access_token that no document has: they are for a
// consent that we open.
const (
	argumentRef         = "consent_ref"
	argumentInstitution = schema.FillInstitution
)

// consent serves create_access_token where a person has to be asked first: it
// opens a consent, or waits for one that consent_ref names.
func (s *Set) consent(ctx context.Context, r *request, op *schema.Operation, g *schema.Grant) (answer, error) {
	if ref, ok := r.args.text(argumentRef); ok {
		return s.consented(ctx, r, g, ref)
	}
	if r.args.has(argumentRef) {
		return nil, s.unread(r.tool, argumentRef, r.args, "give the consent_ref of consent_required as it is, or leave it out", nil)
	}
	request, err := json.Marshal(pendingCall{Arguments: r.args, Correlation: r.correlation, Client: clientOf(r.bank)})
	if err != nil {
		return nil, err
	}
	terms := termsOf(r, g)
	q, _, err := s.planConsent(r, op, g)
	if err != nil {
		return nil, err
	}
	if s.o.Consents == nil {
		return nil, fault.New(fault.Unsupported, "this server cannot receive the user's consent", "get an authorization code elsewhere and call again with code and redirect_uri")
	}
	if f := s.configured(r.bank, *q.Call); f != nil {
		return nil, f
	}
	client := r.bank.Client
	return nil, s.o.Consents.Open(ctx, consent.Opening{
		Principal: r.principal, Provider: client.Provider().Name, Title: client.Provider().Title, Terms: []byte(canonical(terms)), Request: request,
		Address: func(ctx context.Context, t consent.Trip) (secret.Value, error) {
			q.RedirectURI, q.State, q.Challenge = t.RedirectURI, t.State, t.Challenge
			return client.Open(ctx, q)
		},
	})
}

// pendingCall is a call that has opened a consent, for whatever process finishes it.
type pendingCall struct {
	Arguments   arguments `json:"arguments"`
	Correlation string    `json:"correlation_id"`
	Client      string    `json:"client"`
}

// termsOf are the arguments that say what a person is asked for, with what stands
// for those that are left out.
func termsOf(r *request, g *schema.Grant) map[string]any {
	terms := map[string]any{}
	for name, text := range g.Fixed {
		terms[name] = text
	}
	if c := g.Consent; c.Scope != "" {
		terms[schema.FillScope] = c.Scope
	}
	if bank := g.Consent.Institution[r.bank.Client.Environment()]; bank != "" {
		terms[argumentInstitution] = bank
	}
	for name, v := range r.args {
		if slices.Contains(g.Arguments, name) || slices.Contains(g.Consent.Arguments(), name) {
			terms[name] = v
		}
	}
	return terms
}

// sameTerms refuses arguments beside a consent_ref that the consent was not
// opened with: nobody was asked for those. They may be left out.
func (s *Set) sameTerms(ctx context.Context, r *request, g *schema.Grant, ref string) error {
	raw, err := s.o.Consents.Terms(ctx, r.principal, r.bank.Client.Provider().Name, ref)
	if err != nil {
		return err
	}
	var opened map[string]any
	if err := json.Unmarshal(raw, &opened); err != nil {
		return err
	}
	var other []string
	for name, v := range r.args {
		if slices.Contains([]string{"provider", "grant_type", "force", argumentRef}, name) || slices.Contains(g.Secrets, name) {
			continue
		}
		if was, ok := opened[name]; !ok || canonical(map[string]any{"": was}) != canonical(map[string]any{"": v}) {
			other = append(other, name)
		}
	}
	if len(other) == 0 {
		return nil
	}
	slices.Sort(other)
	return &fault.Fault{Code: fault.InvalidArgument, Message: "the consent was not opened with this " + list(other),
		Hint: "to go on with the consent, leave " + list(other) + " out; to open another one, leave consent_ref out", NotAllowed: other}
}

// clientOf tells one client at one environment of a provider from others.
func clientOf(b *Bank) string { return b.Client.Environment() + " " + b.Client.Fingerprint() }

// planConsent checks the arguments that there are without a code: those of the
// exchange that is to follow, and those with which a consent is opened.
func (s *Set) planConsent(r *request, op *schema.Operation, g *schema.Grant) (q providers.Consent, force bool, err error) {
	p := r.bank.Client.Provider()
	force, f := r.args.flag("force")
	if f != nil {
		return q, false, f
	}
	given := r.args.without("provider", "grant_type", "force")
	if r.args.has(argumentRedirect) {
		return q, false, &fault.Fault{Code: fault.InvalidArgument, Message: "redirect_uri goes with a code that you bring along",
			Hint: "leave redirect_uri out, and the server asks the user to consent; or give code too", NotAllowed: []string{argumentRedirect}}
	}
	opening := g.Consent.Arguments()
	for name, into := range map[string]*string{schema.FillScope: &q.Scope, argumentInstitution: &q.Institution} {
		if !r.args.has(name) || !slices.Contains(opening, name) {
			continue
		}
		text, ok := r.args.text(name)
		if !ok || len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return q, false, &fault.Fault{Code: fault.InvalidArgument, Message: name + " must be a plain text of at most 1,000 characters",
				Hint: "leave " + name + " out, or give a text of ASCII characters"}
		}
		*into = text
		if !slices.Contains(g.Arguments, name) {
			delete(given, name)
		}
	}
	// The code and the redirect_uri are still to come; the rest must fit.
	whole := maps.Clone(given)
	for _, name := range []string{"code", argumentRedirect} {
		if v, ok := g.Example[name]; ok {
			whole[name] = v
		}
	}
	if f := p.Check(op, g, whole, s.full()); f != nil {
		return q, false, f
	}
	call := s.newCall(r, op, g, given)
	q.Call = &call
	return q, force, nil
}

const argumentRedirect = schema.FillRedirectURI

// finish makes a token of what the browser brought back for a consent that was
// opened here, or in another process of the vault. It returns the token_ref.
func (s *Set) finish(ctx context.Context, principal string, asked []byte, t consent.Trip, a consent.Answer) (ref string, err error) {
	start := s.o.Now()
	var was pendingCall
	if err := json.Unmarshal(asked, &was); err != nil {
		return "", err
	}
	r := &request{principal: principal, tool: schema.CreateAccessToken, args: was.Arguments, correlation: was.Correlation}
	defer func() {
		code, provider := "ok", ""
		if err != nil {
			code = string(fault.From(err).Code)
		}
		if r.bank != nil {
			provider = r.bank.Client.Provider().Name
		}
		s.o.Log.Info().Str("provider", provider).Str("code", code).Int64("ms", s.o.Now().Sub(start).Milliseconds()).
			Str("correlation_id", r.correlation).Msg("consent")
	}()
	op, g, err := s.chosen(r)
	if err != nil {
		return "", err
	}
	if clientOf(r.bank) != was.Client || !g.Opens(r.args) {
		return "", fault.New(fault.NotConfigured, "the consent was opened by a server with other settings for "+r.bank.Client.Provider().Title,
			"give all servers that share a vault the same settings; then call create_access_token again without consent_ref")
	}
	q, force, err := s.planConsent(r, op, g)
	if err != nil {
		return "", err
	}
	return s.exchange(ctx, r, *q.Call, force, t, a)
}

// exchange sends what the browser brought back.
func (s *Set) exchange(ctx context.Context, r *request, call providers.Call, force bool, t consent.Trip, a consent.Answer) (string, error) {
	if err := r.bank.Client.Answered(&call, a.Issuer, a.Error); err != nil {
		return "", err
	}
	call.Code, call.CodeVerifier = a.Code, t.Verifier
	if name := call.Grant.Consent.Subject; name != "" {
		call.Subject = a.Further[name]
	}
	call.Arguments = maps.Clone(call.Arguments)
	if slices.Contains(call.Grant.Required, argumentRedirect) {
		call.Arguments[argumentRedirect] = t.RedirectURI
	}
	rec, _, _, err := s.obtain(ctx, r, call, force)
	return rec.Ref, err
}

// consented waits for a consent and answers with the token that came of it.
func (s *Set) consented(ctx context.Context, r *request, g *schema.Grant, ref string) (answer, error) {
	if s.o.Consents == nil {
		return nil, fault.New(fault.InvalidArgument, "this server has opened no consent", "leave consent_ref out")
	}
	if err := s.sameTerms(ctx, r, g, ref); err != nil {
		return nil, err
	}
	token, err := s.o.Consents.Wait(ctx, r.principal, r.bank.Client.Provider().Name, ref)
	if err != nil {
		return nil, err
	}
	// The wait may have used up the time that the caller had.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Second)
	defer cancel()
	v, err := s.vault(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := v.Get(ctx, r.principal, token)
	if err != nil {
		return nil, err
	}
	return s.answerToken(ctx, r, r.bank, rec, false, nil), nil
}
