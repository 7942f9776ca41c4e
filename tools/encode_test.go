package tools_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/tools"
)

// What Encode writes says the same as what mcp-go writes.
func TestEncodeAgreesWithTheLibrary(t *testing.T) {
	const text = `{"a":"q\"uote \\u003c é \\\\","n":1}`
	meta := mcp.NewToolResultText(text)
	meta.Meta = &mcp.Meta{AdditionalFields: map[string]any{"x": "y"}}
	modern := mcp.NewToolResultText(text)
	modern.ResultType = mcp.ResultTypeComplete
	structured := mcp.NewToolResultText(text)
	structured.RawStructuredContent = json.RawMessage(`{"a":1}`)
	for name, r := range map[string]*mcp.CallToolResult{
		"text": mcp.NewToolResultText(text), "error": mcp.NewToolResultError(text), "structured": structured, "modern": modern, "meta": meta, "image": mcp.NewToolResultImage("x", "eA==", "image/png"),
	} {
		var want, got any
		for into, v := range map[*any]any{&want: r, &got: tools.Encode(r)} {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, into); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		_, raw := tools.Encode(r).(json.RawMessage)
		if raw == (name == "meta" || name == "image") {
			t.Errorf("%s: encoded by us: %v", name, raw)
		}
	}
}
