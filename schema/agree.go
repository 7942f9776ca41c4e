package schema

import (
	"slices"
	"strings"
)

// reserved are the arguments that the tools have of their own.
var reserved = []string{"provider", grantField, "force", "token_ref", "consent_ref", "institution"}

// agree checks that what the document asks for and what the overlay fills in
// make a call that can be sent.
func (r *reader) agree(at place, op *Operation, fields []*field, x *operationExtension) {
	if op.Method != "POST" && op.Method != "PUT" {
		r.refuse(at, "an operation that serves a tool must be a POST or a PUT")
	}
	for _, name := range op.Required {
		if !slices.ContainsFunc(fields, func(f *field) bool { return f.Name == name }) {
			r.refuse(at.in("requestBody", "content", op.Media, "schema", "required"), "the document requires %q, and its body has no such property", name)
		}
	}
	r.fieldGrants(at, fields, x)
	r.names(fields, op)
	r.credentials(at, op, x)
	r.revocation(at, op, x)
	if op.Tool == RefreshToken && op.HeldField(HeldRefreshToken) == nil {
		r.wrong.add(r.overlay.file, r.line(x, "serves"), "%s: no property takes the refresh token; say which (x-bankauth-field: {held: refresh_token})", at.text)
	}
}

// revocation checks that an operation that ends a token is told which, and
// that no other is.
func (r *reader) revocation(at place, op *Operation, x *operationExtension) {
	if op.Tool != Revoke && op.Auth.Style == AuthToken {
		r.wrong.add(r.overlay.file, r.line(x, "auth"), "%s: style token is for revoke alone", at.text)
	}
	told := op.HeldField(HeldToken)
	switch {
	case op.Tool != Revoke && told != nil:
		r.refuse(at.in("requestBody", "content", op.Media, "schema", "properties", told.Name), "the property %q is said to hold the token that is revoked, and the operation does not serve revoke", told.Name)
	case op.Tool == Revoke && len(x.Serves) > 1:
		r.wrong.add(r.overlay.file, r.line(x, "serves"), "%s: an operation that serves revoke serves nothing else", at.text)
	case op.Tool == Revoke && told == nil && op.Auth.Style != AuthToken:
		r.wrong.add(r.overlay.file, r.line(x, "serves"), "%s: no property takes the token; say which (x-bankauth-field: {held: token}), or send it as bearer (auth: {style: token})", at.text)
	}
}

// fieldGrants checks the grants that properties are said to belong to.
func (r *reader) fieldGrants(at place, fields []*field, x *operationExtension) {
	known := sortedKeys(x.Grants)
	if i := slices.IndexFunc(fields, func(f *field) bool { return f.Name == grantField }); i >= 0 {
		known = append(known, fields[i].Enum...)
	}
	for _, f := range fields {
		for _, g := range f.grants {
			if !slices.Contains(known, g) {
				r.wrong.add(r.overlay.file, r.overlay.line(keyField, within(f.node), "grants"), "%s: the property %q is said to belong to the grant %q, which the document does not offer", at.text, f.Name, g)
			}
		}
	}
}

// names checks that an argument's name means one thing.
func (r *reader) names(fields []*field, op *Operation) {
	arguments := map[string]string{}
	held := map[string]string{}
	for _, f := range fields {
		if f.Held != "" {
			if other, twice := held[f.Held]; twice && other != f.Name {
				r.refuse(f.at, "both %q and %q are said to hold the %s", other, f.Name, f.Held)
			}
			held[f.Held] = f.Name
		}
		if !slices.ContainsFunc(op.Grants, func(g Grant) bool { return g.takes(&f.Field, true) }) {
			continue
		}
		if slices.Contains(reserved, f.Argument) {
			r.refuse(f.at, "the tools have an argument %q of their own; give the property %q another name (x-bankauth-field: {argument: …})", f.Argument, f.Name)
		}
		if other, twice := arguments[f.Argument]; twice {
			r.refuse(f.at, "the properties %q and %q are both the argument %q; give one of them another name (x-bankauth-field: {argument: …})", other, f.Name, f.Argument)
		}
		arguments[f.Argument] = f.Name
	}
}

// credentials checks that the auth style has what it needs.
func (r *reader) credentials(at place, op *Operation, x *operationExtension) {
	switch a := op.Auth; a.Style {
	case AuthHeader:
		if a.ClientID == "" || a.ClientSecret == "" {
			r.wrong.add(r.overlay.file, r.line(x, "auth"), "%s: style header needs the names of both headers, client_id and client_secret", at.text)
		}
	case AuthBody:
		for _, held := range []string{HeldClientID, HeldClientSecret} {
			if op.HeldField(held) == nil && !op.fixes("{"+held+"}") {
				r.wrong.add(r.overlay.file, r.line(x, "auth"), "%s: style body, but no property takes the %s; say which (x-bankauth-field: {held: %s})", at.text, held, held)
			}
		}
	}
}

// fixes reports whether a fixed text of each grant holds what.
func (op *Operation) fixes(what string) bool {
	for _, g := range op.Grants {
		found := false
		for _, text := range g.Fixed {
			found = found || strings.Contains(text, what)
		}
		if !found {
			return false
		}
	}
	return len(op.Grants) > 0
}
