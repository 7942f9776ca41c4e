package schema_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// canary stands in every value; no fault may show it.
const canary = "c4n4ry"

// way is one way of calling a tool.
type way struct {
	provider *schema.Provider
	op       *schema.Operation
	grant    *schema.Grant
}

func (w way) String() string {
	return strings.Join([]string{w.provider.Name, w.op.Tool, w.grant.Name}, "/")
}

// ways lists every bundled provider × tool × grant.
func ways(t *testing.T) []way {
	t.Helper()
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	var ws []way
	for _, p := range all {
		for _, op := range p.Operations {
			if op.Tool == schema.Revoke {
				continue // no tool: it has no arguments
			}
			for i := range op.Grants {
				ws = append(ws, way{p, op, &op.Grants[i]})
			}
		}
	}
	if len(ws) != 10 {
		t.Fatalf("%d ways of calling", len(ws))
	}
	return ws
}

// valid are the arguments of a call that fits, as a caller sends them.
func (w way) valid() map[string]any {
	args := w.provider.Example(w.op, w.grant)
	delete(args, "provider")
	delete(args, "grant_type")
	return args
}

func (w way) check(args map[string]any, full bool) *fault.Fault {
	return w.provider.Check(w.op, w.grant, args, full)
}

// refused checks that args are refused in the way that a caller can act on.
func (w way) refused(t *testing.T, args map[string]any, about string) *fault.Fault {
	t.Helper()
	f := w.check(args, false)
	if f == nil {
		t.Fatalf("%v: accepted", args)
	}
	if f.Code != fault.InvalidArgument || f.Provider != w.provider.Name || f.Hint == "" || f.Cause != nil {
		t.Errorf("unexpected fault %+v", f)
	}
	if !strings.Contains(f.Message, about) {
		t.Errorf("%q does not name %q", f.Message, about)
	}
	b, err := json.Marshal(f)
	if err != nil || strings.Contains(string(b), canary) {
		t.Errorf("the fault quotes a value: %s %v", b, err)
	}
	if fixed := w.correct(args, f); w.check(fixed, false) != nil {
		t.Errorf("what the fault says does not help: %v", w.check(fixed, false))
	}
	return f
}

// correct does what a model does with a fault: leave out what is not allowed,
// add what is missing, and take the example's value for what is wrong.
func (w way) correct(args map[string]any, f *fault.Fault) map[string]any {
	fixed := maps.Clone(args)
	for _, name := range f.NotAllowed {
		delete(fixed, name)
	}
	for _, name := range f.Required {
		fixed[name] = f.Example[name]
	}
	_, wrong, _ := strings.Cut(f.Message, "; ")
	for name := range fixed {
		if !strings.Contains("; "+wrong, "; "+name+" ") {
			continue
		}
		if v, ok := f.Example[name]; ok {
			fixed[name] = v
		} else {
			delete(fixed, name)
		}
	}
	return fixed
}

func TestExamplesFit(t *testing.T) {
	for _, w := range ways(t) {
		if f := w.check(w.valid(), false); f != nil {
			t.Errorf("%v: %v", w, f)
		}
		if example := w.provider.Example(w.op, w.grant); example["provider"] != w.provider.Name || (w.grant.Name != "" && example["grant_type"] != w.grant.Name) {
			t.Errorf("%v: unexpected example %v", w, example)
		}
		for _, name := range w.grant.Secrets {
			if w.valid()[name] != nil {
				t.Errorf("%v: the example shows the secret %s", w, name)
			}
		}
	}
}

func TestExampleIsTheCallersOwn(t *testing.T) {
	w := ways(t)[0]
	w.provider.Example(w.op, w.grant)["code"] = canary
	if w.provider.Example(w.op, w.grant)["code"] == canary {
		t.Error("an example can be changed from outside")
	}
}

func TestCheckMissing(t *testing.T) {
	for _, w := range ways(t) {
		for _, name := range w.grant.Required {
			args := w.valid()
			delete(args, name)
			f := w.refused(t, args, "missing: "+name)
			if !slices.Equal(f.Required, []string{name}) || f.NotAllowed != nil {
				t.Errorf("%v without %s: unexpected fault %+v", w, name, f)
			}
		}
		if len(w.grant.Required) > 1 {
			if f := w.refused(t, map[string]any{}, "missing: "); !slices.Equal(f.Required, w.grant.Required) {
				t.Errorf("%v: all missing arguments must be named at once: %v", w, f.Required)
			}
		}
	}
}

// TestCheckForeign gives each call each argument that any provider has and
// this call does not, and one that nobody has.
func TestCheckForeign(t *testing.T) {
	names := map[string]bool{"nobody_has_this": true}
	for _, w := range ways(t) {
		for _, f := range w.op.Fields {
			names[f.Argument] = true
		}
	}
	tried := 0
	for _, w := range ways(t) {
		for name := range names {
			if slices.Contains(w.grant.Arguments, name) {
				continue
			}
			tried++
			args := w.valid()
			args[name] = canary
			f := w.refused(t, args, "not allowed here: "+name)
			if !slices.Equal(f.NotAllowed, []string{name}) || f.Required != nil {
				t.Errorf("%v with %s: unexpected fault %+v", w, name, f)
			}
			if wantFull := slices.Contains(w.grant.Secrets, name); (w.check(args, true) == nil) != wantFull {
				t.Errorf("%v with %s in full exposure: %v", w, name, w.check(args, true))
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d tried", tried)
	}
}

// breaks lists values that do not fit a field, with what the fault must say.
func breaks(t *testing.T, f *schema.Field) map[string]any {
	t.Helper()
	var s struct {
		Enum                 []any
		MinLength, MaxLength int
		Pattern, Format      string
	}
	if err := json.Unmarshal(f.Schema, &s); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{"must be a " + f.Type: map[string]any{canary: canary}}
	if f.Type != "string" {
		all["must be a "+f.Type] = canary
		return all
	}
	if len(s.Enum) > 0 {
		all["must be one of "+fmt.Sprint(s.Enum[0])] = canary
	}
	if s.MinLength > 0 {
		all["must have at least"] = ""
	}
	if s.MaxLength > 0 {
		all[fmt.Sprintf("must have at most %d character", s.MaxLength)] = strings.Repeat(canary, s.MaxLength)
	}
	if s.Pattern != "" {
		all["(pattern "] = canary + "\x00"
	}
	if s.Format != "" {
		all["must be a valid "+s.Format] = canary + " not"
	}
	return all
}

func TestCheckValues(t *testing.T) {
	tried := 0
	for _, w := range ways(t) {
		for _, name := range w.grant.Arguments {
			for says, v := range breaks(t, w.op.Field(name)) {
				tried++
				args := w.valid()
				args[name] = v
				f := w.refused(t, args, name+" ")
				if !strings.Contains(f.Message, says) || f.NotAllowed != nil || f.Required != nil {
					t.Errorf("%v %s: %q does not say %q", w, name, f.Message, says)
				}
			}
		}
	}
	if tried < 25 {
		t.Errorf("only %d tried", tried)
	}
}

// TestCheckManyAtOnce: one retry must do, however much is wrong.
func TestCheckManyAtOnce(t *testing.T) {
	for _, w := range ways(t) {
		args := map[string]any{"zeal": canary, "alpha": canary}
		for _, name := range w.grant.Arguments {
			if !slices.Contains(w.grant.Required, name) {
				args[name] = []any{canary}
			}
		}
		f := w.refused(t, args, "not allowed here: alpha, zeal")
		if !slices.Equal(f.Required, w.grant.Required) {
			t.Errorf("%v: %v is missing, the fault says %v", w, w.grant.Required, f.Required)
		}
	}
}

// TestCheckTypes: JSON's types as they come, none taken for another.
func TestCheckTypes(t *testing.T) {
	f := base(t)
	f.edit(t, "<<< bank.yaml\n{type: integer, minimum: 18}\n===\n{type: integer, minimum: 18, maximum: 120}\n                ratio: {type: number}\n                gone: {type: boolean}\n>>>")
	p, err := f.compile()
	if err != nil {
		t.Fatal(err)
	}
	op, g, _ := p.Operation(schema.CreateUser, "")
	for _, c := range []struct {
		name  string
		value any
		says  string
	}{
		{"age", 18.0, ""}, {"age", json.Number("18"), ""}, {"age", 18.5, "age must be an integer"}, {"age", "18", "age must be an integer"},
		{"age", 17.0, "age must be at least 18"}, {"age", 121.0, "age must be at most 120"}, {"age", true, "age must be an integer"},
		{"age", json.Number("1e400"), "age must be at most 120"},
		{"ratio", 0.5, ""}, {"ratio", "0.5", "ratio must be a number"}, {"gone", false, ""}, {"gone", "false", "gone must be a boolean"},
		{"id", "x", ""}, {"id", 1.0, "id must be a string"}, {"id", nil, "id must be a string"},
	} {
		got := ""
		if f := p.Check(op, g, map[string]any{"id": "x", c.name: c.value}, false); f != nil {
			got = f.Message
		}
		if (c.says == "") != (got == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s=%v: %q, want %q", c.name, c.value, got, c.says)
		}
	}
}

// TestEveryFieldCanBeChecked: the schemas in the binary compile.
func TestEveryFieldCanBeChecked(t *testing.T) {
	tried := 0
	for _, w := range ways(t) {
		for _, name := range slices.Concat(w.grant.Arguments, w.grant.Secrets) {
			tried++
			f := w.check(map[string]any{name: []any{}}, true)
			if f == nil || !strings.Contains(f.Message, name+" must be a") {
				t.Errorf("%v %s: %v", w, name, f)
			}
		}
	}
	if tried < 30 {
		t.Errorf("only %d tried", tried)
	}
}
