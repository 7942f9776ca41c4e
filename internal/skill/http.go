package skill

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
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
	return Index{indexes, []Indexed{{s.Front.Name, "archive", s.Front.Description, s.Front.Name + ".zip", digest(s.Archive())}}}
}

// Handler serves the skill: at the five routes of a Naftiko skill adapter
// (/skills and below), with tools as those that it leads to, and by Agent
// Skills Discovery (/.well-known/agent-skills/ and below). It serves what is
// public and asks nobody who they are.
func (s *Skill) Handler(tools []Tool) http.Handler {
	if tools == nil {
		tools = []Tool{} // a list that is empty, not null
	}
	h := handler{s, tools}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /skills", h.list)
	mux.HandleFunc("GET /skills/{name}", h.named(h.detail))
	mux.HandleFunc("GET /skills/{name}/download", h.named(h.download))
	mux.HandleFunc("GET /skills/{name}/contents", h.named(h.contents))
	mux.HandleFunc("GET /skills/{name}/contents/{file...}", h.named(h.file))
	mux.HandleFunc("GET "+IndexPath, h.index)
	mux.HandleFunc("GET "+wellKnown+"{archive}", h.archive)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Before the mux, which would clean the path and redirect.
		if unsafe(r.URL.Path) {
			http.Error(w, "the path has a segment that is not the name of a file", http.StatusBadRequest)
			return
		}
		mux.ServeHTTP(w, r)
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

type handler struct {
	*Skill
	tools []Tool
}

func (h handler) named(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") != h.Front.Name {
			http.Error(w, "there is no such skill; /skills lists them", http.StatusNotFound)
			return
		}
		then(w, r)
	}
}

func (h handler) list(w http.ResponseWriter, r *http.Request) {
	type listed struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		License     string   `json:"license,omitempty"`
		Tools       []string `json:"tools"`
	}
	names := []string{}
	for _, t := range h.tools {
		names = append(names, t.Name)
	}
	answer(w, r, struct {
		Count  int      `json:"count"`
		Skills []listed `json:"skills"`
	}{1, []listed{{h.Front.Name, h.Front.Description, h.Front.License, names}}})
}

func (h handler) detail(w http.ResponseWriter, r *http.Request) {
	answer(w, r, struct {
		Front
		Tools []Tool `json:"tools"`
	}{h.Front, h.tools})
}

func (h handler) download(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Disposition", `attachment; filename="`+h.Front.Name+`.zip"`)
	Public(w, r, "application/zip", h.Archive())
}

func (h handler) contents(w http.ResponseWriter, r *http.Request) {
	type listed struct {
		Path string `json:"path"`
		Size int    `json:"size"`
		Type string `json:"type"`
	}
	var files []listed
	for _, f := range h.Files {
		files = append(files, listed{f.Path, len(f.Body), f.Type})
	}
	answer(w, r, struct {
		Name  string   `json:"name"`
		Files []listed `json:"files"`
	}{h.Front.Name, files})
}

func (h handler) file(w http.ResponseWriter, r *http.Request) {
	f, ok := h.File(r.PathValue("file"))
	if !ok {
		http.Error(w, "the skill has no such file; its contents lists them", http.StatusNotFound)
		return
	}
	Public(w, r, f.Type, f.Body)
}

func (h handler) index(w http.ResponseWriter, r *http.Request) { answer(w, r, h.Index()) }

func (h handler) archive(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("archive") != h.Front.Name+".zip" {
		http.NotFound(w, r)
		return
	}
	Public(w, r, "application/zip", h.Archive())
}

func answer(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil { // of strings and numbers: it does not happen
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
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
