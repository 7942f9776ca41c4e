package skill

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"bankauth/internal/problem"
)

// Paths of Agent Skills Discovery 0.2.0.
const (
	wellKnown = "/.well-known/agent-skills/"
	IndexPath = wellKnown + "index.json"
	indexes   = "https://schemas.agentskills.io/discovery/0.2.0/schema.json"
)

// Paths returns where a Handler is to be mounted, as http.ServeMux patterns.
func Paths() []string { return []string{"/skills", "/skills/", wellKnown} }

// Tool is a tool that a skill leads to, and where it is called.
type Tool struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        string `json:"type"` // always derived: from a tool that another adapter has
	Ref         Ref    `json:"invocationRef"`
}

// Ref says where a tool is called.
type Ref struct {
	Namespace string `json:"targetNamespace"` // of the adapter that has it
	Action    string `json:"action"`          // its name there
	Mode      string `json:"mode"`            // rest or mcp
}

// Derived returns the tool name that an adapter has under the same name.
func Derived(name, description, namespace, mode string) Tool {
	return Tool{Name: name, Description: description, Type: "derived", Ref: Ref{namespace, name, mode}}
}

// Index is the document at IndexPath.
type Index struct {
	Schema string    `json:"$schema"`
	Skills []Indexed `json:"skills"`
}

// Indexed is one skill of an Index.
type Indexed struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	URL         string `json:"url"` // from the index
	Digest      string `json:"digest"`
}

// Index returns the index with this skill alone.
func (s *Skill) Index() Index {
	return Index{indexes, []Indexed{{s.Name, "archive", s.Front().Description, s.Name + ".zip", digest(s.Archive())}}}
}

// Handler serves the skill: as a Catalogue of itself, with tools as those that
// it leads to, and by Agent Skills Discovery (/.well-known/agent-skills/ and
// below).
func (s *Skill) Handler(tools []Tool) http.Handler {
	var front map[string]any
	b, _ := json.Marshal(s.Front()) // texts
	_ = json.Unmarshal(b, &front)
	mux := http.NewServeMux()
	mux.HandleFunc(IndexPath, func(w http.ResponseWriter, r *http.Request) { answer(w, r, s.Index()) })
	mux.HandleFunc(wellKnown+"{archive}", s.named)
	return serving(mux, []Entry{{s.Name, s.Front().Description, front, tools, s}})
}

// Entry is one skill of a Catalogue.
type Entry struct {
	Name, Description string
	Front             map[string]any // license and the like, as front matter calls them, of values that JSON has; a name or a description in it does not count
	Tools             []Tool
	Skill             *Skill // its files; nil: it has none
}

// Catalogue serves skills at the five routes of a Naftiko skill adapter,
// /skills and below. What it serves is public, and it asks nobody who they are.
func Catalogue(entries []Entry) http.Handler { return serving(http.NewServeMux(), entries) }

func serving(mux *http.ServeMux, entries []Entry) http.Handler {
	c := catalogue(entries)
	mux.HandleFunc("/", nothing)
	mux.HandleFunc("/skills", c.list)
	mux.HandleFunc("/skills/{name}", c.named(Entry.detail))
	mux.HandleFunc("/skills/{name}/download", c.filed(Entry.download))
	mux.HandleFunc("/skills/{name}/contents", c.filed(Entry.contents))
	mux.HandleFunc("/skills/{name}/contents/{file...}", c.filed(Entry.file))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Before the mux, which would clean the path and redirect.
		if unsafe(r.URL.Path) {
			problem.Refuse(w, http.StatusBadRequest, "the path has a segment that is not the name of a file", "send the path as contents lists it")
			return
		}
		if problem.Takes(w, r, http.MethodGet) {
			mux.ServeHTTP(w, r)
		}
	})
}

func unsafe(path string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "\\\x00") {
			return true
		}
	}
	return false
}

type catalogue []Entry

func (c catalogue) named(then func(Entry, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(c, func(e Entry) bool { return e.Name == r.PathValue("name") })
		if i < 0 {
			problem.Refuse(w, http.StatusNotFound, "there is no such skill", "/skills lists them")
			return
		}
		then(c[i], w, r)
	}
}

func nothing(w http.ResponseWriter, _ *http.Request) {
	problem.Refuse(w, http.StatusNotFound, "there is nothing at this path", "/skills lists what there is")
}

// filed is named for what needs the skill's files.
func (c catalogue) filed(then func(Entry, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return c.named(func(e Entry, w http.ResponseWriter, r *http.Request) {
		if e.Skill == nil {
			problem.Refuse(w, http.StatusNotFound, "the skill has no files", "/skills lists what there is")
			return
		}
		then(e, w, r)
	})
}

func (c catalogue) list(w http.ResponseWriter, r *http.Request) {
	type listed struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		License     any      `json:"license,omitempty"`
		Tools       []string `json:"tools"`
	}
	all := []listed{}
	for _, e := range c {
		names := []string{}
		for _, t := range e.Tools {
			names = append(names, t.Name)
		}
		all = append(all, listed{e.Name, e.Description, e.Front["license"], names})
	}
	answer(w, r, struct {
		Count  int      `json:"count"`
		Skills []listed `json:"skills"`
	}{len(all), all})
}

func (e Entry) detail(w http.ResponseWriter, r *http.Request) {
	said := map[string]any{}
	maps.Copy(said, e.Front)
	said["name"], said["description"], said["tools"] = e.Name, e.Description, append([]Tool{}, e.Tools...) // a list that is empty, not null
	answer(w, r, said)
}

func (e Entry) download(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Disposition", `attachment; filename="`+e.Name+`.zip"`)
	Public(w, r, "application/zip", e.Skill.Archive())
}

func (e Entry) contents(w http.ResponseWriter, r *http.Request) {
	type listed struct {
		Path string `json:"path"`
		Size int    `json:"size"`
		Type string `json:"type"`
	}
	var files []listed
	for _, f := range e.Skill.Files {
		files = append(files, listed{f.Path, len(f.Body), f.Type})
	}
	answer(w, r, struct {
		Name  string   `json:"name"`
		Files []listed `json:"files"`
	}{e.Name, files})
}

func (e Entry) file(w http.ResponseWriter, r *http.Request) {
	f, ok := e.Skill.File(r.PathValue("file"))
	if !ok {
		problem.Refuse(w, http.StatusNotFound, "the skill has no such file", "its contents lists them")
		return
	}
	Public(w, r, f.Type, f.Body)
}

// named is the archive by its name at Agent Skills Discovery.
func (s *Skill) named(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("archive") != s.Name+".zip" {
		nothing(w, r)
		return
	}
	Public(w, r, "application/zip", s.Archive())
}

func answer(w http.ResponseWriter, r *http.Request, v any) {
	b, _ := json.Marshal(v) // of values that JSON has
	Public(w, r, "application/json", b)
}

// Public answers with b, which anybody may keep for five minutes and ask again
// whether it is the same. kind is its media type.
func Public(w http.ResponseWriter, r *http.Request, kind string, b []byte) {
	if strings.HasPrefix(kind, "text/") {
		kind += "; charset=utf-8"
	}
	head := w.Header()
	head.Set("Content-Type", kind)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Cache-Control", "public, max-age=300")
	head.Set("ETag", `"`+digest(b)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
