package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// grantField is the property that names the grant (RFC 6749 §4).
const grantField = "grant_type"

// operationExtension is x-bankauth-operation as the overlay says it.
type operationExtension struct {
	Serves  []string          `yaml:"serves"`
	Auth    authExtension     `yaml:"auth"`
	Headers map[string]string `yaml:"headers"`
	Grants  map[string]*struct {
		Offer *bool             `yaml:"offer"`
		Fixed map[string]string `yaml:"fixed"`
		Note  string            `yaml:"note"`
	} `yaml:"grants"`
	Answer answerExtension `yaml:"answer"`
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
	at := method + " " + path
	if op.OperationId == "" {
		r.wrong.add(r.file, 0, "%s: an operation that serves a tool needs an operationId", at)
	}
	fields, media, required := r.body(at, op)
	r.unfilled(at, item, op, x)
	answer := r.answer(at, op, x)
	if x.Auth.Style == AuthHeader && (x.Auth.ClientID == "" || x.Auth.ClientSecret == "") {
		r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "auth"), "%s: style header needs the names of both headers, client_id and client_secret", at)
	}
	var all []*Operation
	for _, tool := range x.Serves {
		o := &Operation{
			ID: op.OperationId, Method: method, Path: path, Tool: tool, Description: strings.TrimSpace(op.Description),
			Media: media, Auth: Auth(x.Auth), Headers: x.Headers, Required: required, Answer: answer,
		}
		for _, f := range fields {
			o.Fields = append(o.Fields, f.Field)
		}
		o.Grants = r.grants(at, tool, fields, required, x)
		all = append(all, o)
	}
	return all
}

// grants lists the ways in which tool may call an operation: a grant for each
// value of its grant_type, or those that the overlay names.
func (r *reader) grants(at, tool string, fields []*field, required []string, x *operationExtension) []Grant {
	var names []string
	i := slices.IndexFunc(fields, func(f *field) bool { return f.Name == grantField })
	switch {
	case tool == CreateUser:
		names = []string{""}
	case i >= 0:
		names = fields[i].Enum
	default:
		names = sortedKeys(x.Grants)
	}
	for name := range x.Grants {
		if !slices.Contains(names, name) && !(tool == CreateUser && len(x.Serves) > 1) {
			r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "grants", name), "%s: the document offers no grant %q", at, name)
		}
	}
	var grants []Grant
	for _, name := range names {
		if tool != CreateUser && (name == GrantRefreshToken) != (tool == RefreshToken) {
			continue
		}
		more := x.Grants[name]
		if more != nil && more.Offer != nil && !*more.Offer {
			continue
		}
		g := Grant{Name: name}
		if more != nil {
			g.Fixed, g.Note = more.Fixed, more.Note
		}
		r.arguments(at, tool, &g, fields, required, x)
		grants = append(grants, g)
	}
	if len(grants) == 0 {
		r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "serves"), "%s: it offers no grant that %s could use", at, tool)
	}
	return grants
}

// arguments says what a caller may and must give with g.
func (r *reader) arguments(at, tool string, g *Grant, fields []*field, required []string, x *operationExtension) {
	for name := range g.Fixed {
		if !slices.ContainsFunc(fields, func(f *field) bool { return f.Name == name }) {
			r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "grants", g.Name, "fixed", name), "%s: the document has no property %q", at, name)
		}
	}
	for _, f := range fields {
		_, fixed := g.Fixed[f.Name]
		needed := slices.Contains(required, f.Name)
		switch {
		case !f.belongs(g.Name), f.Name == grantField, fixed:
			continue
		case f.hide:
			if needed {
				r.wrong.add(r.file, 0, "%s: the document requires %q, and nothing fills it with grant %q", at, f.Name, g.Name)
			}
			continue
		case f.Held != "" || f.Secret:
			g.Secrets = append(g.Secrets, f.Argument)
			continue
		}
		if f.Type == "" {
			if needed {
				r.wrong.add(r.file, 0, "%s: the property %q is no text, number or boolean, so it cannot be an argument", at, f.Name)
			}
			continue
		}
		g.Arguments = append(g.Arguments, f.Argument)
		if needed || f.required {
			g.Required = append(g.Required, f.Argument)
		}
	}
}

// unfilled refuses parameters outside the body that nothing gives a value.
func (r *reader) unfilled(at string, item *v3.PathItem, op *v3.Operation, x *operationExtension) {
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		needed := p.Required != nil && *p.Required
		if !needed {
			continue
		}
		if p.In == "header" && (hasHeader(x.Headers, p.Name) || (x.Auth.Style == AuthHeader && (strings.EqualFold(p.Name, x.Auth.ClientID) || strings.EqualFold(p.Name, x.Auth.ClientSecret)))) {
			continue
		}
		r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil), "%s: the document requires the %s parameter %q, and nothing fills it", at, p.In, p.Name)
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
func (r *reader) answer(at string, op *v3.Operation, x *operationExtension) Answer {
	a := Answer{Subject: x.Answer.Subject}
	fields := r.responses(at, op, &a)
	place := func(what, said, standard string) string {
		if said == "" {
			if slices.ContainsFunc(fields, func(f *field) bool { return f.Name == standard && standard != "" }) {
				return "/" + standard
			}
			return ""
		}
		top, _, nested := strings.Cut(strings.TrimPrefix(said, "/"), "/")
		i := slices.IndexFunc(fields, func(f *field) bool { return f.Name == top })
		if i < 0 || (nested && fields[i].Type != "") {
			r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "answer", what), "%s: the document's answer has no %s", at, said)
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
		if f.Type == "" || f.hide {
			continue
		}
		f.Secret = f.Secret || f.Held != "" || slices.Contains(secrets, "/"+f.Name)
		a.Fields = append(a.Fields, f.Field)
	}
	needsToken := slices.ContainsFunc(x.Serves, func(t string) bool { return t != CreateUser })
	if needsToken && a.AccessToken == "" {
		r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "answer"), "%s: where does the answer keep its token? say answer.access_token", at)
	}
	if slices.Contains(x.Serves, CreateUser) && a.User == "" {
		r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "answer"), "%s: where does the answer keep the user's id? say answer.user", at)
	}
	return a
}

// responses gathers the 2xx statuses and the properties of their JSON bodies.
func (r *reader) responses(at string, op *v3.Operation, a *Answer) []*field {
	var fields []*field
	if op.Responses == nil || op.Responses.Codes == nil {
		r.wrong.add(r.file, 0, "%s: it documents no response", at)
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
				fs, _ := r.properties(fmt.Sprintf("%s response %s", at, code), content.Schema, 0)
				fields = append(fields, fs...)
			}
		}
	}
	if len(a.Statuses) == 0 {
		r.wrong.add(r.file, 0, "%s: it documents no success", at)
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
