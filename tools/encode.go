package tools

import (
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
)

// Encode writes a result of a tools/call as JSON. mcp-go would build a map,
// marshal it and read through the bytes twice more, a twentieth of a call;
// what is not one of our plain results is left to it.
func Encode(result any) any {
	r, ok := result.(*mcp.CallToolResult)
	if !ok || r.Meta != nil || len(r.Content) != 1 || len(r.InputRequests) > 0 || r.RequestState != "" || r.StructuredContent != nil {
		return result
	}
	text, ok := r.Content[0].(mcp.TextContent)
	if !ok || text.Annotations != nil || text.Meta != nil {
		return result
	}
	b := make([]byte, 0, 128+len(text.Text)+len(text.Text)/4+len(r.RawStructuredContent))
	b = append(b, '{')
	if r.ResultType != "" {
		b = appendText(append(b, `"resultType":`...), string(r.ResultType))
		b = append(b, ',')
	}
	b = appendText(append(b, `"content":[{"type":"text","text":`...), text.Text)
	b = append(b, `}]`...)
	if len(r.RawStructuredContent) > 0 {
		b = append(append(b, `,"structuredContent":`...), r.RawStructuredContent...)
	}
	if r.IsError {
		b = append(b, `,"isError":true`...)
	}
	return json.RawMessage(append(b, '}'))
}

// appendText quotes s, which is JSON already: valid UTF-8 without control
// characters.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
