package capability

import (
	"fmt"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/yamlfile"
	"bankauth/schema"
)

// Deployment is what a document asks a server of our operations to be.
type Deployment struct {
	Format   Format
	Adapters []Adapter // at least one, in the document's order
}

// Kinds of an Adapter.
const (
	REST    = kindREST
	MCP     = kindMCP
	Skills  = kindSkill
	Control = kindControl
)

// Adapter is one server. No two have the same port, and one at most speaks
// over stdio.
type Adapter struct {
	Kind        string // REST, MCP, Skills or Control
	Namespace   string // "" for control
	Address     string // loopback where the document names none
	Port        int    // 0: MCP over stdio
	Description string // MCP: what a client is told as instructions
	Tools       []Tool // MCP tools, or REST operations
	Skills      []Skill
}

// Stdio reports whether the adapter speaks over stdin and stdout.
func (a Adapter) Stdio() bool { return a.Kind == kindMCP && a.Port == 0 }

// Tool is one of our operations under the name that the document gives it.
type Tool struct {
	Provider    string
	Environment string // of the provider; the one whose server the document names
	Tool        string // schema.CreateAccessToken, …
	Grant       string // "": the caller chooses by grant_type

	Name        string         // as clients know it
	Title       string         // "": ours
	Description string         // "": ours
	Inputs      []Input        // arguments that a caller may give
	Fixed       map[string]any // arguments that the document gives; nil for none
	Hints       Hints
	Method      string // REST only
	Path        string // REST only, as the document has it
	Line        int    // of the document
}

// Input is an argument as the document shows it to callers.
type Input struct {
	Name, Type, Description string
	Required                bool // always false where REST says it: the format has no word for it there
}

// Hints are nil where the document says nothing; ours stand then.
type Hints struct{ ReadOnly, Destructive, Idempotent, OpenWorld *bool }

// Skill is an entry of a skill catalogue.
type Skill struct {
	Name        string
	Description string
	Front       map[string]any // license, compatibility and the like, as the document has them
	Tools       []SkillTool
}

// SkillTool is a tool that a skill tells of.
type SkillTool struct {
	Name, Description string
	Namespace, Action string // the adapter that has it, and its name there
}

// Read reads what a document asks for. A document that has errors, or asks for
// something that our operations cannot give, is a *fault.Fault that names all
// of it.
func Read(data []byte, providers []*schema.Provider) (*Deployment, error) {
	for _, d := range Check(data, providers) {
		if d.Severity == Error {
			return nil, fault.New(fault.InvalidArgument, fmt.Sprintf("the capability document has a mistake on line %d: %s", d.Line, d.Text), "bankauth capability check lists all of them, and what to write instead")
		}
	}
	root, problems := yamlfile.Read(data, "a capability document")
	var r report
	format, ok := r.format(root)
	if len(problems) > 0 || !ok { // Check has said so
		return nil, fault.New(fault.InvalidArgument, "this is no capability document", "bankauth capability check says why")
	}
	h := honourer{doc: parse(format, root), providers: providers}
	d := h.deployment()
	if len(h.cannot) > 0 {
		return nil, fault.New(fault.InvalidArgument, "bankauth cannot do all that the capability document asks for: "+strings.Join(h.cannot, "; "), "take that out of the document, or run it on an engine that can")
	}
	return d, nil
}
