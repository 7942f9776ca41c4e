package tools

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/typo"
	"bankauth/schema"
)

// arguments are a call's arguments after the slips that models make have been
// forgiven.
type arguments map[string]any

// read takes what came over the wire: an object, the JSON text of one, or
// nothing. Empty and null values count as left out; provider and grant_type
// are trimmed and lower-cased.
func read(raw any) (arguments, *fault.Fault) {
	if text, ok := raw.(string); ok {
		var v any
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		if strings.TrimSpace(text) != "" && (d.Decode(&v) != nil || d.Decode(new(any)) != io.EOF) {
			return nil, notAnObject()
		}
		raw = v
	}
	given, ok := raw.(map[string]any)
	if !ok && raw != nil {
		return nil, notAnObject()
	}
	args := make(arguments, len(given))
	for name, v := range given {
		switch v := v.(type) {
		case nil:
			continue
		case string:
			if name == "provider" || name == "grant_type" {
				v = strings.ToLower(strings.TrimSpace(v))
			}
			if v == "" {
				continue
			}
			args[name] = v
		default:
			args[name] = v
		}
	}
	return args, nil
}

func notAnObject() *fault.Fault {
	return fault.New(fault.InvalidArgument, "the arguments are not a JSON object", `give an object such as {"provider": "…"}`)
}

func (a arguments) has(name string) bool { _, ok := a[name]; return ok }

func (a arguments) text(name string) (string, bool) {
	s, ok := a[name].(string)
	return s, ok
}

// flag takes a boolean, or the text of one.
func (a arguments) flag(name string) (bool, *fault.Fault) {
	switch v := a[name].(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, fault.New(fault.InvalidArgument, name+" must be true or false", "leave "+name+" out or give true")
}

// secret takes a secret argument out, so that nothing further on can show it.
func (a arguments) secret(name string) secret.Value {
	s, _ := a.text(name)
	return secret.New(s)
}

// without takes the named arguments out and returns the rest, which are the
// provider's. There is no copy: a call reads its own arguments once.
func (a arguments) without(names ...string) map[string]any {
	for _, n := range names {
		delete(a, n)
	}
	return a
}

// only refuses arguments that the tool does not have, and says which it has.
func (a arguments) only(tool string, example map[string]any, names ...string) *fault.Fault {
	var foreign []string
	for name := range a {
		if !slices.Contains(names, name) {
			foreign = append(foreign, name)
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	slices.Sort(foreign)
	message := tool + " has no argument " + list(foreign)
	if near := typo.Nearest(foreign[0], names, 2); near != "" {
		message += "; did you mean " + near + "?"
	}
	return &fault.Fault{Code: fault.InvalidArgument, Message: message, Hint: "its arguments are " + list(names), NotAllowed: foreign, Example: example}
}

// unread says why a call does not give name, a text that it needs: something
// else is called nearly so, it is no text, or it is not there.
func (s *Set) unread(tool, name string, args arguments, hint string, example map[string]any) *fault.Fault {
	if f := args.only(tool, example, s.argumentNames(tool)...); f != nil {
		return f
	}
	f := &fault.Fault{Code: fault.InvalidArgument, Message: name + " must be a string", Hint: hint, Example: example}
	if !args.has(name) {
		f.Message, f.Required = "the argument "+name+" is missing", []string{name}
	}
	return f
}

// list joins names for a sentence.
func list(names []string) string { return strings.Join(names, ", ") }

// grant picks the operation and grant that a create_access_token call names.
func (s *Set) grant(b *Bank, args arguments) (*schema.Operation, *schema.Grant, *fault.Fault) {
	p := b.Client.Provider()
	name, ok := args.text("grant_type")
	offered := p.Grants(schema.CreateAccessToken)
	if i := slices.IndexFunc(offered, func(grant string) bool { return plain(grant) == plain(name) }); ok && i >= 0 {
		if op, g, found := p.Operation(schema.CreateAccessToken, offered[i]); found {
			return op, g, nil
		}
	}
	f := &fault.Fault{Code: fault.InvalidArgument, Provider: p.Name, Hint: p.Name + " offers grant_type " + list(offered)}
	if op, g, found := p.Operation(schema.CreateAccessToken, offered[0]); found {
		f.Example = p.Example(op, g)
	}
	switch {
	case name == schema.GrantRefreshToken:
		f.Message, f.Hint = "a token is renewed with the tool refresh_token", "call refresh_token with the token_ref that create_access_token gave"
		f.Example = exampleRef()
	case !ok:
		unread := s.unread(schema.CreateAccessToken, "grant_type", args, f.Hint, f.Example)
		unread.Provider = p.Name
		return nil, nil, unread
	case s.knows(name):
		f.Code, f.Message = fault.Unsupported, p.Name+" does not offer grant_type="+name
	default:
		f.Message = "there is no such grant_type"
	}
	return nil, nil, f
}

// plain is a grant's name without what models get wrong in it.
func plain(grant string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return '_'
		}
		return r
	}, strings.ToLower(grant))
}

// knows reports whether any provider offers the grant, so that its name may
// be repeated: it is one of ours.
func (s *Set) knows(grant string) bool {
	for _, p := range s.all {
		if slices.Contains(p.Grants(schema.CreateAccessToken), grant) {
			return true
		}
	}
	return false
}
