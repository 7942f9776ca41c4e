package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"go.yaml.in/yaml/v4"
)

// grantField is the property that names the grant (RFC 6749 §4).
const grantField = "grant_type"

// operationExtension is x-bankauth-operation as the overlay says it.
type operationExtension struct {
	Serves  []string                  `yaml:"serves"`
	Auth    authExtension             `yaml:"auth"`
	Headers map[string]string         `yaml:"headers"`
	Grants  map[string]grantExtension `yaml:"grants"`
	Answer  answerExtension           `yaml:"answer"`

	node *yaml.Node
}

type grantExtension struct {
	Offer   *bool             `yaml:"offer"`
	Fixed   map[string]string `yaml:"fixed"`
	Default map[string]string `yaml:"default"`
	Note    string            `yaml:"note"`
	Consent *consentExtension `yaml:"consent"`
}

// UnmarshalYAML takes nothing for an empty mapping.
func (g *grantExtension) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return nil
	}
	type plain grantExtension
	return n.Decode((*plain)(g))
}

// line returns the line of path in the operation's own extension.
func (r *reader) line(x *operationExtension, path ...string) int {
	return r.overlay.line(keyOperation, within(x.node), path...)
}

type authExtension struct {
	Style        string `yaml:"style"`
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"`
	Grant        string `yaml:"grant"`
}

// operation compiles one operation of the document, once for each tool that
// it serves.
func (r *reader) operation(path, method string, item *v3.PathItem, op *v3.Operation, x *operationExtension) []*Operation {
	at := place{method + " " + path, []string{"paths", path, strings.ToLower(method)}}
	if op.OperationId == "" {
		r.refuse(at, "an operation that serves a tool needs an operationId")
	}
	fields, media, required := r.body(at, op)
	r.unfilled(at, item, op, x)
	answer := r.answer(at, op, x)
	var all []*Operation
	for _, tool := range x.Serves {
		o := &Operation{
			ID: op.OperationId, Method: method, Path: path, Tool: tool,
			Media: media, Auth: Auth(x.Auth), Headers: x.Headers, Required: required, Answer: answer,
		}
		for _, f := range fields {
			o.Fields = append(o.Fields, f.Field)
		}
		o.Grants = r.grants(at, tool, fields, required, x)
		r.nodes[o] = within(x.node)
		r.agree(at, o, fields, x)
		all = append(all, o)
	}
	return all
}

// grants lists the ways in which tool may call an operation: a grant for each
// value of its grant_type, or those that the overlay names.
func (r *reader) grants(at place, tool string, fields []*field, required []string, x *operationExtension) []Grant {
	var names []string
	i := slices.IndexFunc(fields, func(f *field) bool { return f.Name == grantField })
	switch {
	case tool == CreateUser, tool == Revoke && len(x.Grants) == 0:
		names = []string{""}
	case tool == Revoke:
		names = sortedKeys(x.Grants)
	case i >= 0:
		names = fields[i].Enum
	default:
		names = sortedKeys(x.Grants)
	}
	for name := range x.Grants {
		if !slices.Contains(names, name) && !(tool == CreateUser && len(x.Serves) > 1) {
			r.wrong.add(r.overlay.file, r.line(x, "grants", name), "%s: the document offers no grant %q", at.text, name)
		}
	}
	var grants []Grant
	for _, name := range names {
		if tool != CreateUser && tool != Revoke && (name == GrantRefreshToken) != (tool == RefreshToken) {
			continue
		}
		more := x.Grants[name]
		if more.Offer != nil && !*more.Offer {
			continue
		}
		g := Grant{Name: name, Note: more.Note}
		r.arguments(at, tool, &g, fields, required, x, more)
		// An argument that is given stands before the text that is sent else.
		g.Fixed = maps.Clone(more.Fixed)
		for name, text := range more.Default {
			if g.Fixed == nil {
				g.Fixed = map[string]string{}
			}
			g.Fixed[name] = text
		}
		r.exemplify(at, &g, fields)
		r.consent(at, tool, &g, fields, x, more.Consent)
		grants = append(grants, g)
	}
	if len(grants) == 0 {
		r.wrong.add(r.overlay.file, r.line(x, "serves"), "%s: it offers no grant that %s could use", at.text, tool)
	}
	return grants
}

// arguments says what a caller may and must give with g.
func (r *reader) arguments(at place, tool string, g *Grant, fields []*field, required []string, x *operationExtension, more grantExtension) {
	for key, texts := range map[string]map[string]string{"fixed": more.Fixed, "default": more.Default} {
		for name := range texts {
			if !slices.ContainsFunc(fields, func(f *field) bool { return f.Name == name }) {
				r.wrong.add(r.overlay.file, r.line(x, "grants", g.Name, key, name), "%s: the document has no property %q", at.text, name)
			}
		}
	}
	for _, f := range fields {
		_, fixed := more.Fixed[f.Name]
		_, filled := more.Default[f.Name]
		needed := slices.Contains(required, f.Name) && !filled
		switch {
		case !f.belongs(g.Name), f.Name == grantField, fixed:
			continue
		case f.hide:
			if needed {
				r.refuse(f.at, "the document requires %q, and nothing fills it with grant %q", f.Name, g.Name)
			}
			continue
		case f.Held != "" || f.Secret:
			g.Secrets = append(g.Secrets, f.Argument)
			continue
		}
		if f.choice && tool != RefreshToken && tool != Revoke {
			r.refuse(f.at, "the property %q is a choice (oneOf, anyOf); let the overlay resolve it: remove the choice and say one type, or hide it", f.Name)
			continue
		}
		if f.types && tool != RefreshToken && tool != Revoke {
			r.several(f)
			continue
		}
		if f.Type == "" {
			if needed {
				r.refuse(f.at, "the property %q is no text, number or boolean, so it cannot be an argument", f.Name)
			}
			continue
		}
		if tool == RefreshToken || tool == Revoke { // a token_ref is all that its caller has
			if needed || f.required {
				r.refuse(f.at, "%q is required, and nothing fills it with grant %q; fix it (fixed: {…})", f.Name, g.Name)
			}
			continue
		}
		g.Arguments = append(g.Arguments, f.Argument)
		if needed || (f.required && !filled) {
			g.Required = append(g.Required, f.Argument)
		}
	}
}

// several refuses a property of several types.
func (r *reader) several(f *field) {
	r.refuse(f.at.in("type"), "the property %q has several types; let the overlay resolve it: remove them and say one, or hide it", f.Name)
}

// unfilled refuses parameters outside the body that nothing gives a value.
func (r *reader) unfilled(at place, item *v3.PathItem, op *v3.Operation, x *operationExtension) {
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		needed := p.Required != nil && *p.Required
		if !needed {
			continue
		}
		if p.In == "header" && (hasHeader(x.Headers, p.Name) || (x.Auth.Style == AuthHeader && (strings.EqualFold(p.Name, x.Auth.ClientID) || strings.EqualFold(p.Name, x.Auth.ClientSecret)))) {
			continue
		}
		r.wrong.add(r.overlay.file, r.line(x), "%s: the document requires the %s parameter %q, and nothing fills it", at.text, p.In, p.Name)
	}
}

func hasHeader(headers map[string]string, name string) bool {
	for k := range headers {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return false
}

type answerExtension struct {
	AccessToken  string `yaml:"access_token"`
	TokenType    string `yaml:"token_type"`
	RefreshToken string `yaml:"refresh_token"`
	Scope        string `yaml:"scope"`
	User         string `yaml:"user"`
	Password     string `yaml:"password"`
	Subject      string `yaml:"subject"`
	Lifetime     struct {
		At      string `yaml:"at"`
		Unit    string `yaml:"unit"`
		Zero    string `yaml:"zero"`
		Missing string `yaml:"missing"`
		Assume  int    `yaml:"assume"`
	} `yaml:"lifetime"`
}

// answer says where the operation's 2xx answer keeps what we look for: the
// names of RFC 6749 §5.1 where the document has them, and what the overlay
// says otherwise.
func (r *reader) answer(at place, op *v3.Operation, x *operationExtension) Answer {
	a := Answer{Subject: x.Answer.Subject}
	fields := r.responses(at, op, &a)
	place := func(what, said, standard string) string {
		if said == "" {
			if slices.ContainsFunc(fields, func(f *field) bool { return f.Name == standard && f.Type != "" && standard != "" }) {
				return "/" + standard
			}
			return ""
		}
		f := r.descend(fields, strings.Split(said[1:], "/"))
		if f == nil || f.Type == "" {
			r.wrong.add(r.overlay.file, r.line(x, "answer", what), "%s: the document's answer has no text or number at %s", at.text, said)
		}
		return said
	}
	y := &x.Answer
	a.AccessToken = place("access_token", y.AccessToken, "access_token")
	a.TokenType = place("token_type", y.TokenType, "token_type")
	a.RefreshToken = place("refresh_token", y.RefreshToken, "refresh_token")
	a.Scope = place("scope", y.Scope, "scope")
	a.User = place("user", y.User, "")
	a.Password = place("password", y.Password, "")
	a.Lifetime = Lifetime{At: place("lifetime", y.Lifetime.At, "expires_in"), Unit: y.Lifetime.Unit, Zero: y.Lifetime.Zero, Missing: y.Lifetime.Missing, Assume: y.Lifetime.Assume}
	if a.Lifetime.Unit == "" {
		a.Lifetime.Unit = UnitSeconds
	}
	if a.Lifetime.Zero == "" {
		a.Lifetime.Zero = "unknown"
	}
	if a.Lifetime.Missing == "" {
		a.Lifetime.Missing = "unknown"
	}
	secrets := []string{a.AccessToken, a.RefreshToken, a.Password}
	for _, f := range fields {
		if f.types && !f.hide && !slices.Contains(x.Serves, Revoke) {
			r.several(f)
		}
		if f.Type == "" || f.hide {
			continue
		}
		f.Secret = f.Secret || f.Held != "" || slices.Contains(secrets, "/"+f.Name)
		a.Fields = append(a.Fields, f.Field)
	}
	needsToken := slices.ContainsFunc(x.Serves, func(t string) bool { return t != CreateUser && t != Revoke })
	if needsToken && a.AccessToken == "" {
		r.wrong.add(r.overlay.file, r.line(x, "answer"), "%s: where does the answer keep its token? say answer.access_token", at.text)
	}
	if slices.Contains(x.Serves, CreateUser) && a.User == "" {
		r.wrong.add(r.overlay.file, r.line(x, "answer"), "%s: where does the answer keep the user's id? say answer.user", at.text)
	}
	return a
}

// responses gathers the 2xx statuses and the properties of their JSON bodies.
func (r *reader) responses(at place, op *v3.Operation, a *Answer) []*field {
	var fields []*field
	if op.Responses == nil || op.Responses.Codes == nil {
		r.refuse(at, "it documents no response")
		return nil
	}
	for code, response := range op.Responses.Codes.FromOldest() {
		status, err := strconv.Atoi(strings.Replace(strings.ToUpper(code), "XX", "00", 1))
		if err != nil || status < 200 || status > 299 {
			continue
		}
		a.Statuses = append(a.Statuses, status)
		if response.Content == nil {
			continue
		}
		for media, content := range response.Content.FromOldest() {
			if strings.HasPrefix(media, MediaJSON) && content.Schema != nil {
				fs, _ := r.properties(place{at.text + " response " + code, at.in("responses", code, "content", media, "schema").path}, content.Schema, 0)
				fields = append(fields, fs...)
			}
		}
	}
	if len(a.Statuses) == 0 {
		r.refuse(at.in("responses"), "it documents no success")
	}
	return fields
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
