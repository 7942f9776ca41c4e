package tools_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// What hosts do to a tool before a model sees it, as their sources have it.
// Each returns what is left, or why the tool is refused.

// vscode drops what its models' APIs do not know (toolSchemaNormalizer.ts).
func vscode(t listedTool) (map[string]any, string) {
	dropped := strings.Fields("oneOf anyOf allOf not if then else $ref $defs definitions $dynamicRef default format pattern minLength maxLength minimum maximum minItems maxItems uniqueItems exclusiveMinimum exclusiveMaximum const")
	var bad string
	var into func(v any) any
	into = func(v any) any {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		if m["type"] == "array" && m["items"] == nil {
			bad = "an array without items"
		}
		out := map[string]any{}
		for k, v := range m {
			switch {
			case slices.Contains(dropped, k):
			case k == "properties":
				inner := map[string]any{}
				for name, p := range object(v) {
					inner[name] = into(p)
				}
				out[k] = inner
			case k == "required":
				out[k] = slices.DeleteFunc(slices.Clone(v.([]any)), func(n any) bool { return properties(m)[fmt.Sprint(n)] == nil })
			case k == "description":
				s := fmt.Sprint(v)
				out[k] = s[:min(len(s), 1024)]
			default:
				out[k] = into(v)
			}
		}
		return out
	}
	out := into(t.InputSchema).(map[string]any)
	if len("mcp_bankauth_"+t.Name) > 64 {
		bad = "its name is too long"
	}
	return out, bad
}

// codex keeps what it knows (codex-rs/tools/src/json_schema.rs).
func codex(t listedTool) (map[string]any, string) {
	kept := strings.Fields("type description enum items properties required additionalProperties anyOf")
	var into func(v any) any
	into = func(v any) any {
		m, ok := v.(map[string]any)
		if !ok {
			if v == true {
				return map[string]any{"type": "string"}
			}
			return v
		}
		out := map[string]any{}
		for k, v := range m {
			switch {
			case k == "const":
				out["enum"] = []any{v}
			case !slices.Contains(kept, k):
			case k == "properties":
				inner := map[string]any{}
				for name, p := range object(v) {
					inner[name] = into(p)
				}
				out[k] = inner
			case k == "items":
				out[k] = into(v)
			default:
				out[k] = v
			}
		}
		if _, ok := out["type"].(string); !ok {
			out["type"] = "string"
		}
		return out
	}
	out := into(t.InputSchema).(map[string]any)
	if !regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`).MatchString("mcp__bankauth__" + t.Name) {
		return out, "its name does not fit"
	}
	return out, ""
}

// gemini puts the server's name before the tool's and cuts at 63 characters;
// it passes the schema on, which the API refuses with unions or references.
func gemini(t listedTool) (map[string]any, string) {
	name := "mcp_bankauth_" + t.Name
	if len(name) > 63 || !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_\-.:]{0,63}$`).MatchString(name) {
		return t.InputSchema, "its name does not fit"
	}
	for name, p := range properties(t.InputSchema) {
		m := object(p)
		if _, ok := m["type"].(string); !ok || m["$ref"] != nil || m["const"] != nil {
			return t.InputSchema, "the API refuses " + name
		}
		values, _ := m["enum"].([]any)
		for _, v := range values {
			if s, ok := v.(string); !ok || s == "" {
				return t.InputSchema, "the API refuses the enum of " + name
			}
		}
	}
	return t.InputSchema, ""
}

// others have rules for names alone, or drop a tool whose root is a choice.
func others(t listedTool) (map[string]any, string) {
	switch {
	case len("bankauth"+t.Name) > 60:
		return t.InputSchema, "Cursor filters it out"
	case len("mcp__bankauth__"+t.Name) > 64:
		return t.InputSchema, "Claude Code leaves it out"
	case t.InputSchema["oneOf"] != nil || t.InputSchema["anyOf"] != nil || t.InputSchema["allOf"] != nil:
		return t.InputSchema, "Claude drops it"
	case t.OutputSchema != nil && t.OutputSchema["type"] != "object":
		return t.InputSchema, "the TypeScript SDK refuses the whole list"
	case len(t.Description) > 2048:
		return t.InputSchema, "Claude Code cuts its description"
	}
	return t.InputSchema, ""
}

// lost says what hosts would take away from a tool.
func lost(t listedTool) []string {
	var all []string
	for name, host := range map[string]func(listedTool) (map[string]any, string){"VS Code": vscode, "Codex": codex, "Gemini": gemini, "others": others} {
		left, bad := host(t)
		if bad != "" {
			all = append(all, name+" "+t.Name+": "+bad)
		} else if !reflect.DeepEqual(left, t.InputSchema) {
			all = append(all, name+" "+t.Name+": something is lost")
		}
	}
	slices.Sort(all)
	return all
}
