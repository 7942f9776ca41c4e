// Package schema turns OpenAPI operations into tool schemas, argument checks
// and request plans.
//
// A provider is described by two files: its OpenAPI document, as the provider
// publishes it, and an OpenAPI Overlay that adds our x-bankauth fields. Both
// are compiled into a Provider, plain data that refers to nothing outside
// itself. The same Operation publishes the schema, checks the arguments and
// plans the request, so that the three cannot disagree.
package schema

import (
	"encoding/json"
	"sync"

	"bankauth/internal/fault"
)

// The tools that an operation may serve.
const (
	CreateAccessToken = "create_access_token"
	RefreshToken      = "refresh_token"
	CreateUser        = "create_user"
)

// Revoke is what an operation serves that ends a token. It is no tool.
const Revoke = "revoke"

// The grants that the tools know; a provider may have others of its own.
const (
	GrantClientCredentials = "client_credentials"
	GrantAuthorizationCode = "authorization_code"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
)

// What we hold and fill in by ourselves. A field that holds one of these is
// an argument in full exposure only.
const (
	HeldClientID     = "client_id"
	HeldClientSecret = "client_secret"
	HeldPassword     = "password"
	HeldRefreshToken = "refresh_token"
	HeldCodeVerifier = "code_verifier" // RFC 7636, of a consent that we opened
	HeldToken        = "token"         // the one to be revoked; Revoke only
)

// Provider is what a provider's two files say, compiled. Its JSON, and that of
// its parts, is for tests to show.
type Provider struct {
	Name         string        `json:"name"`  // as the tools say it: ^[a-z][a-z0-9-]*$
	Title        string        `json:"title"` // as people say it
	Document     string        `json:"document"`
	Environments []Environment `json:"environments"` // at least one; the first is the default
	// OwnServers: the document has servers that no environment names, of which a
	// customer may have been given one.
	OwnServers  bool         `json:"own_servers,omitempty"`
	Credentials Credentials  `json:"credentials"`
	RequestID   string       `json:"request_id,omitempty"` // header that carries our correlation id; "" for none
	Rotation    Rotation     `json:"rotation"`
	Errors      Errors       `json:"errors"`
	Operations  []*Operation `json:"operations"`
}

// Environment is a server of the document under the name the settings use.
type Environment struct {
	Name string `json:"name"` // sandbox, production
	URL  string `json:"url"`  // https, no trailing slash, variables filled in
}

// Credentials says what the provider calls the two things an operator gets
// from it, so that our messages use its words.
type Credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Help         string `json:"help,omitempty"` // where an operator finds them
}

// Rotation says what becomes of a refresh token that is spent.
type Rotation struct {
	Mode  string `json:"mode"`            // none, grace, strict, unknown
	Grace int    `json:"grace,omitempty"` // seconds in which the old one still works; mode grace only
}

// Errors says where a failed answer keeps its code and what each code means.
type Errors struct {
	// Codes are JSON Pointers into the body, tried in order; the first that
	// leads to a string is the provider's code.
	Codes []string `json:"codes"`
	// Rules are tried in order; the first that fits decides. An answer that
	// fits none is judged by its status alone.
	Rules []Rule `json:"rules"`
}

// Rule gives a failed answer its fault. An empty condition fits everything.
type Rule struct {
	Code   string     `json:"code,omitempty"`
	Status int        `json:"status,omitempty"`
	Tool   string     `json:"tool,omitempty"`
	Grant  string     `json:"grant,omitempty"`
	Fault  fault.Code `json:"fault"`
	Say    string     `json:"say"`            // our message
	Hint   string     `json:"hint,omitempty"` // the next step
}

// Operation is one operation of the document and the tool that it serves.
type Operation struct {
	ID       string            `json:"id"` // operationId
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Tool     string            `json:"tool"`  // CreateAccessToken …, or Revoke
	Media    string            `json:"media"` // MediaForm or MediaJSON
	Auth     Auth              `json:"auth"`
	Headers  map[string]string `json:"headers,omitempty"`  // sent with every request
	Fields   []Field           `json:"fields"`             // of the request body, in the document's order
	Required []string          `json:"required,omitempty"` // the document's list
	Grants   []Grant           `json:"grants"`             // at least one; one of create_user, and of Revoke for tokens of every grant, has no name
	Answer   Answer            `json:"answer"`

	checksMade sync.Once
	checks     map[string]*valueCheck // by Field.Name
}

// Media types of a request body.
const (
	MediaForm = "application/x-www-form-urlencoded"
	MediaJSON = "application/json"
)

// Auth says where the client's credentials go.
type Auth struct {
	Style string `json:"style"` // AuthBasic …
	// Header names, AuthHeader only.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// Grant whose token is fetched first and sent as bearer, AuthBearer only.
	Grant string `json:"grant,omitempty"`
}

// Auth styles.
const (
	AuthBasic  = "basic"  // RFC 6749 §2.3.1, Authorization: Basic
	AuthBody   = "body"   // in the fields whose Held says so
	AuthHeader = "header" // in two headers of their own
	AuthBearer = "bearer" // not the credentials but a token got with them
	AuthToken  = "token"  // the token that is to be revoked, as bearer; Revoke only
	AuthNone   = "none"
)

// Field is one property of a request body.
type Field struct {
	Name        string          `json:"name"`     // on the wire
	Argument    string          `json:"argument"` // in the tools
	Type        string          `json:"type"`     // string, integer, number or boolean
	Description string          `json:"description,omitempty"`
	Enum        []string        `json:"enum,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"` // JSON Schema of the value, references resolved
	Secret      bool            `json:"secret,omitempty"` // an argument in full exposure only; never shown
	Held        string          `json:"held,omitempty"`   // HeldClientID …; "" when only a caller can give it

	line int // in the document; 0 when it is not known
}

// Grant is one way of calling an operation.
type Grant struct {
	Name      string            `json:"name,omitempty"`      // grant_type; "" for an operation without grants
	Arguments []string          `json:"arguments,omitempty"` // arguments the caller may give
	Required  []string          `json:"required,omitempty"`  // of those, the ones it must give
	Secrets   []string          `json:"secrets,omitempty"`   // arguments that full exposure adds
	Fixed     map[string]string `json:"fixed,omitempty"`     // wire name → text that is sent where no argument is; "{client_id}" stands for the credential
	Note      string            `json:"note,omitempty"`      // a few words for the model, beside the arguments
	Example   map[string]any    `json:"example,omitempty"`   // arguments of a call that Check accepts
	Consent   *Consent          `json:"consent,omitempty"`   // how a person is asked where no code is given; nil: nobody can be
}

// Answer says where a successful answer keeps what we look for. Places are
// JSON Pointers (RFC 6901); "" means that the answer has no such thing.
type Answer struct {
	Statuses     []int    `json:"statuses"` // the document's 2xx responses
	AccessToken  string   `json:"access_token,omitempty"`
	TokenType    string   `json:"token_type,omitempty"`
	RefreshToken string   `json:"refresh_token,omitempty"`
	Scope        string   `json:"scope,omitempty"`
	Lifetime     Lifetime `json:"lifetime"`
	Subject      string   `json:"subject,omitempty"` // "jwt": the access token is one, its sub is the subject
	// Fields are the document's response properties, for create_user's result
	// and for full exposure.
	Fields []Field `json:"fields,omitempty"`
	// User is where a created user's id stands; create_user only.
	User string `json:"user,omitempty"`
	// Password is where a created user's password stands; create_user only.
	Password string `json:"password,omitempty"`
}

// Lifetime says how an answer tells how long its token lives.
type Lifetime struct {
	At      string `json:"at,omitempty"`      // JSON Pointer
	Unit    string `json:"unit,omitempty"`    // UnitSeconds (from now) or UnitTime (RFC 3339 or Unix seconds)
	Zero    string `json:"zero,omitempty"`    // what 0 means: never, unknown
	Missing string `json:"missing,omitempty"` // what no value means: never, unknown
	Assume  int    `json:"assume,omitempty"`  // seconds to take where the end is unknown; 0: leave it unknown
}

// Units of a lifetime.
const (
	UnitSeconds = "seconds"
	UnitTime    = "time"
)

// Environment returns the environment called name, or false.
func (p *Provider) Environment(name string) (Environment, bool) {
	for _, e := range p.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Signs reports whether a call to the provider wants a signature, and so a
// private key.
func (p *Provider) Signs() bool {
	for _, op := range p.Operations {
		for _, g := range op.Grants {
			if g.Consent != nil && g.Consent.Sign != "" {
				return true
			}
		}
	}
	return false
}

// Operation returns the operation and the grant that serve tool and grant. An
// operation without grants serves grant "".
func (p *Provider) Operation(tool, grant string) (*Operation, *Grant, bool) {
	for _, op := range p.Operations {
		if op.Tool != tool {
			continue
		}
		for i := range op.Grants {
			if op.Grants[i].Name == grant {
				return op, &op.Grants[i], true
			}
		}
	}
	return nil, nil, false
}

// Revocation returns the operation that ends a token of the given grant, or
// false where the provider has no way to do so.
func (p *Provider) Revocation(grant string) (*Operation, *Grant, bool) {
	if op, g, ok := p.Operation(Revoke, grant); ok {
		return op, g, true
	}
	return p.Operation(Revoke, "")
}

// Grants returns the names of the grants with which tool can be called, in
// the document's order; nil when the provider does not serve it at all.
func (p *Provider) Grants(tool string) []string {
	var names []string
	for _, op := range p.Operations {
		if op.Tool != tool {
			continue
		}
		for _, g := range op.Grants {
			names = append(names, g.Name)
		}
	}
	return names
}

// Field returns the request field with the given argument name, or nil.
func (op *Operation) Field(argument string) *Field {
	for i := range op.Fields {
		if op.Fields[i].Argument == argument {
			return &op.Fields[i]
		}
	}
	return nil
}

// HeldField returns the field that holds what, or nil.
func (op *Operation) HeldField(what string) *Field {
	for i := range op.Fields {
		if op.Fields[i].Held == what {
			return &op.Fields[i]
		}
	}
	return nil
}
