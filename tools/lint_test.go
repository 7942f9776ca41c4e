package tools_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bankauth/schema"
	"bankauth/tools"
)

// clean lints a list and passes it through the hosts. but names a rule and a
// place that do not count.
func clean(t *testing.T, list []byte, most int, but ...string) {
	t.Helper()
	for _, found := range lint(list, most) {
		if !slices.ContainsFunc(but, func(b string) bool { return strings.HasPrefix(found, b) }) {
			t.Error(found)
		}
	}
	var all listing
	if err := json.Unmarshal(list, &all); err != nil {
		t.Fatal(err)
	}
	for _, tool := range all.Tools {
		for _, l := range lost(tool) {
			t.Error(l)
		}
	}
}

func TestListIsClean(t *testing.T) {
	for _, e := range []tools.Exposure{tools.Handle, tools.Token, tools.Full} {
		t.Run(string(e), func(t *testing.T) {
			var but []string
			if e == tools.Full { // read by programs, which choose a provider by themselves
				but = []string{"E01 create_access_token.provider", "E01 create_user.provider", "E01 refresh_token.provider"}
			}
			clean(t, listed(t, open(t, exposing(e)).Set), mostList, but...)
			clean(t, listed(t, open(t, exposing(e), proxied).Set), mostList, but...)
		})
	}
	t.Run("with a proxy", func(t *testing.T) {
		list := listed(t, open(t, proxied).Set)
		clean(t, list, mostList)
		if n := strings.Count(string(list), `"egress_url"`); n != 2 {
			t.Errorf("egress_url stands in %d schemas", n)
		}
	})
	t.Run("with a third party", func(t *testing.T) {
		h, _ := withNorrbank(t)
		clean(t, listed(t, h.Set), mostList)
	})
}

func TestInstructionsFit(t *testing.T) {
	for names, text := range map[string]string{
		"": open(t).Instructions(), "egress_url": open(t, proxied).Instructions(),
	} {
		if n := len(text); n > 2000 {
			t.Errorf("the instructions have %d bytes; Claude Code cuts at 2 KB", n)
		}
		for _, name := range []string{schema.CreateAccessToken, schema.RefreshToken, schema.CreateUser, "token_ref", "bankauth://providers", names} {
			if !strings.Contains(text, name) {
				t.Errorf("the instructions do not speak of %s", name)
			}
		}
	}
}

// TestEachRuleOfTheProvidersIsSaid: what a provider's call must and may have
// stands in exactly one line of the tool's description.
func TestEachRuleOfTheProvidersIsSaid(t *testing.T) {
	h := open(t)
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range h.Tools() {
		if tool.Name == schema.RefreshToken {
			continue
		}
		for _, p := range all {
			for _, grant := range p.Grants(tool.Name) {
				_, g, _ := p.Operation(tool.Name, grant)
				line := "\n- " + strings.TrimSpace(p.Name+" "+grant)
				if len(g.Arguments) > 0 {
					line += ": " + g.Signature()
				}
				if strings.Count(tool.Description, line) != 1 {
					t.Errorf("%s: %q is not said once", tool.Name, line)
				}
			}
		}
	}
}

// TestExamplesAreExecuted sends every example that a description, a resource
// or an error can show.
func TestExamplesAreExecuted(t *testing.T) {
	h := open(t)
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, p := range all {
		for _, op := range p.Operations {
			if op.Tool == schema.RefreshToken || op.Tool == schema.Revoke {
				continue
			}
			for i := range op.Grants {
				args, err := json.Marshal(p.Example(op, &op.Grants[i]))
				if err != nil {
					t.Fatal(err)
				}
				before := h.sim.Bank(p.Name).Truth().Requests
				out, failed := h.call(op.Tool, string(args))
				e := object(out["error"])
				code := e["code"]
				// A code of an example is spent, and its user is nobody's; the call is fit to be sent.
				switch {
				case !failed, code == "reauthorize" && op.Grants[i].Name == schema.GrantAuthorizationCode:
					if h.sim.Bank(p.Name).Truth().Requests == before {
						t.Errorf("%s %s: nothing was sent", op.Tool, args)
					}
					sent++
				case e["message"] == "no password is held for this username":
				default:
					t.Errorf("%s %s: %v", op.Tool, args, e)
				}
			}
		}
	}
	if sent != 6 {
		t.Errorf("%d examples were sent, want 6", sent)
	}
}

// TestTheLinterFindsIt: each rule is broken once.
func TestTheLinterFindsIt(t *testing.T) {
	good := func() map[string]any {
		var list map[string]any
		if err := json.Unmarshal(listed(t, open(t).Set), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	tool := func(l map[string]any) map[string]any { return object(l["tools"].([]any)[0]) }
	input := func(l map[string]any) map[string]any { return object(tool(l)["inputSchema"]) }
	code := func(l map[string]any) map[string]any { return object(properties(input(l))["code"]) }
	for rule, breaks := range map[string]func(l map[string]any){
		"B00": func(l map[string]any) { l["tools"] = []any{} },
		"B01": func(l map[string]any) { l["padding"] = strings.Repeat("x", 6000) },
		"N01": func(l map[string]any) { tool(l)["name"] = "create.access.token" },
		"N02": func(l map[string]any) { tool(l)["name"] = "refresh_token" },
		"D01": func(l map[string]any) { tool(l)["description"] = "Token." },
		"D02": func(l map[string]any) { tool(l)["description"] = strings.Repeat("long ", 300) },
		"D03": func(l map[string]any) { delete(code(l), "description") },
		"D04": func(l map[string]any) { delete(tool(l), "title") },
		"D05": func(l map[string]any) { code(l)["description"] = strings.Repeat("long ", 300) },
		"A01": func(l map[string]any) { delete(object(tool(l)["annotations"]), "openWorldHint") },
		"S01": func(l map[string]any) { input(l)["type"] = "string" },
		"S02": func(l map[string]any) { delete(input(l), "properties") },
		"S03": func(l map[string]any) { delete(input(l), "additionalProperties") },
		"S04": func(l map[string]any) { input(l)["oneOf"] = []any{} },
		"S05": func(l map[string]any) { input(l)["required"] = []any{"nothing"} },
		"S06": func(l map[string]any) { input(l)["required"] = []any{"code", "code"} },
		"S07": func(l map[string]any) { properties(input(l))["co-de"] = code(l) },
		"S08": func(l map[string]any) { properties(input(l))["code"] = true },
		"S09": func(l map[string]any) { code(l)["format"] = "uri" },
		"S10": func(l map[string]any) { code(l)["type"] = []any{"string", "null"} },
		"S11": func(l map[string]any) { code(l)["type"] = "array" },
		"S12": func(l map[string]any) { code(l)["type"] = "object" },
		"S13": func(l map[string]any) { code(l)["type"] = "int" },
		"S14": func(l map[string]any) { code(l)["enum"] = []any{} },
		"S15": func(l map[string]any) { code(l)["type"], code(l)["enum"] = "integer", []any{"code"} },
		"S16": func(l map[string]any) { code(l)["enum"] = []any{"code", ""} },
		"S17": func(l map[string]any) { code(l)["enum"] = []any{"code", "code"} },
		"E01": func(l map[string]any) { code(l)["enum"] = []any{"never spoken of"} },
		"U01": func(l map[string]any) {
			tool(l)["description"] = object(l["tools"].([]any)[1])["description"]
		},
		"U02": func(l map[string]any) { object(properties(input(l))["force"])["type"] = "string" },
	} {
		t.Run(rule, func(t *testing.T) {
			l := good()
			breaks(l)
			b, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			found := lint(b, mostList)
			if !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, rule+" ") }) {
				t.Errorf("not found; found is %q", found)
			}
		})
	}
}

// TestTheHostsTakeAway: what the emulated hosts are known to do is seen.
func TestTheHostsTakeAway(t *testing.T) {
	with := func(key string, value any) listedTool {
		return listedTool{Name: "t", InputSchema: map[string]any{"type": "object", "properties": map[string]any{"p": map[string]any{"type": "string", key: value}}}}
	}
	root := listedTool{Name: "t", InputSchema: map[string]any{"type": "object", "properties": map[string]any{}, "oneOf": []any{map[string]any{}}}}
	for name, c := range map[string]struct {
		tool listedTool
		want string
	}{
		"pattern":    {with("pattern", "^a$"), "Codex t: something is lost; VS Code t: something is lost"},
		"const":      {with("const", "a"), "Codex t: something is lost; Gemini t: the API refuses p; VS Code t: something is lost"},
		"array":      {with("type", "array"), "VS Code t: an array without items"},
		"types":      {with("type", []any{"string", "null"}), "Codex t: something is lost; Gemini t: the API refuses p"},
		"empty enum": {with("enum", []any{""}), "Gemini t: the API refuses the enum of p"},
		"long":       {with("description", strings.Repeat("x", 1025)), "VS Code t: something is lost"},
		"choice":     {root, "Codex t: something is lost; VS Code t: something is lost; others t: Claude drops it"},
		"name":       {listedTool{Name: strings.Repeat("n", 53), InputSchema: map[string]any{"type": "object"}}, "Codex " + strings.Repeat("n", 53) + ": its name does not fit; Gemini " + strings.Repeat("n", 53) + ": its name does not fit; VS Code " + strings.Repeat("n", 53) + ": its name is too long; others " + strings.Repeat("n", 53) + ": Cursor filters it out"},
		"fine":       {with("description", "x"), ""},
	} {
		if got := strings.Join(lost(c.tool), "; "); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if fmt.Sprint(alike("create a token", "create the token")) != "1" {
		t.Error("words that say nothing must not count")
	}
}
