package capability

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// TestRead holds what is read from each file in testdata/read, or why nothing
// is, against what it was when somebody last read it.
func TestRead(t *testing.T) {
	each(t, "read", func(data []byte) string {
		d, err := Read(data, bundled(t))
		if err != nil {
			f := fault.From(err)
			return string(f.Code) + "\n" + strings.ReplaceAll(f.Message, "; ", ";\n") + "\n" + f.Hint + "\n"
		}
		said, err := json.MarshalIndent(d, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(said) + "\n"
	})
}

// TestReadExported: what we export we can serve, each way of calling each tool
// on MCP and on REST, whichever dialect it is in.
func TestReadExported(t *testing.T) {
	all := bundled(t)
	var ways []string
	for _, p := range all {
		for _, op := range p.Operations {
			if op.Tool == schema.Revoke {
				continue // a program's business, and no tool
			}
			for _, g := range op.Grants {
				ways = append(ways, p.Name+" "+op.Tool+" "+g.Name)
			}
		}
	}
	for _, surface := range Surfaces(all) {
		var read []*Deployment
		for _, f := range Formats() {
			data, err := os.ReadFile(filepath.Join(folder, fileName(surface, f)))
			if err != nil {
				t.Fatal(err)
			}
			d, err := Read(data, all)
			if err != nil {
				t.Fatalf("%s: %v", fileName(surface, f), err)
			}
			if d.Format != f {
				t.Errorf("%s is read as %s", fileName(surface, f), d.Format)
			}
			d.Format = ""
			for _, a := range d.Adapters {
				for i := range a.Tools {
					a.Tools[i].Line = 0
				}
			}
			read = append(read, d)
		}
		if diff := cmp.Diff(read[0], read[1]); diff != "" {
			t.Errorf("%s: the dialects ask for different servers:\n%s", surface, diff)
		}
		rest, mcp, skill := read[0].Adapters[0], read[0].Adapters[1], read[0].Adapters[2]
		if rest.Port != portREST || mcp.Port != portMCP || skill.Port != portSkill || mcp.Address != address || mcp.Stdio() {
			t.Errorf("%s: %+v", surface, read[0].Adapters)
		}
		if surface != Combined {
			continue
		}
		for _, a := range []Adapter{rest, mcp} {
			var served []string
			for _, tool := range a.Tools {
				served = append(served, tool.Provider+" "+tool.Tool+" "+tool.Grant)
				if tool.Environment != "sandbox" || tool.Name == "" || tool.Description == "" || tool.Title == "" {
					t.Errorf("%+v", tool)
				}
				if a.Kind == kindREST && (tool.Method != "POST" || tool.Path != "/v1/"+tool.Name) {
					t.Errorf("%+v", tool)
				}
			}
			if !slices.Equal(served, ways) {
				t.Errorf("%s serves %q, and there are %q", a.Kind, served, ways)
			}
		}
	}
}
