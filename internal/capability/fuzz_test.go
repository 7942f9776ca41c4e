package capability

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzCheck: no file makes the checker or the reader panic, what they say of a
// file is the same each time, and what has an error is never read.
func FuzzCheck(f *testing.F) {
	for _, pattern := range []string{"testdata/check/*.txtar", "testdata/read/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			a, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(a.Files[0].Data)
		}
	}
	exported, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range exported {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("naftiko: 1.0.0-alpha2\ninfo: &a {label: A, description: B.}\ncapability: {consumes: [{<<: *a, type: http, namespace: n, baseUri: 'https://a'}], exposes: [*a]}"))
	f.Add([]byte("ikanos: 1.0.0-beta4\ncapability: &a {exposes: [*a]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all := bundled(t)
		found := Check(data, all)
		if again := Check(data, all); !reflect.DeepEqual(found, again) {
			t.Errorf("it says %v, and then %v", found, again)
		}
		bad := false
		for _, d := range found {
			bad = bad || d.Severity == Error
			if d.Text == "" || d.Instead == "" || d.Rule == "" {
				t.Errorf("a defect without words: %+v", d)
			}
		}
		if d, err := Read(data, all); (d == nil) == (err == nil) || bad && err == nil {
			t.Errorf("it is read as %v, %v", d, err)
		}
	})
}
