package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/tools"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// mostList bounds what the tools cost a model: the bytes of the tools/list
// answer.
const mostList = 6000

// listed is the tools/list result as a client receives it.
func listed(t *testing.T, s *tools.Set) []byte {
	t.Helper()
	m := s.Server("test", func(context.Context) string { return tools.Local })
	answer := m.HandleMessage(t.Context(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	r, ok := answer.(mcp.JSONRPCResponse)
	if !ok {
		t.Fatalf("tools/list answered %T", answer)
	}
	b, err := json.Marshal(r.Result)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestListIsReviewed(t *testing.T) {
	for _, e := range []tools.Exposure{tools.Handle, tools.Token, tools.Full} {
		t.Run(string(e), func(t *testing.T) {
			b := listed(t, open(t, exposing(e)).Set)
			if len(b) > mostList {
				t.Errorf("tools/list has %d bytes, at most %d are allowed", len(b), mostList)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, b, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			golden := "testdata/list." + string(e) + ".json"
			if *update {
				if err := os.WriteFile(golden, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(pretty.Bytes(), want) {
				t.Errorf("%s is another list; if that is meant, run go test ./tools -update and review the difference", golden)
			}
			t.Logf("%d bytes", len(b))
		})
	}
}
