package tools_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// listing is a tools/list result as a host reads it.
type listing struct {
	Tools []listedTool `json:"tools"`
}

type listedTool struct {
	Name         string         `json:"name"`
	Title        string         `json:"title"`
	Description  string         `json:"description"`
	InputSchema  map[string]any `json:"inputSchema"`
	OutputSchema map[string]any `json:"outputSchema"`
	Annotations  map[string]any `json:"annotations"`
}

// linter gathers what hosts and models would stumble over. The rules are what
// Claude, Codex, VS Code, Cursor and Gemini are known to accept in common.
type linter struct{ found []string }

func (l *linter) add(rule, where, format string, args ...any) {
	l.found = append(l.found, rule+" "+where+": "+fmt.Sprintf(format, args...))
}

// lint returns what is wrong with a tools/list result; most bounds its bytes.
func lint(list []byte, most int) []string {
	l := &linter{}
	if len(list) > most {
		l.add("B01", "list", "%d bytes, at most %d", len(list), most)
	}
	var all listing
	if err := json.Unmarshal(list, &all); err != nil || len(all.Tools) == 0 {
		l.add("B00", "list", "it has no tools: %v", err)
	}
	types := map[string]string{}
	for i, t := range all.Tools {
		l.tool(t)
		l.enums(t)
		for _, other := range all.Tools[:i] {
			if other.Name == t.Name {
				l.add("N02", t.Name, "two tools have this name")
			} else if share := alike(t.Description, other.Description); share > 0.6 {
				l.add("U01", t.Name, "it reads like %s (%.0f %% of the words)", other.Name, 100*share)
			}
		}
		for name, p := range properties(t.InputSchema) {
			kind := fmt.Sprint(object(p)["type"])
			if was, ok := types[name]; ok && was != kind {
				l.add("U02", t.Name+"."+name, "%s here, %s in another tool", kind, was)
			}
			types[name] = kind
		}
	}
	return l.found
}

var (
	toolName     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	propertyName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
)

func (l *linter) tool(t listedTool) {
	if !toolName.MatchString(t.Name) {
		l.add("N01", t.Name, "not every host takes this name")
	}
	if len(t.Description) < 20 {
		l.add("D01", t.Name, "no description to speak of")
	}
	if len(t.Description) > 1024 {
		l.add("D02", t.Name, "its description has %d bytes, at most 1024", len(t.Description))
	}
	if t.Title == "" {
		l.add("D04", t.Name, "no title")
	}
	for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
		if _, ok := t.Annotations[hint].(bool); !ok {
			l.add("A01", t.Name, "%s is not said", hint)
		}
	}
	l.schema(t.Name, t.InputSchema, true)
	if t.OutputSchema != nil {
		l.schema(t.Name+" result", t.OutputSchema, false)
	}
}

// schema checks one of the two schemas: a flat object in the plain dialect.
func (l *linter) schema(where string, s map[string]any, input bool) {
	if s["type"] != "object" {
		l.add("S01", where, "it is no object")
	}
	if _, ok := s["properties"].(map[string]any); !ok {
		l.add("S02", where, "it has no properties")
	}
	if s["additionalProperties"] != false {
		l.add("S03", where, "it takes anything else")
	}
	for key := range s {
		if !slices.Contains([]string{"type", "properties", "required", "additionalProperties"}, key) {
			l.add("S04", where, "hosts do not know %s here", key)
		}
	}
	l.required(where, s)
	for name, p := range properties(s) {
		at := where + "." + name
		if !propertyName.MatchString(name) {
			l.add("S07", at, "not every host takes this name")
		}
		m, ok := p.(map[string]any)
		if !ok || len(m) == 0 {
			l.add("S08", at, "it is a boolean or empty schema")
			continue
		}
		l.property(at, m, input)
	}
}

func (l *linter) required(where string, s map[string]any) {
	seen := map[any]bool{}
	list, _ := s["required"].([]any)
	for _, name := range list {
		if _, ok := properties(s)[fmt.Sprint(name)]; !ok {
			l.add("S05", where, "it requires %v, which is no property", name)
		}
		if seen[name] {
			l.add("S06", where, "it requires %v twice", name)
		}
		seen[name] = true
	}
}

// property checks one property. What is not in the list of keywords (const,
// format, $ref, oneOf, nullable, pattern, default …) some host drops or refuses.
func (l *linter) property(at string, p map[string]any, input bool) {
	for key := range p {
		if !slices.Contains([]string{"type", "description", "enum", "items"}, key) {
			l.add("S09", at, "hosts do not know %s here", key)
		}
	}
	kind, ok := p["type"].(string)
	switch {
	case !ok:
		l.add("S10", at, "its type is not one word")
	case kind == "array":
		if m, ok := p["items"].(map[string]any); !ok || m["type"] == nil {
			l.add("S11", at, "an array needs items with a type")
		}
	case kind == "object":
		l.add("S12", at, "an object in the object")
	case !slices.Contains([]string{"string", "integer", "number", "boolean"}, kind):
		l.add("S13", at, "%s is no type", kind)
	}
	if enum, given := p["enum"]; given {
		l.enum(at, kind, enum)
	}
	text, _ := p["description"].(string)
	if input && len(text) < 5 {
		l.add("D03", at, "no description")
	}
	if len(text) > 1024 {
		l.add("D05", at, "its description has %d bytes, at most 1024", len(text))
	}
}

func (l *linter) enum(at, kind string, enum any) {
	values, ok := enum.([]any)
	if !ok || len(values) == 0 {
		l.add("S14", at, "its enum is empty")
	}
	if kind != "string" {
		l.add("S15", at, "an enum of %ss", kind)
	}
	seen := map[string]bool{}
	for _, v := range values {
		s, ok := v.(string)
		if !ok || s == "" {
			l.add("S16", at, "its enum holds something else than a text")
		}
		if seen[s] {
			l.add("S17", at, "its enum holds %s twice", s)
		}
		seen[s] = true
	}
}

// enums checks that each value a model may choose is spoken of.
func (l *linter) enums(t listedTool) {
	texts := t.Description
	for _, p := range properties(t.InputSchema) {
		texts += " " + fmt.Sprint(object(p)["description"])
	}
	for name, p := range properties(t.InputSchema) {
		values, _ := object(p)["enum"].([]any)
		for _, v := range values {
			if !strings.Contains(texts, fmt.Sprint(v)) {
				l.add("E01", t.Name+"."+name, "no description speaks of %v", v)
			}
		}
	}
}

func properties(s map[string]any) map[string]any { return object(s["properties"]) }

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

var stop = strings.Fields("a an and as at by for from in is it its of on or that the to with call which one")

// alike is the share of content words that two texts have in common (Jaccard).
func alike(a, b string) float64 {
	words := func(s string) map[string]bool {
		set := map[string]bool{}
		for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }) {
			if !slices.Contains(stop, w) {
				set[w] = true
			}
		}
		return set
	}
	x, y := words(a), words(b)
	common := 0
	for w := range x {
		if y[w] {
			common++
		}
	}
	return float64(common) / float64(max(1, len(x)+len(y)-common))
}
