package skill_test

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/fault"
	"bankauth/internal/skill"
)

func bundled(t *testing.T) *skill.Skill {
	t.Helper()
	s, err := skill.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t *testing.T, s *skill.Skill, path string) string {
	t.Helper()
	f, ok := s.File(path)
	if !ok {
		t.Fatalf("there is no %s", path)
	}
	return string(f.Body)
}

// TestErrorsAreTheClosedList: the skill says of every code whether to call
// again, as package fault has it.
func TestErrorsAreTheClosedList(t *testing.T) {
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|[^|]*\\| (yes|no) \\|").FindAllStringSubmatch(text(t, bundled(t), "references/errors.md"), -1) {
		got[row[1]] = row[2]
	}
	want := map[string]string{}
	for _, code := range fault.Codes() {
		want[string(code)] = map[bool]string{true: "yes", false: "no"}[code.Retryable()]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("references/errors.md (-want +got):\n%s", diff)
	}
}

// TestLinksLead: what a file of the skill refers to is in the skill, one level
// deep, and every file but SKILL.md is referred to by it.
func TestLinksLead(t *testing.T) {
	s := bundled(t)
	linked := map[string]bool{"SKILL.md": true}
	for _, f := range s.Files {
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(f.Body), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			target := path.Join(path.Dir(f.Path), link[1])
			if _, ok := s.File(target); !ok {
				t.Errorf("%s refers to %s, which is not there", f.Path, target)
			}
			linked[target] = linked[target] || f.Path == "SKILL.md"
		}
	}
	for _, f := range s.Files {
		if !linked[f.Path] {
			t.Errorf("SKILL.md does not refer to %s", f.Path)
		}
	}
	if lines := strings.Count(text(t, s, "SKILL.md"), "\n"); lines > 500 {
		t.Errorf("SKILL.md has %d lines", lines)
	}
}

// TestArchiveIsStable: the same files give the same bytes, in whatever order
// and with whatever dates they come, and the archive gives the files back.
func TestArchiveIsStable(t *testing.T) {
	s, disk := bundled(t), fstest.MapFS{}
	for _, f := range s.Files {
		disk[f.Path] = &fstest.MapFile{Data: f.Body}
	}
	again, err := skill.Read(disk)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.Archive(), again.Archive()) {
		t.Error("two archives of the same files differ")
	}
	disk["references/errors.md"] = &fstest.MapFile{Data: []byte("else")}
	if other, err := skill.Read(disk); err != nil || bytes.Equal(s.Archive(), other.Archive()) || s.Index().Skills[0].Digest == other.Index().Skills[0].Digest {
		t.Errorf("%v: another file, the same archive", err)
	}
	unpacked(t, s, s.Archive())
}

// TestArchiveIsPinned: nor do the bytes change with the release of Go or the
// hour of the build.
func TestArchiveIsPinned(t *testing.T) {
	s, err := skill.Read(fstest.MapFS{"SKILL.md": {Data: []byte("---\nname: a\ndescription: b\n---\n")}, "references/c.md": {Data: []byte("c\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Index().Skills[0].Digest, "sha256:c933dfe4a97421249d0abcd80df70b73b3162f26f91b1c6130dbbeccfb7f9bf2"; got != want {
		t.Errorf("got %s, want %s: whoever has the old archive has another digest now", got, want)
	}
}

// unpacked holds an archive against the skill.
func unpacked(t *testing.T, s *skill.Skill, archive []byte) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range r.File {
		f, err := part.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(f)
		if err != nil || string(body) != text(t, s, part.Name) {
			t.Errorf("%s came out otherwise than it went in: %v", part.Name, err)
		}
	}
	if len(r.File) != len(s.Files) {
		t.Errorf("the archive has %d files, the skill %d", len(r.File), len(s.Files))
	}
}

func TestBrokenSkillsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"no front matter":       {"# hello\n", "between two lines"},
		"it does not end":       {"---\nname: a\n", "between two lines"},
		"it is no YAML":         {"---\nname: [\n---\n", `reading the front matter of "SKILL.md"`},
		"it is a list":          {"---\n- a\n---\n", `reading the front matter of "SKILL.md"`},
		"metadata is no object": {"---\nname: a\nmetadata: 1\n---\n", `reading the front matter of "SKILL.md"`},
	} {
		_, err := skill.Read(fstest.MapFS{"SKILL.md": {Data: []byte(c.body)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := skill.Read(fstest.MapFS{"skill.md": {Data: nil}}); err == nil || !strings.Contains(err.Error(), `no file "SKILL.md"`) {
		t.Errorf("got %v", err)
	}
}

// TestName: the folder's name, which stands for the front matter's until that
// is read, is the same.
func TestName(t *testing.T) {
	k, err := skill.Bundled()
	if err != nil || k.Name != k.Front().Name || k.Front().Description == "" {
		t.Errorf("%q, %+v, %v", k.Name, k.Front(), err)
	}
}
