package capability

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
	"bankauth/schema"
)

// Severity says how bad a Defect is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // a file with one cannot be loaded, or does not do what it says
	Warning Severity = "warning" // it works, and somebody will stumble over it
)

// Defect is something wrong in a document, in words for its author. No value
// of the document is quoted but names, references and placeholders.
type Defect struct {
	Line     int // 0: not known
	Severity Severity
	Rule     string // the rule's name, for machines
	Text     string // what is wrong
	Instead  string // what to write instead
}

// In returns the defect as two lines for a person: where it is and what it
// is, and below, what to write instead.
func (d Defect) In(file string) string {
	where := file
	if d.Line > 0 { // else the file as a whole
		where += ":" + strconv.Itoa(d.Line)
	}
	return fmt.Sprintf("%s: %s: %s (%s)\n  write: %s\n", where, d.Severity, d.Text, d.Rule, d.Instead)
}

// Check says what is wrong with a document, in the order of its lines: what
// its version's schema refuses, what the format's own lint rules find, and
// what would not work: references that lead nowhere, variables that nothing
// fills, and, for an operation that one of the providers has, requests that it
// would refuse. Nothing wrong is nil.
func Check(data []byte, providers []*schema.Provider) []Defect {
	root, problems := yamlfile.Read(data, "a capability document: it must begin with naftiko: "+Naftiko.Version()+" or ikanos: "+Ikanos.Version())
	if len(problems) > 0 {
		var all []Defect
		for _, p := range problems {
			all = append(all, Defect{p.Line, Error, "yaml", p.Text, "make it one YAML mapping, with each key once"})
		}
		return all
	}
	var r report
	if format, ok := r.format(root); ok {
		r.schema(format, root)
		doc := parse(format, root)
		r.lint(doc)
		r.references(doc)
		r.variables(doc)
		r.coverage(doc)
		r.known(doc, providers)
	}
	slices.SortStableFunc(r.found, func(a, b Defect) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Instead, b.Instead))
	})
	return slices.Compact(r.found)
}

// report gathers what is found.
type report struct{ found []Defect }

func (r *report) add(line int, s Severity, rule, instead, format string, args ...any) {
	r.found = append(r.found, Defect{line, s, rule, fmt.Sprintf(format, args...), instead})
}

// format finds the dialect, and reports where it is none that we know.
func (r *report) format(root *yaml.Node) (Format, bool) {
	var found Format
	for _, f := range Formats() {
		n := yamlfile.Child(root, string(f))
		switch {
		case n == nil:
		case found != "":
			r.add(n.Line, Error, "version", "keep one of the two", "a document declares either naftiko or ikanos, and this one both")
			return "", false
		case n.Value != f.Version():
			r.add(n.Line, Error, "version", string(f)+": "+f.Version()+others(f), "this version of the format is not known here, and each version's schema refuses the others")
			return "", false
		default:
			found = f
		}
	}
	if found == "" {
		r.add(root.Line, Error, "version", "begin with naftiko: "+Naftiko.Version()+" or ikanos: "+Ikanos.Version(), "the document does not say which format it is in")
	}
	return found, found != ""
}

// others says what else goes with a change of the version.
func others(f Format) string {
	if f == Ikanos {
		return " (or naftiko: " + Naftiko.Version() + ", with lists in place of maps)"
	}
	return "; older versions call binds externalRefs (0.4, 0.5) and REST adapters api (0.4)"
}
