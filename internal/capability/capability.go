// Package capability writes, checks and reads capability documents: files that
// say which HTTP operations a capability consumes and as which REST, MCP and
// skill adapters it exposes them. The format is Naftiko's, whose framework has
// been renamed Ikanos; both dialects are spoken.
//
// What is written comes from the operations that the tools come from, so that
// no parameter stands twice.
package capability

import (
	"slices"

	"bankauth/schema"
)

// Format is a dialect. The two differ in words and in that what has a name
// stands in lists in the one and in maps in the other.
type Format string

// The dialects, each at the version that is written and read. A version's
// schema accepts no other version.
const (
	Naftiko Format = "naftiko" // 1.0.0-alpha2, which the files of APIs.io declare
	Ikanos  Format = "ikanos"  // 1.0.0-beta4
)

// Formats returns the dialects.
func Formats() []Format { return []Format{Naftiko, Ikanos} }

// Version returns the version that a document of this dialect declares.
func (f Format) Version() string {
	if f == Naftiko {
		return "1.0.0-alpha2"
	}
	return "1.0.0-beta4"
}

// dialect is what the two call differently.
type dialect struct {
	lists           bool // named things in lists, not in maps
	label, function string
}

func (f Format) dialect() dialect {
	if f == Naftiko {
		return dialect{lists: true, label: "label", function: "functions"}
	}
	return dialect{label: "display", function: "flows"}
}

// Combined is the surface that has all providers' operations.
const Combined = "open-banking-credentials"

// The parts of a provider's surface.
const (
	partOAuth = "oauth" // tokens
	partUsers = "users"
)

// partOf returns the part that a tool's operations belong to, or "" for an
// operation that serves none of the tools.
func partOf(tool string) string {
	switch tool {
	case schema.CreateAccessToken, schema.RefreshToken:
		return partOAuth
	case schema.CreateUser:
		return partUsers
	}
	return ""
}

// Surfaces names what can be exported: for each provider its tokens and, where
// it has some, its users; then all of it.
func Surfaces(providers []*schema.Provider) []string {
	var names []string
	for _, p := range providers {
		for _, op := range p.Operations {
			if part := partOf(op.Tool); part != "" && !slices.Contains(names, p.Name+"-"+part) {
				names = append(names, p.Name+"-"+part)
			}
		}
	}
	return append(names, Combined)
}
