package tools

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/schema"
)

// TokenAbout is what may be said of a token in the vault: no secret.
type TokenAbout struct {
	TokenRef    string `json:"token_ref" jsonschema_description:"The token's handle."`
	Provider    string `json:"provider"`
	Environment string `json:"environment" jsonschema_description:"sandbox, production or simulated."`
	GrantType   string `json:"grant_type"`
	Scope       string `json:"scope,omitempty" jsonschema_description:"As granted, if told."`
	Account     string `json:"account,omitempty" jsonschema_description:"Whose it is, with grant_type=password."`
	Subject     string `json:"subject,omitempty" jsonschema_description:"The user, if told."`
	State       string `json:"state" jsonschema:"enum=live,enum=uncertain,enum=suspect,enum=reauthorize" jsonschema_description:"live: works as far as is known, its access token may have expired; uncertain: a refresh was sent and no answer came; suspect: restored from a backup, the operator must accept it; reauthorize: the provider ended it."`
	Reason      string `json:"reason,omitempty" jsonschema_description:"Why state is not live."`
	Expires     string `json:"expires" jsonschema:"enum=at,enum=never,enum=unknown" jsonschema_description:"at: see expires_at."`
	ExpiresAt   string `json:"expires_at,omitempty" jsonschema_description:"RFC 3339."`
	Refreshable bool   `json:"refreshable" jsonschema_description:"A refresh token is held."`
	Generation  int    `json:"generation" jsonschema_description:"Counts how often it was obtained, from 1."`
	Created     string `json:"created" jsonschema_description:"RFC 3339."`
	Updated     string `json:"updated" jsonschema_description:"RFC 3339."`
}

// About says what may be said of r.
func About(r vault.Record) TokenAbout {
	a := TokenAbout{
		TokenRef: r.Ref, Provider: r.Identity.Provider, Environment: r.Identity.Environment, GrantType: r.Identity.Grant,
		Scope: r.Token.Scope, Subject: r.Token.Subject, State: string(r.State), Reason: r.Reason, Expires: string(r.Token.Expiry),
		Generation: r.Generation, Created: r.Created.UTC().Format(time.RFC3339), Updated: r.Updated.UTC().Format(time.RFC3339),
		Refreshable: r.State != vault.Reauthorize && r.State != vault.Suspect && !r.Token.Refresh.IsZero(),
	}
	if r.Identity.Grant == schema.GrantPassword {
		a.Account = r.Identity.Account
	}
	if r.Token.Expiry == token.ExpiresAt {
		a.ExpiresAt = r.Token.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return a
}

func (a TokenAbout) encode() ([]byte, error) { return json.Marshal(a) }

// TokenList is a page of a principal's tokens, oldest first.
type TokenList struct {
	Tokens []TokenAbout `json:"tokens"`
	Next   string       `json:"next,omitempty" jsonschema_description:"Give it as after to read on; absent on the last page."`
}

func (l TokenList) encode() ([]byte, error) { return json.Marshal(l) }

// Tokens lists at most limit of principal's tokens, a TokenList, from the one
// that follows after: a token_ref, or the Next of a list; "" begins with the
// oldest.
func (s *Set) Tokens(ctx context.Context, principal, after string, limit int) Result {
	return s.do(ctx, &request{principal: principal, tool: listTokens}, func(*request) (answer, error) {
		v, err := s.vault(ctx)
		if err != nil {
			return nil, err
		}
		records, err := v.List(ctx, principal)
		if err != nil {
			return nil, err
		}
		if after != "" {
			if records, err = following(records, after); err != nil {
				return nil, err
			}
		}
		l := TokenList{Tokens: []TokenAbout{}}
		for _, r := range records[:min(limit, len(records))] {
			l.Tokens = append(l.Tokens, About(r))
		}
		if len(records) > limit {
			l.Next = placeOf(records[limit-1])
		}
		return l, nil
	})
}

// placeOf names the place of a record in its principal's list, so that it can be
// read on from there when the record is gone.
func placeOf(r vault.Record) string {
	return r.Ref + "." + strconv.FormatInt(r.Created.UnixMilli(), 36)
}

// following returns the records after a token_ref or a place.
func following(records []vault.Record, after string) ([]vault.Record, error) {
	ref, text, place := strings.Cut(after, ".")
	if i := slices.IndexFunc(records, func(r vault.Record) bool { return r.Ref == ref && (!place || placeOf(r) == after) }); i >= 0 {
		return records[i+1:], nil
	}
	created, err := strconv.ParseInt(text, 36, 64)
	if !place || err != nil || !strings.HasPrefix(ref, "tok_") {
		return nil, fault.New(fault.InvalidArgument, "after is neither a token_ref of yours nor the next of a page", "give the next of the page before, or leave after out to begin again")
	}
	i := slices.IndexFunc(records, func(r vault.Record) bool {
		at := r.Created.UnixMilli()
		return at > created || at == created && r.Ref > ref
	})
	if i < 0 {
		return nil, nil
	}
	return records[i:], nil
}

// Token says what is known of principal's token, a TokenAbout. An unknown ref
// and another principal's are the same fault.
func (s *Set) Token(ctx context.Context, principal, ref string) Result {
	return s.do(ctx, &request{principal: principal, tool: showToken}, func(*request) (answer, error) {
		v, err := s.vault(ctx)
		if err != nil {
			return nil, err
		}
		r, err := v.Get(ctx, principal, ref)
		return About(r), err
	})
}
