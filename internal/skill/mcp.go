package skill

import "encoding/json"

// What SEP-2640 calls things.
const (
	Extension  = "io.modelcontextprotocol/skills"
	MethodList = "skills/list"
	MethodGet  = "skills/get"
)

// keep is how long a client may keep an answer, in milliseconds; it changes
// with the binary only.
const keep = 300_000

type envelope struct {
	ResultType string     `json:"resultType"`
	Skills     []manifest `json:"skills,omitempty"`
	Skill      *manifest  `json:"skill,omitempty"`
	TTL        int        `json:"ttlMs"`
	Scope      string     `json:"cacheScope"`
}

type manifest struct {
	URI       string          `json:"uri"`
	Front     json.RawMessage `json:"frontmatter"`
	Resources []resource      `json:"resources"`
}

type resource struct {
	URI    string `json:"uri"`
	Digest string `json:"digest"`
	Size   int    `json:"size"`
}

// URI returns the address of a file as an MCP resource.
func (s *Skill) URI(f File) string { return "skill://" + s.Name + "/" + f.Path }

// IsEntry reports whether the skill begins with f.
func (s *Skill) IsEntry(f File) bool { return f.Path == entry }

// List returns the result of skills/list.
func (s *Skill) List() any {
	return envelope{ResultType: "complete", Skills: []manifest{s.manifest()}, TTL: keep, Scope: "public"}
}

// Get returns the result of skills/get for the skill at uri, and whether there
// is one.
func (s *Skill) Get(uri string) (any, bool) {
	m := s.manifest()
	return envelope{ResultType: "complete", Skill: &m, TTL: keep, Scope: "public"}, uri == m.URI
}

func (s *Skill) manifest() manifest {
	f, _ := s.front() // as in Front
	m := manifest{URI: s.URI(File{Path: entry}), Front: f.verbatim}
	for _, f := range s.Files {
		m.Resources = append(m.Resources, resource{s.URI(f), f.Digest(), len(f.Body)})
	}
	return m
}
