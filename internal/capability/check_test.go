package capability

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestCheck holds what is said of each file in testdata/check against what was
// said of it when somebody last read it.
func TestCheck(t *testing.T) {
	each(t, "check", func(data []byte) string {
		var said strings.Builder
		for _, d := range Check(data, bundled(t)) {
			said.WriteString(d.In("file.yaml"))
		}
		return said.String()
	})
}

// each holds what say makes of the file.yaml of each archive in a folder of
// testdata against its want.
func each(t *testing.T, folder string, say func([]byte) string) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) != 2 {
				t.Fatal("it must have file.yaml and want: ", err)
			}
			said := say(a.Files[0].Data)
			if *update {
				a.Files[1].Data = []byte(said)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), said); diff != "" {
				t.Errorf("(-want +said)\n%s", diff)
			}
		})
	}
}
