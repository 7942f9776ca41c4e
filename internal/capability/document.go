package capability

// document is a capability document of either dialect, without what tells
// them apart. at is the line in the file that was read, 0 where none was.
type document struct {
	format     Format
	info       info
	binds      []bind
	consumes   []consumed
	aggregates []aggregate
	exposes    []adapter
}

type info struct {
	label, description string
	tags               []string
	at                 int
}

// bind names secrets and settings that come from outside.
type bind struct {
	namespace, description, location string
	keys                             []member // variable and the name outside
	at                               int
}

// member is a key and its value, in the document's order.
type member struct {
	name, value string
	literal     bool // a number or a boolean, not a text
	at          int
}

// consumed is one HTTP API.
type consumed struct {
	namespace, description, baseURI string
	auth                            *auth
	inputs                          []parameter
	operations                      []operation
	imported                        bool // it only names another file
	at                              int
}

type auth struct {
	kind    string // basic, bearer, apikey, digest, oauth2
	members []member
	at      int
}

// operation is one request of a consumed API.
type operation struct {
	resource, path string
	name, method   string
	description    string
	inputs         []parameter
	body           *body
	outputs        []parameter
	at, pathAt     int
}

// parameter is an input or an output. Not every place has every field.
type parameter struct {
	name, in, kind     string
	description, value string
	optional           bool
	at                 int
}

// body is what a request carries: members, or a text.
type body struct {
	kind string // json, formUrlEncoded, …; "" for a text
	data []member
	text string
	at   int
}

type aggregate struct {
	label, namespace string
	functions        []function
	at               int
}

// action is what functions, MCP tools and REST operations have in common.
type action struct {
	name, label, description string
	inputs                   []parameter
	ref, call                string
	with                     []member
	steps                    []step
	mock                     bool // it answers with values of its own
	at                       int
}

type step struct {
	kind, name, call string
	with             []member
	at               int
}

// function is a piece of an aggregate, which adapters refer to.
type function struct {
	action
	safe, idempotent, cacheable *bool
}

// Kinds of adapters.
const (
	kindREST    = "rest"
	kindMCP     = "mcp"
	kindSkill   = "skill"
	kindControl = "control"
)

// adapter is one server that the capability exposes.
type adapter struct {
	kind, namespace, address string
	port                     int
	transport                string // MCP only: http or stdio
	description              string
	auth                     *auth
	resources                []resource // REST only
	tools                    []tool     // MCP only
	others                   []string   // further keys of MCP and control
	skills                   []skill    // skill only
	imported                 bool
	at                       int
}

type resource struct {
	name, path, description string
	inputs                  []parameter
	operations              []tool
	forward                 bool
	at                      int
}

// tool is an MCP tool, or an operation of a REST resource.
type tool struct {
	action
	method string // REST only
	hints  hints  // MCP only
}

// hints are nil where the document says nothing.
type hints struct{ readOnly, destructive, idempotent, openWorld *bool }

type skill struct {
	name, description string
	location          string
	front             map[string]any // what else its front matter says
	tools             []skillTool
	at                int
}

type skillTool struct {
	name, description string
	namespace, action string // where it comes from
	instruction       string
	at                int
}
