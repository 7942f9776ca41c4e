package capability

import (
	"maps"
	"slices"
	"strings"

	"bankauth/schema"
)

// tokenRef is what stands for a refresh token outside of the provider's own
// request.
const tokenRef = "token_ref"

// placeholder refers to a variable or an input.
func placeholder(name string) string { return "{{" + name + "}}" }

// inputs are the arguments of a call, as its caller gives them. The format
// knows no default, and an engine that is given nothing would send nothing, so
// one that the provider's overlay fills in is asked for; filled says that there
// is one.
func inputs(op *schema.Operation, g *schema.Grant) (all []parameter, filled bool) {
	for i := range op.Fields {
		f := &op.Fields[i]
		if f.Held == schema.HeldRefreshToken && op.Tool == schema.RefreshToken {
			all = append(all, parameter{name: tokenRef, kind: "string",
				description: "The token_ref that creating the token returned: a handle. An engine without a vault takes the refresh token itself."})
			continue
		}
		if !slices.Contains(g.Arguments, f.Argument) {
			continue
		}
		in := parameter{name: f.Argument, kind: f.Type, description: f.Description}
		if len(f.Enum) > 0 {
			in.description = strings.TrimSpace(in.description + " One of " + strings.Join(f.Enum, ", ") + ".")
		}
		if in.description == "" {
			in.description = f.Argument
		}
		usual, fills := g.Fixed[f.Name]
		if fills {
			in.description += " Usually " + usual + "."
			filled = true
		}
		in.optional = !fills && !slices.Contains(g.Required, f.Argument)
		all = append(all, in)
	}
	return all, filled
}

// bodyOf is the request's body as the provider wants it, with a placeholder
// for everything that is not fixed.
func bodyOf(p *schema.Provider, op *schema.Operation, g *schema.Grant) *body {
	b := &body{kind: "json"}
	if op.Media == schema.MediaForm {
		b.kind = "formUrlEncoded"
	}
	for i := range op.Fields {
		if value, literal, ok := fieldValue(p, op, g, &op.Fields[i]); ok {
			b.data = append(b.data, member{name: op.Fields[i].Name, value: value, literal: literal && b.kind == "json"})
		}
	}
	return b
}

// fieldValue says what a field of the body is filled with, whether that is a
// number or a boolean, and whether it is sent at all.
func fieldValue(p *schema.Provider, op *schema.Operation, g *schema.Grant, f *schema.Field) (value string, literal, sent bool) {
	if slices.Contains(g.Arguments, f.Argument) {
		return placeholder(f.Argument), false, true
	}
	if text, ok := g.Fixed[f.Name]; ok {
		return strings.NewReplacer("{client_id}", placeholder(clientID(p)), "{client_secret}", placeholder(clientSecret(p))).Replace(text), f.Type != "string", true
	}
	if f.Name == "grant_type" && g.Name != "" {
		return g.Name, false, true
	}
	switch f.Held {
	case schema.HeldClientID:
		return placeholder(clientID(p)), false, op.Auth.Style == schema.AuthBody
	case schema.HeldClientSecret:
		return placeholder(clientSecret(p)), false, op.Auth.Style == schema.AuthBody
	case schema.HeldPassword:
		return placeholder(userPassword(p)), false, holdsPassword(op, g)
	case schema.HeldRefreshToken:
		return placeholder(f.Argument), false, op.Tool == schema.RefreshToken
	}
	return "", false, false
}

// holdsPassword reports whether the request sends a user's password that
// exists. A new user's is left to the provider to make.
func holdsPassword(op *schema.Operation, g *schema.Grant) bool {
	f := op.HeldField(schema.HeldPassword)
	return f != nil && op.Tool == schema.CreateAccessToken && slices.Contains(g.Secrets, f.Argument)
}

// authentication is where a consumed API takes the credentials, if that is
// neither the body nor a header of their own.
func authentication(p *schema.Provider, op *schema.Operation) *auth {
	switch op.Auth.Style {
	case schema.AuthBasic:
		return &auth{kind: "basic", members: []member{
			{name: "username", value: placeholder(clientID(p))}, {name: "password", value: placeholder(clientSecret(p))}}}
	case schema.AuthBearer:
		return &auth{kind: "bearer", members: []member{{name: "token", value: placeholder(accessToken)}}}
	}
	return nil
}

// headers are those that every request carries.
func headers(p *schema.Provider, op *schema.Operation) []parameter {
	var all []parameter
	for _, name := range slices.Sorted(maps.Keys(op.Headers)) {
		all = append(all, parameter{name: name, in: "header", value: op.Headers[name]})
	}
	if op.Auth.Style == schema.AuthHeader {
		all = append(all, parameter{name: op.Auth.ClientID, in: "header", value: placeholder(clientID(p))},
			parameter{name: op.Auth.ClientSecret, in: "header", value: placeholder(clientSecret(p))})
	}
	return all
}

// outputs are the answer's fields.
func outputs(op *schema.Operation) []parameter {
	var all []parameter
	add := func(name, kind, path string) {
		if !slices.ContainsFunc(all, func(have parameter) bool { return have.name == name }) {
			all = append(all, parameter{name: name, kind: kind, value: path})
		}
	}
	if op.Answer.AccessToken != "" {
		add(accessToken, "string", "$"+strings.ReplaceAll(op.Answer.AccessToken, "/", "."))
	}
	for _, f := range op.Answer.Fields {
		kind := f.Type
		if kind == "integer" { // the format has no such type here
			kind = "number"
		}
		add(f.Name, kind, "$."+f.Name)
	}
	return all
}

// words are what no document says of a tool. A test in cmd/server holds them
// against the tools.
type words struct {
	title, about            string
	destructive, idempotent bool
}

func wordsOf(tool string) words {
	switch tool {
	case schema.RefreshToken:
		return words{title: "Refresh token", about: "Renew an access token of %s.", destructive: true, idempotent: true}
	case schema.CreateUser:
		return words{title: "Create user", about: "Create a user at %s."}
	}
	return words{title: "Create access token", about: "Get an access token of %s."}
}
