package tools

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	orderedmap "github.com/pb33f/ordered-map/v2"

	"bankauth/schema"
)

// Tool is one tool as a client lists it.
type Tool struct {
	Name        string
	Title       string
	Description string
	Input       json.RawMessage
	Output      json.RawMessage
	ReadOnly    bool
	Destructive bool
	Idempotent  bool

	arguments []string
}

// Budgets. Hosts cut descriptions at 1,024 bytes (VS Code) or 2 KB (Claude
// Code), and every byte of the list costs a model its attention.
const (
	mostDescription = 1024
	mostList        = 5850 // bytes of the tools in a tools/list; its envelope comes on top
)

// A list that is over the budget gives up, in this order, what can be had
// elsewhere.
type thrift int

const (
	spendAll    thrift = iota
	noRepeats          // the words of refresh_token's result: create_access_token has the same
	noOutputs          // the words of all results: the names say enough
	noLines            // how each provider is called: the resource and the errors say it
	noProviders        // the enum of providers: the resource lists them
	noOwn              // what only one provider has: the schemas are open then
	mostThrift  = noOwn
)

// resourceName is where what does not fit a description stands.
const resourceName = "bankauth://providers/{name}"

// words are what a tool says that no document says.
type words struct {
	name, title string
	about       string // what it does
	each        string // introduces the providers' lines
	after       string // where to go next
	before, own []schema.Argument
	destructive bool
	idempotent  bool
	result      any
}

func (s *Set) words() []words {
	provider := schema.Argument{Name: "provider", Type: "string", Description: "It decides the rest.", Required: true}
	force := schema.Argument{Name: "force", Type: "boolean", Description: "true: ask even if the stored token is fresh."}
	ref := schema.Argument{Name: "token_ref", Type: "string", Description: "As create_access_token returned it.", Required: true}
	create := words{
		name: schema.CreateAccessToken, title: "Create access token",
		about:  "Obtain an OAuth access token from a provider. It stays in a vault; the result has its handle, token_ref. Client id and secret are the server's: never ask for them. authorization_code without code: the user is asked to consent.",
		each:   "Arguments by provider and grant_type (* = required):",
		after:  "To renew a token call refresh_token.",
		before: []schema.Argument{provider}, own: append(s.consentArguments(), force), result: tokenResult{},
	}
	refresh := words{
		name: schema.RefreshToken, title: "Refresh token",
		about:  "Renew the access token behind a token_ref. Without force, one that still lives 120 s is returned as it is. token_ref never changes.",
		after:  "On the error reauthorize, call create_access_token again.",
		before: []schema.Argument{ref}, own: []schema.Argument{force}, destructive: true, idempotent: true, result: tokenResult{},
	}
	user := words{
		name: schema.CreateUser, title: "Create user",
		about:  "Create a user at a provider. The client token it needs is fetched, and the password made and stored, by the server.",
		each:   "Arguments by provider:",
		after:  "To act as the user call create_access_token with grant_type=password and username = the id returned.",
		before: []schema.Argument{provider}, result: userResult{},
	}
	if s.o.Egress != nil {
		create.after = "Call the API at egress_url, with token_ref as bearer. " + create.after
	}
	if s.full() { // for programs: its further arguments and fields need the room
		create.about = "Obtain an OAuth access token from a provider. authorization_code without code: the user is asked to consent."
		user.about = "Create a user at a provider. The client token it needs is fetched by the server."
		refresh.before[0].Required = false
		provider.Required = false
		provider.Description = "With refresh_token."
		refresh.before = append(refresh.before, provider)
	}
	return []words{create, refresh, user}
}

// consentArguments are there where a provider's consent can be opened.
func (s *Set) consentArguments() []schema.Argument {
	var all []schema.Argument
	add := func(a schema.Argument) {
		if !slices.ContainsFunc(all, func(have schema.Argument) bool { return have.Name == a.Name }) {
			all = append(all, a)
		}
	}
	for _, p := range s.all {
		_, g, ok := p.Operation(schema.CreateAccessToken, schema.GrantAuthorizationCode)
		if !ok || g.Consent == nil {
			continue
		}
		add(schema.Argument{Name: argumentRef, Type: "string", Description: "Of consent_required: waits for the user."})
		if slices.Contains(g.Consent.Arguments(), argumentInstitution) {
			add(schema.Argument{Name: argumentInstitution, Type: "string", Description: "The user's bank: its number there."})
		}
	}
	return all
}

//go:generate go test bankauth/tools -run TestCompiledIsFresh -update

// describe makes the tools out of the documents and our words, as rich as
// the budget allows.
func (s *Set) describe() ([]Tool, error) {
	var pubs []*schema.Publication
	for _, w := range s.words() {
		pub, err := schema.Publish(w.name, s.all, s.full())
		if err != nil {
			return nil, err
		}
		pubs = append(pubs, pub)
	}
	for save := spendAll; ; save++ {
		var tools []Tool
		size := 0
		for i, w := range s.words() {
			t, err := s.tool(w, pubs[i], save)
			if err != nil {
				return nil, fmt.Errorf("describing %q: %w", w.name, err)
			}
			b, err := json.Marshal(t.mcp())
			if err != nil {
				return nil, fmt.Errorf("describing %q: %w", w.name, err)
			}
			tools = append(tools, t)
			size += len(b)
		}
		if size <= mostList || save == mostThrift {
			return tools, nil
		}
	}
}

func (s *Set) tool(w words, pub *schema.Publication, save thrift) (Tool, error) {
	lines := pub.Lines
	if save >= noLines {
		lines = nil
	}
	t := Tool{Name: w.name, Title: w.title, Description: w.describe(lines, len(pub.Lines)), Destructive: w.destructive, Idempotent: w.idempotent}
	arguments := slices.Concat(w.before, pub.Arguments, w.own)
	for i := range arguments {
		a := &arguments[i]
		if a.Name == "provider" {
			a.Enum = pub.Providers
			if save >= noProviders {
				a.Enum = nil
				a.Description += " The resource bankauth://providers lists them."
			}
		}
		t.arguments = append(t.arguments, a.Name)
	}
	in, out := schema.Object(arguments), s.output(w)
	if save >= noOwn {
		drop(in, func(name string) bool { return ownOf(arguments, name) })
		drop(out, func(name string) bool { return s.answering(w.name, name) == 1 })
	}
	var err error
	if t.Input, err = json.Marshal(in); err != nil {
		return Tool{}, err
	}
	if save >= noOutputs || (save >= noRepeats && w.name == schema.RefreshToken) {
		for p := out.Properties.Oldest(); p != nil; p = p.Next() {
			p.Value.Description = ""
		}
	}
	t.Output, err = json.Marshal(out)
	return t, err
}

// drop takes properties out of a schema, which then lets further ones pass.
func drop(from *jsonschema.Schema, rare func(name string) bool) {
	var names []string
	for p := from.Properties.Oldest(); p != nil; p = p.Next() {
		if rare(p.Key) {
			names = append(names, p.Key)
		}
	}
	for _, n := range names {
		from.Properties.Delete(n)
		from.AdditionalProperties = nil
	}
}

// ownOf reports whether only one provider takes the argument.
func ownOf(arguments []schema.Argument, name string) bool {
	return slices.ContainsFunc(arguments, func(a schema.Argument) bool { return a.Name == name && a.Providers == 1 && !a.Required })
}

// answering counts the operations of tool whose answer has the field.
func (s *Set) answering(tool, field string) int {
	n := 0
	for _, p := range s.all {
		for _, op := range p.Operations {
			if op.Tool == tool && slices.ContainsFunc(op.Answer.Fields, func(f schema.Field) bool { return f.Name == field }) {
				n++
			}
		}
	}
	return n
}

// describe joins the words with the providers' lines, of which there are n.
// Lines that do not fit move to the resource, and the description says so.
func (w words) describe(lines []string, n int) string {
	parts := []string{w.about}
	if w.each != "" && len(lines) > 0 {
		parts = append(parts, w.each)
		for _, l := range lines {
			parts = append(parts, "- "+l)
		}
	}
	text := strings.Join(append(parts, w.after), "\n")
	if len(text) <= mostDescription && len(lines) == n {
		return text
	}
	pointer := "What each provider takes: resource " + resourceName + "; a call that lacks something is answered with what it lacks and one that works."
	return strings.Join([]string{w.about, pointer, w.after}, "\n")
}

// output is the schema that results satisfy: our own fields reflected from
// the Go type, and for create_user the document's response fields.
func (s *Set) output(w words) *jsonschema.Schema {
	out := reflect(w.result)
	if w.name == schema.CreateUser {
		s.documented(out, schema.CreateUser)
		if out.Properties.GetPair("id") == nil {
			out.Properties.Set("id", &jsonschema.Schema{Type: "string"})
		}
		return out
	}
	if s.o.Egress != nil {
		out.Properties.Set("egress_url", &jsonschema.Schema{Type: "string"})
	}
	if s.o.Exposure == Token || s.o.Exposure == Full {
		out.Properties.Set("access_token", &jsonschema.Schema{Type: "string", Description: "The bearer token: a secret."})
	}
	if s.full() {
		out.Properties.Set("refresh_token", &jsonschema.Schema{Type: "string", Description: "A secret."})
		s.documented(out, schema.CreateAccessToken)
		s.documented(out, schema.RefreshToken)
	}
	return out
}

// documented adds the response fields that the documents have for tool.
func (s *Set) documented(out *jsonschema.Schema, tool string) {
	for _, p := range s.all {
		for _, op := range p.Operations {
			if op.Tool != tool {
				continue
			}
			for _, f := range op.Answer.Fields {
				if out.Properties.GetPair(f.Name) != nil || (f.Secret && !s.full()) {
					continue
				}
				out.Properties.Set(f.Name, &jsonschema.Schema{Type: f.Type, Description: f.Description})
			}
		}
	}
}

// reflect returns the schema of a result type in the plain dialect.
func reflect(v any) *jsonschema.Schema {
	r := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
	s := r.Reflect(v)
	s.Version = ""
	if s.Properties == nil {
		s.Properties = orderedmap.New[string, *jsonschema.Schema]()
	}
	return s
}

// argumentNames lists the arguments of a tool.
func (s *Set) argumentNames(tool string) []string {
	for i := range s.tools {
		if s.tools[i].Name == tool {
			return s.tools[i].arguments
		}
	}
	return nil
}

// Instructions tell a model that has never seen us what to do first; at most
// 2,000 bytes, since Claude Code cuts at 2 KB.
func (s *Set) Instructions() string {
	if s.o.Egress == nil {
		return instructions
	}
	return instructions + proxyInstructions
}

const proxyInstructions = `

To call a provider's API take the result's egress_url as its base URL, and send Authorization: Bearer with the token_ref where the API wants an access token: curl -H "Authorization: Bearer tok_…" "$egress_url/…". The live token is put in on the way. The address works on this machine alone; tell it to nobody else.`

const instructions = `bankauth obtains open-banking credentials and keeps them in a vault. You work with handles (token_ref), never with secrets: do not ask the user for client ids, secrets, passwords, codes or tokens.

First read the resource bankauth://providers (or call a tool: errors say the same): which providers there are, and which are configured. bankauth://tokens lists the tokens you have already. Then:

1. For a user's accounts at fintecture or flinks call create_access_token with grant_type=authorization_code and no code. The user is asked to consent in a browser. On consent_required show the user consent_url, then call again with the same arguments and consent_ref; it waits for the user. While error.retryable is true, call again.
2. For a finAPI user call create_user; it returns id. Then call create_access_token with grant_type=password and username=id. The password is kept for you.
3. For the application itself use grant_type=client_credentials.
4. Keep the token_ref. When the token has expired, or a call with it was refused, call refresh_token with it; it never changes.

Every error is one JSON object: error.code, error.message, error.hint (the next step), and often error.example (a call that works). Retry only when error.retryable is true, after error.retry_after_seconds where given. On not_configured tell the user which variables to set. On reauthorize a person must consent again at the bank.

bankauth://providers/{name} says what each provider takes; the prompt connect_bank walks you through.`
