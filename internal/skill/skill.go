// Package skill serves the Agent Skill that the binary carries: as the skill
// adapter of a Naftiko capability and by Agent Skills Discovery over HTTP, and
// by the extension io.modelcontextprotocol/skills (SEP-2640) over MCP.
//
// The same bytes go out everywhere, so that a digest from one place proves
// what came from another.
package skill

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"bankauth/skills"
)

// entry is the file with which a skill begins.
const entry = "SKILL.md"

// Skill is one skill and its files. It is not changed once it is read.
type Skill struct {
	Name  string
	Files []File // by path

	front   func() (front, error)
	archive func() []byte
}

// front is the front matter, as we know it and whole.
type front struct {
	Front
	verbatim json.RawMessage
}

// Front returns the front matter, which is read when it is first asked for: a
// start over stdio has no use for it.
func (s *Skill) Front() Front {
	f, _ := s.front() // Read has seen it, or a test of Bundled's
	return f.Front
}

// Front is what the front matter says, as the Agent Skills specification
// names it.
type Front struct {
	Name          string            `yaml:"name" json:"name"`
	Description   string            `yaml:"description" json:"description"`
	License       string            `yaml:"license" json:"license,omitempty"`
	Compatibility string            `yaml:"compatibility" json:"compatibility,omitempty"`
	AllowedTools  string            `yaml:"allowed-tools" json:"allowed-tools,omitempty"`
	Metadata      map[string]string `yaml:"metadata" json:"metadata,omitempty"`
}

// File is one file of a skill.
type File struct {
	Path string // with slashes, from the skill's folder
	Type string // media type
	Body []byte
}

// Digest returns the SHA-256 of the file as the documents write it.
func (f File) Digest() string { return digest(f.Body) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Bundled returns the skill that the binary carries. It fails only where a
// build carries a broken one, which a test keeps from happening.
func Bundled() (*Skill, error) { return bundled() }

var bundled = sync.OnceValues(func() (*Skill, error) {
	folder, err := fs.Sub(skills.Files, skills.Name)
	if err != nil {
		return nil, fmt.Errorf("opening the skill: %w", err)
	}
	return unread(skills.Name, folder)
})

// Read reads the skill in folder. The error names the file.
func Read(folder fs.FS) (*Skill, error) {
	s, err := unread("", folder)
	if err != nil {
		return nil, err
	}
	f, err := s.front()
	s.Name = f.Name
	return s, err
}

// unread has the files, and has not looked at the front matter.
func unread(name string, folder fs.FS) (*Skill, error) {
	s := &Skill{Name: name}
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(folder, name)
		s.Files = append(s.Files, File{Path: name, Type: mediaType(name), Body: body})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the skill's files: %w", err)
	}
	body, ok := s.File(entry)
	if !ok {
		return nil, fmt.Errorf("the skill has no file %q", entry)
	}
	s.front = sync.OnceValues(func() (front, error) {
		f, err := readFront(body.Body)
		if err != nil {
			err = fmt.Errorf("reading the front matter of %q: %w", entry, err)
		}
		return f, err
	})
	s.archive = sync.OnceValue(s.zip)
	return s, nil
}

func readFront(body []byte) (f front, err error) {
	rest, ok := bytes.CutPrefix(body, []byte("---\n"))
	text, _, closed := bytes.Cut(rest, []byte("\n---\n"))
	if !ok || !closed {
		return f, fmt.Errorf("it does not stand between two lines of ---")
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		return f, err
	}
	if f.verbatim, err = json.Marshal(all); err != nil {
		return f, err
	}
	return f, yaml.Unmarshal(text, &f.Front)
}

// mediaType does not ask the machine, which may know other types than the next.
func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".md":
		return "text/markdown"
	case ".json", ".yaml":
		return "application/" + ext[1:]
	}
	return "application/octet-stream"
}

// File returns the file at path, and whether there is one.
func (s *Skill) File(path string) (File, bool) {
	for _, f := range s.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// Archive returns the skill's files as a zip, SKILL.md at its root. The bytes
// depend on the files alone: they are stored as they are, because what a
// compressor makes of them changes with its release.
func (s *Skill) Archive() []byte { return s.archive() }

func (s *Skill) zip() []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range s.Files {
		// Writing to memory does not fail.
		part, _ := w.CreateHeader(&zip.FileHeader{Name: f.Path, Method: zip.Store, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		_, _ = part.Write(f.Body)
	}
	_ = w.Close()
	return out.Bytes()
}
